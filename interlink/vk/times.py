"""Times as the Kubernetes API writes them: metav1.Time with whole seconds, metav1.MicroTime, both UTC."""

import functools
import re
from datetime import UTC, datetime

_ZERO = "0001-01-01T00:00:00Z"
_FRACTION = re.compile(r"\.(\d{1,6})\d*")


def now_seconds() -> str:
    """Return the time now as metav1.Time."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def now_micros() -> str:
    """Return the time now as metav1.MicroTime."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@functools.lru_cache(maxsize=4096)
def whole_seconds(text: str) -> str:
    """Return an RFC 3339 time cut to whole seconds in UTC, empty for Go's zero time and for what is no time."""
    moment = parse_time(text)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""


def parse_time(text: str) -> datetime | None:
    """Return the time that an RFC 3339 text says, None for Go's zero time and for what is no time."""
    if not text or text == _ZERO:
        return None
    try:
        moment = datetime.fromisoformat(_FRACTION.sub(r".\1", text))
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
