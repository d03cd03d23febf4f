"""The routes of the kubelet port, behind the gate: health, pods, logs, and a clear word for what is not there yet.

``Routes.handle`` is the handler of every connection.
"""

from collections.abc import Callable

import msgspec

from interlink.vk.apiserver.errors import ApiError
from interlink.vk.kubelet.access import Gate
from interlink.vk.kubelet.connection import Reply, Request
from interlink.vk.kubelet.logs import Logs
from interlink.vk.pods.store import PodStore

JSON = "application/json"
_SESSIONS = {"exec": "exec", "attach": "attach", "run": "exec", "portForward": "port-forward"}


class Routes:
    """What the port answers; ``health`` gives the reasons why this process is not well, none where it is."""

    def __init__(self, gate: Gate, logs: Logs, store: PodStore, health: Callable[[], list[str]]) -> None:
        self.gate = gate
        self.logs = logs
        self.store = store
        self.health = health

    async def handle(self, request: Request, reply: Reply) -> None:
        """Answer one request."""
        if request.path.rstrip("/") == "/healthz":
            # Open to all, because the kubelet's probe of our own pod has no credentials; it says nothing else.
            reasons = self.health()
            await reply.text(500 if reasons else 200, "\n".join(reasons) or "ok")
            return
        if await self._admit(request, reply):
            reply.admitted()
            await self._route(request, reply)

    async def _admit(self, request: Request, reply: Reply) -> bool:
        try:
            user = await self.gate.identify(request.certificate, request.headers.get("authorization", ""))
            allowed = bool(user) and user is not None and await self.gate.allows(user, request.method, request.path)
        except ApiError as error:
            await reply.text(500, f"who may ask could not be reviewed: {error}\n")
            return False
        if user is None:
            await reply.text(401, "Unauthorized\n")
        elif not allowed:
            await reply.text(403, f"Forbidden (user={user.name}, node={self.gate.node_name}, path={request.path})\n")
        return allowed

    async def _route(self, request: Request, reply: Reply) -> None:
        root, *rest = request.path.strip("/").split("/")
        if root in _SESSIONS:
            await reply.text(501, f"{_SESSIONS[root]} is not supported by this virtual kubelet\n")
        elif root == "containerLogs" and len(rest) == 3 and request.method == "GET":
            await self.logs.serve(request, reply, *rest)
        elif root == "pods" and not rest:
            await self._pods(reply)
        else:
            await reply.text(404, "404 page not found\n")

    async def _pods(self, reply: Reply) -> None:
        await reply.start(200, JSON)
        await reply.write(b'{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[')
        for number, record in enumerate(list(self.store.pods.values())):
            await reply.write((b"," if number else b"") + msgspec.json.encode(record.load()))
        await reply.write(b"]}")
