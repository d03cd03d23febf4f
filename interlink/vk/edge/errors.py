"""What InterLink answers, typed by what the virtual kubelet does next; raised by ``client.py`` only."""


class EdgeError(Exception):
    """Base of all; the text is InterLink's or the site's own words."""


class RefusedError(EdgeError):
    """InterLink or the site refuses the pod for good: the pod fails with this reason and these words."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class DeletedError(EdgeError):
    """The pod was deleted at the site before its creation arrived: nothing of it runs."""


class UnknownPodError(EdgeError):
    """The edge knows no such pod that could still run."""


class CursorExpiredError(EdgeError):
    """The cursor is of another run of the plugin: take everything anew."""


class LogsError(EdgeError):
    """The log cannot be had; ``status`` is what kubectl is to see (404, or 400 before the start)."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class AwayError(EdgeError):
    """Anything else: whether the request was carried out is unknown, and it is safe to send it again."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BusyError(AwayError):
    """The site answers and does not take the pod yet: its containers wait for this reason, with these words."""

    def __init__(self, message: str, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(message, retry_after)
        self.reason = reason
