"""The health port: a kubelet's own 10248, plain HTTP and open to all, for the probes of the pod that we run in.

Run by ``main.py``. Every replica answers here, whether it leads or not; the kubelet port is the leader's alone, because
who asks there means the node. Invariant: it tells of this process and of nothing else.
"""

import asyncio
import logging
from collections.abc import Callable

from interlink.vk.kubelet.connection import Connection, Reply, Request
from interlink.vk.kubelet.stream import PlainStream

log = logging.getLogger(__name__)

Troubles = Callable[[], list[str]]


class HealthServer:
    """``health`` and ``readiness`` give what is wrong, in sentences; ``role`` says what this replica does."""

    def __init__(self, port: int, health: Troubles, readiness: Troubles, role: Callable[[], str]) -> None:
        self.port = port
        self.health = health
        self.readiness = readiness
        self.role = role
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "HealthServer":
        self._server = await asyncio.start_server(self._accept, None, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        log.info("health port %d is open", self.port)
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._server:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await Connection(PlainStream(reader, writer), self._answer).serve()
        finally:
            writer.close()

    async def _answer(self, request: Request, reply: Reply) -> None:
        path = request.path.rstrip("/")
        if path in ("/healthz", "/livez"):
            troubles = self.health()
        elif path == "/readyz":
            troubles = self.health() + self.readiness()
        else:
            await reply.text(404, "404 page not found\n")
            return
        await reply.text(500 if troubles else 200, "\n".join(troubles) or f"ok: {self.role()}")
