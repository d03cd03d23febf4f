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


def go_duration(length: float) -> str:
    """Return seconds as Go, and so the kubelet, writes a duration: 393ms, 1.5s, 10s, 1m20s, 5m0s."""
    milliseconds = round(length * 1000)
    if 0 < milliseconds < 1000:
        return "{}ms".format(milliseconds)
    minutes, rest = divmod(milliseconds, 60000)
    hours, minutes = divmod(minutes, 60)
    text = "{:.3f}".format(rest / 1000).rstrip("0").rstrip(".") + "s"
    if hours:
        return "{}h{}m{}".format(hours, minutes, text)
    return "{}m{}".format(minutes, text) if minutes else text
