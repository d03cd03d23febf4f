"""The health port: a kubelet's own 10248, plain HTTP and open to all, for the probes of the pod that we run in.

Run by ``process.py``. Every replica answers here, whether it leads or not; the kubelet port is the leader's alone,
because who asks there means the node. Invariants: it tells of this process and of nothing else; whoever holds
connections open here takes as little as at the kubelet port, and keeps no probe out.
"""

from collections.abc import Callable

from interlink.vk.kubelet.connection import Reply, Request
from interlink.vk.kubelet.listener import Listener
from interlink.vk.kubelet.stream import PlainStream

Troubles = Callable[[], list[str]]


class HealthServer:
    """``health`` and ``readiness`` give what is wrong, in sentences; ``role`` says what this replica does."""

    def __init__(self, port: int, health: Troubles, readiness: Troubles, role: Callable[[], str]) -> None:
        self.health = health
        self.readiness = readiness
        self.role = role
        self.listener = Listener("health port", port, PlainStream, self._answer)

    async def __aenter__(self) -> "HealthServer":
        await self.listener.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.listener.close()

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
