"""What the services' Falcon apps share: routes, JSON, the request id of their log lines, and what is wrong in words.

Falcon's JSON form: {"title": …, "description": …}. Anything unforeseen becomes a 500 that names the request's id, and
its traceback goes to the log, never to the caller.
"""

import logging
import uuid
from collections.abc import Callable
from types import UnionType
from typing import Any, TypeAlias, TypeVar

import falcon
import msgspec

from interlink.wire.decoding import decode_json

SESSION_HEADER = "InterLink-Http-Session"

log = logging.getLogger(__name__)

Message = TypeVar("Message")
App: TypeAlias = "falcon.App[falcon.Request, falcon.Response]"


def read_json(request: falcon.Request, message: type[Message] | UnionType) -> Message:
    """Return the request's body as the message. Raises falcon.HTTPBadRequest that says where the JSON is wrong."""
    return decode(request.bounded_stream.read(), message)


def decode(body: bytes | msgspec.Raw, message: type[Message] | UnionType) -> Message:
    """Return the JSON as the message. Raises falcon.HTTPBadRequest that says where the JSON is wrong."""
    try:
        decoded: Message = decode_json(body, message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise falcon.HTTPBadRequest(title="malformed request", description=str(error)) from error
    return decoded


class Route:
    """A Falcon resource that answers every method alike: InterLink's clients differ in theirs by release."""

    def __init__(self, respond: Callable[[falcon.Request, falcon.Response], None]) -> None:
        self.on_get = self.on_post = self.on_put = self.on_delete = respond


def write_json(response: falcon.Response, message: object) -> None:
    """Answer with the message as JSON."""
    response.content_type = falcon.MEDIA_JSON
    response.data = msgspec.json.encode(message)


class RequestId:
    """Falcon middleware: takes the caller's session header, or makes one as InterLink does, and logs each request."""

    def process_request(self, request: falcon.Request, response: falcon.Response) -> None:
        """Give the request its id."""
        request.context.id = request.get_header(SESSION_HEADER) or f"Request-{uuid.uuid4()}"
        response.set_header(SESSION_HEADER, printable(request.context.id))

    def process_response(
        self, request: falcon.Request, response: falcon.Response, _resource: object, _succeeded: bool
    ) -> None:
        """Log how it went."""
        level = logging.DEBUG if response.status_code < 400 else logging.WARNING
        log.log(level, "%s %s: %s [%s]", request.method, printable(request.path), response.status, request_id(request))


def request_id(request: falcon.Request) -> str:
    """Return the request's id, safe to print."""
    return printable(getattr(request.context, "id", "-"))


def printable(text: str, limit: int = 100) -> str:
    """Return the text cut and without control characters, so that nobody writes lines of their own into a log."""
    if len(text) <= limit and text.isprintable():
        return text  # nearly always, and several times in each request
    return "".join(character if character.isprintable() else "?" for character in text[:limit])


def on_unforeseen(
    request: falcon.Request, _response: falcon.Response, error: Exception, _params: dict[str, Any]
) -> None:
    """Answer 500 to what nobody foresaw, with the traceback in the log."""
    log.error("%s %s failed [%s]", request.method, printable(request.path), request_id(request), exc_info=error)
    raise falcon.HTTPInternalServerError(
        title="internal error",
        description=f"{type(error).__name__}; the service's log has the traceback under [{request_id(request)}]",
    )


def new_app(middleware: list[Any] | None = None) -> App:
    """Return a Falcon app with the request id, JSON errors and the handler of the unforeseen."""
    app = falcon.App(middleware=[RequestId(), *(middleware or [])])
    app.add_error_handler(Exception, on_unforeseen)
    # Falcon's own errors keep their handlers: the most specific class wins.
    app.resp_options.xml_error_serialization = False
    return app
