"""Times as the Kubernetes API writes them."""

from datetime import datetime, timezone


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(timezone.utc)


def seconds(moment: datetime) -> str:
    """Return a time as v1 states have it: whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def fractions(moment: datetime) -> str:
    """Return a time as reports have it: RFC 3339 with microseconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
