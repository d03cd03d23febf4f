"""One connection to the kubelet port or the health port: h11 over a stream, replies that can stream.

Made by ``listener.py`` for each accepted connection. A client that goes away cancels its handler, so that whatever
feeds the reply is freed. h11, not a web framework, because a later protocol (SPDY, WebSocket) takes the connection
over where this one ends.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import h11

from interlink.vk.kubelet.stream import Stream

log = logging.getLogger(__name__)

#: How long to wait for the next request, until all of it is there.
IDLE_SECONDS = 120.0
#: How long a client may take nothing of a reply; of a log that somebody reads page by page, as long as a kubelet lets
#: its streams be idle.
STALL_SECONDS, READER_SECONDS = 60.0, 4 * 3600.0
LARGEST_BODY = 1 << 20
LARGEST_HEAD = 65536
CHUNK = 65536
MOST_PARAMETERS = 1000


class ClientError(Exception):
    """The client broke the protocol, or takes nothing any more."""


class CutOffError(Exception):
    """What was begun cannot be ended: the connection is cut, so that nobody takes the part for the whole."""


@dataclass(frozen=True)
class Request:
    """One request; ``certificate`` is the verified client certificate, in ssl's form."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    certificate: dict[str, Any] | None

    def first(self, name: str) -> str:
        """Return the query parameter's first value, empty where there is none."""
        return self.query.get(name, [""])[0]


class Reply:
    """The answer to one request: whole by ``text``, or begun by ``start`` and streamed by ``write``."""

    def __init__(self, connection: "Connection", *, bodiless: bool) -> None:
        self._connection = connection
        self._bodiless = bodiless
        self.status = 0
        self.patience = STALL_SECONDS

    @property
    def started(self) -> bool:
        """Whether the head has gone."""
        return self.status != 0

    def admitted(self) -> None:
        """The client may ask what it asks: its connection is no longer closed to make room for others."""
        self._connection.admitted = True

    async def text(
        self,
        status: int,
        body: str | bytes,
        content_type: str = "text/plain; charset=utf-8",
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Send a whole answer."""
        content = body.encode() if isinstance(body, str) else body
        await self.start(status, content_type, length=len(content), headers=headers)
        await self.write(content)

    async def start(
        self, status: int, content_type: str, length: int | None = None, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Send the head at once; without a length the body is chunked."""
        size = ("Transfer-Encoding", "chunked") if length is None else ("Content-Length", str(length))
        head = [("Content-Type", content_type), ("X-Content-Type-Options", "nosniff"), size, *headers]
        self.status = status
        await self._connection.send(h11.Response(status_code=status, headers=head), self.patience)

    async def write(self, content: bytes) -> None:
        """Send a piece of the body at once; waits while the client does not read."""
        if content and not self._bodiless:
            await self._connection.send(h11.Data(data=content), self.patience)


Handler = Callable[[Request, Reply], Awaitable[None]]


class Connection:
    """One client. While ``admitted`` is False it has shown nobody whom it is worth to wait for, since ``since``."""

    def __init__(self, stream: Stream, handler: Handler, port: str = "kubelet port") -> None:
        self.stream = stream
        self.handler = handler
        #: What the log calls where it has come in.
        self.port = port
        self.protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_HEAD)
        self.admitted = False
        self.since = time.monotonic()

    async def serve(self) -> None:
        """Serve requests until the client goes or breaks the protocol."""
        try:
            while (request := await self._request_in_time()) is not None:
                if not await self._answer(request):
                    return
                if self.protocol.our_state is h11.MUST_CLOSE:
                    return
                self.protocol.start_next_cycle()
                self.admitted, self.since = False, time.monotonic()
        except (ClientError, h11.RemoteProtocolError) as error:
            await self._complain(error)
        except (OSError, TimeoutError) as error:
            log.debug("%s: connection lost: %s", self.port, error)

    async def send(self, event: h11.Event, patience: float = STALL_SECONDS) -> None:
        """Send one h11 event and wait until there is room for more. Raises ClientError where the client stalls."""
        data = self.protocol.send(event)
        if not data:
            return
        try:
            async with asyncio.timeout(patience):
                await self.stream.write(data)
        except TimeoutError as error:
            raise ClientError(f"the client takes nothing for {patience:.0f} s") from error

    async def _request_in_time(self) -> Request | None:
        async with asyncio.timeout(IDLE_SECONDS):
            return await self._next_request()

    async def _next_request(self) -> Request | None:
        head: h11.Request | None = None
        size = 0
        while True:
            event = self.protocol.next_event()
            if event is h11.NEED_DATA:
                if self.protocol.they_are_waiting_for_100_continue:
                    await self.send(h11.InformationalResponse(status_code=100, headers=[]))
                self.protocol.receive_data(await self.stream.read(CHUNK))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                size += len(event.data)
                if size > LARGEST_BODY:
                    raise ClientError("the request's body is too large")
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                return self._request(head)
            else:
                return None

    def _request(self, head: h11.Request) -> Request:
        try:
            url = urlsplit(head.target.decode("ascii"))
            query = parse_qs(url.query, keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
        except ValueError as error:
            raise ClientError(f"malformed request target: {error}") from error
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
        certificate = self.stream.peer_certificate()
        return Request(head.method.decode("ascii"), unquote(url.path), query, headers, certificate)

    async def _answer(self, request: Request) -> bool:
        """Run the handler; False where the client went away or the reply could not be ended properly."""
        work = asyncio.ensure_future(self._handle(request))
        watch = asyncio.ensure_future(self._until_gone())
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone = not work.done()
            for task in (work, watch):
                task.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)
        return not gone and not work.cancelled() and work.exception() is None and work.result()

    async def _handle(self, request: Request) -> bool:
        reply = Reply(self, bodiless=request.method == "HEAD")
        try:
            await self.handler(request, reply)
        except (OSError, ClientError) as error:
            log.debug("%s: %s %s: client lost: %s", self.port, request.method, request.path, error)
            return False
        except CutOffError as error:
            log.warning("%s: %s %s: cut off: %s", self.port, request.method, request.path, error)
            return False
        except Exception:
            log.exception("%s: %s %s", self.port, request.method, request.path)
            if reply.started:
                return False  # cut off, so that nobody takes it for the whole
            await reply.text(500, "internal error of the virtual kubelet; its log has the reason\n")
        await self.send(h11.EndOfMessage())
        return True

    async def _until_gone(self) -> None:
        """Keep what the client sends ahead; return once it is gone, or sends more than any request is."""
        kept = 0
        try:
            while kept <= LARGEST_BODY and (data := await self.stream.read(CHUNK)):
                self.protocol.receive_data(data)
                kept += len(data)
        except OSError:
            return

    async def _complain(self, error: Exception) -> None:
        log.debug("%s: bad request: %s", self.port, error)
        if self.protocol.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        status = getattr(error, "error_status_hint", 400)
        try:
            body = f"{error}\n".encode()
            headers = [("Content-Length", str(len(body))), ("Connection", "close")]
            await self.send(h11.Response(status_code=status, headers=headers))
            await self.send(h11.Data(data=body))
            await self.send(h11.EndOfMessage())
        except (OSError, ClientError, h11.LocalProtocolError):
            return
