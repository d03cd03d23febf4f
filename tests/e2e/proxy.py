"""An HTTP proxy in front of a real kube-apiserver that can be slow, refuse, answer what it never said, and cut.

Spoken to by plain HTTP on loopback; each request goes on over TLS, with its own headers.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import aiohttp
from aiohttp import web

from interlink.vk.apiserver.access import Access

#: What the proxy does to a request: a status to answer with, bytes to answer 200 with, "cut" for a connection that ends
#: half-way, None to help.
Fault = int | bytes | str | None
_HOP = {"transfer-encoding", "connection", "content-length", "host", "content-encoding"}


class FaultyProxy:
    """The proxy; ``fault`` and ``delay`` (seconds) are asked for each request, by its method and path with query."""

    def __init__(self, upstream: Access) -> None:
        self.upstream = upstream
        self.fault: Callable[[str, str], Fault] = lambda _method, _path: None
        self.delay: Callable[[], float] = lambda: 0.0
        #: Awaited with each method and path before it is passed on: what happens between a decision and its write.
        self.before: Callable[[str, str], Awaitable[None]] = _nothing
        self.retry_after = "1"
        #: (loop's time, method, path with query, what was done to it), of each request.
        self.requests: list[tuple[float, str, str, Fault]] = []
        #: (method, path with query, status) of each answer of kube-apiserver's own.
        self.answers: list[tuple[str, str, int]] = []
        self.access = upstream
        self._open: set[asyncio.BaseTransport] = set()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["FaultyProxy"]:
        """Listen on a free loopback port for the time of the block."""
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        self.access = Access(f"http://{host}:{port}", None, self.upstream.headers)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as self._session:
            try:
                yield self
            finally:
                await runner.cleanup()

    def cut(self) -> None:
        """Break every connection that has a request under way: the watches, too."""
        for transport in self._open:
            transport.close()

    def count(self, part: str) -> int:
        """Return how many requests had this in ``METHOD path``."""
        return sum(part in f"{method} {path}" for _, method, path, _ in self.requests)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        fault = self.fault(request.method, request.path_qs)
        self.requests.append((asyncio.get_running_loop().time(), request.method, request.path_qs, fault))
        body = await request.read()
        await asyncio.sleep(self.delay())
        if isinstance(fault, int):
            headers = {"Retry-After": self.retry_after} if fault == 429 else {}
            return web.Response(status=fault, text="the proxy says so", headers=headers)
        if isinstance(fault, bytes):
            return web.Response(body=fault, content_type="application/json")
        await self.before(request.method, request.path_qs)
        transport = request.transport
        if transport is None:
            return web.Response(status=499)
        self._open.add(transport)
        try:
            return await self._pass_on(request, body, cut=fault == "cut")
        except aiohttp.ClientConnectionError as error:
            return web.Response(status=502, text=f"no kube-apiserver: {error}")
        finally:
            self._open.discard(transport)

    async def _pass_on(self, request: web.Request, body: bytes, *, cut: bool) -> web.StreamResponse:
        sent = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        url = self.upstream.server + request.path_qs
        async with self._session.request(
            request.method, url, data=body, headers=sent, ssl=self.upstream.tls or False,
            timeout=aiohttp.ClientTimeout(total=None),
        ) as answer:  # fmt: skip
            self.answers.append((request.method, request.path_qs, answer.status))
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
            reply = web.StreamResponse(status=answer.status, headers=kept)
            # What was asked for has been done by now, and the client will not hear of it.
            if cut and request.transport:
                request.transport.abort()
                return reply
            await reply.prepare(request)
            with suppress(ConnectionError):
                async for chunk in answer.content.iter_any():
                    await reply.write(chunk)
            return reply


async def _nothing(_method: str, _path: str) -> None:
    """Let the request pass on."""


def now_and_then(seed: int, share: float, faults: tuple[Fault, ...]) -> Callable[[str, str], Fault]:
    """Return what does one of these faults to a share of the requests, the same ones for the same seed."""
    dice = random.Random(seed)
    return lambda _method, _path: dice.choice(faults) if dice.random() < share else None
