"""What kube-apiserver answers when it does not answer 2xx, typed by what the caller should do next.

Raised by ``client.py`` only; everything else in the virtual kubelet catches these and never sees aiohttp's own.
Bodies are cut, and a request's body or token is never part of a message.
"""

from typing import Any

import msgspec

_LONGEST = 500


class ApiError(Exception):
    """kube-apiserver said no. ``reason`` and the text are its own words."""

    def __init__(self, message: str, status: int = 0, reason: str = "", retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


class NotFoundError(ApiError):
    """The object is not there: for a deletion that is success, for a patch there is nothing left to do."""


class ConflictError(ApiError):
    """Somebody else was first, or the object has another UID: read again, then decide anew."""


class GoneError(ApiError):
    """The resource version is too old: list again."""


class ForbiddenError(ApiError):
    """The service account may not do that: an administrator must act, so say it and try again slowly."""


class InvalidError(ApiError):
    """The object breaks a rule of the API: the same request will never pass."""


class RetryError(ApiError):
    """The server is away, busy or broken: the same request later. ``retry_after`` is its wish, 0 where it has none."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: InvalidError,
    401: ForbiddenError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
    422: InvalidError,
    429: RetryError,
}


def api_error(what: str, status: int, body: bytes | dict[str, Any], retry_after: str | None = None) -> ApiError:
    """Return the typed error for an answer; ``what`` is the request in words, ``body`` a v1.Status where it is one."""
    document = body if isinstance(body, dict) else _status_document(body)
    if isinstance(body, bytes) and not document:
        document = {"message": body[:_LONGEST].decode("utf-8", "replace").strip()}
    kind = _BY_STATUS.get(status, RetryError if status >= 500 else InvalidError)
    if kind is InvalidError and _has_another_uid(document):
        kind = ConflictError
    words = str(document.get("message") or "no words")[:_LONGEST]
    return kind(
        f"{what}: {status} {words}",
        status=status,
        reason=str(document.get("reason") or ""),
        retry_after=_seconds(retry_after),
    )


def _has_another_uid(document: dict[str, Any]) -> bool:
    """Whether the object is another one than the patch was for: that is said as a field that cannot be changed.

    As ValidateObjectMetaUpdate of apimachinery has it; seen with 1.36. To a DELETE with another UID the answer is 409.
    """
    details = document.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    fields = [cause.get("field") for cause in causes or () if isinstance(cause, dict)]
    return "metadata.uid" in fields


def _status_document(body: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _seconds(retry_after: str | None) -> float:
    try:
        return max(0.0, float(retry_after or 0))
    except ValueError:
        return 0.0
