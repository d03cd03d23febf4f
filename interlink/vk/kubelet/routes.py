"""The routes of the kubelet port, behind the gate; what there is not yet is refused with a reason.

``Routes.handle`` is the handler of every connection. A kubelet's own paths and codes: pkg/kubelet/server/server.go.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from interlink.vk.apiserver.errors import ApiError
from interlink.vk.kubelet.access import Gate
from interlink.vk.kubelet.connection import Reply, Request
from interlink.vk.kubelet.logs import Logs
from interlink.vk.kubelet.stats import node_stats, pod_stats, resource_metrics
from interlink.vk.metrics import TEXT, Counter
from interlink.vk.pods.store import PodStore
from interlink.wire.messages import PodStatus

Json = dict[str, Any]

JSON = "application/json"
_SESSIONS = {"exec": "exec", "attach": "attach", "run": "exec", "portForward": "port-forward"}
#: Work of so many pods at once, then everybody else's turn: 10,000 of them take half a second.
_BATCH = 50
_HEALTH = ("/healthz", "/healthz/ping", "/healthz/log", "/healthz/syncloop")


@dataclass(frozen=True)
class Views:
    """What the routes show of other parts, as it is when they are asked."""

    #: The reasons why this process is not well, none where it is.
    health: Callable[[], list[str]]
    metrics: Callable[[], str]
    configz: Callable[[], Json]
    #: The edge's last word on the node's pods.
    statuses: Callable[[], Iterable[PodStatus]]


class Routes:
    """What the port answers."""

    def __init__(self, gate: Gate, logs: Logs, store: PodStore, views: Views) -> None:
        self.gate = gate
        self.logs = logs
        self.store = store
        self.views = views
        self.requests = Counter(
            "interlink_vk_port_requests_total", "Requests at this port, once they are answered.", ("route", "code")
        )
        self._routes: dict[str, Callable[[Reply], Awaitable[None]]] = {
            "pods": self._pods,
            "runningpods": self._running_pods,
            "configz": self._configz,
            "metrics": self._metrics,
            "metrics/resource": self._resource_metrics,
            # Well-formed and empty: what a kubelet says there of cgroups and probes, the site would have to tell.
            "metrics/cadvisor": self._no_metrics,
            "metrics/probes": self._no_metrics,
            "stats/summary": self._summary,
        }

    async def handle(self, request: Request, reply: Reply) -> None:
        """Answer one request."""
        try:
            path = request.path.rstrip("/")
            if path in _HEALTH:
                # Open to all, because the kubelet's probe of our own pod has no credentials; it says nothing else.
                reasons = self.views.health() if path in ("/healthz", "/healthz/syncloop") else []
                await reply.text(500 if reasons else 200, "\n".join(reasons) or "ok")
            elif await self._admit(request, reply):
                reply.admitted()
                await self._route(request, reply)
        finally:
            self.requests.add(self._bucket(request.path), str(reply.status or "none"))

    async def _admit(self, request: Request, reply: Reply) -> bool:
        try:
            user = await self.gate.identify(request.certificate, request.headers.get("authorization", ""))
            allowed = user is not None and await self.gate.allows(user, request.method, request.path)
        except ApiError as error:
            await reply.text(500, f"who may ask could not be reviewed: {error}\n")
            return False
        if user is None:
            await reply.text(401, "Unauthorized\n")
        elif not allowed:
            await reply.text(403, f"{self.gate.refusal(user, request.method, request.path)}\n")
        return allowed

    async def _route(self, request: Request, reply: Reply) -> None:
        path = request.path.strip("/")
        root, *rest = path.split("/")
        route = self._routes.get(path)
        if root in _SESSIONS:
            await self._session(reply, _SESSIONS[root])
        elif route is None and (root != "containerLogs" or len(rest) != 3):
            await reply.text(404, "404 page not found\n")
        elif request.method not in ("GET", "HEAD"):
            await reply.text(405, "Method Not Allowed\n", headers=[("Allow", "GET")])
        elif route is None:
            await self.logs.serve(request, reply, *rest)
        else:
            await route(reply)

    async def _session(self, reply: Reply, what: str) -> None:
        # client-go shows the words of a Status that comes instead of the switch of protocols.
        status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "reason": "NotImplemented",
            "code": 501,
            "message": f"{what} is not supported by the virtual kubelet of node {self.gate.node_name}",
        }
        await reply.text(501, msgspec.json.encode(status), JSON)

    async def _pods(self, reply: Reply) -> None:
        records = list(self.store.pods.values())
        await self._list(reply, _calmly(record.load() for record in records))

    async def _running_pods(self, reply: Reply) -> None:
        await self._list(reply, _calmly(map(_running, self.views.statuses())))

    async def _list(self, reply: Reply, pods: AsyncIterator[Json | None]) -> None:
        await _stream(reply, b'{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[', pods)

    async def _summary(self, reply: Reply) -> None:
        node = msgspec.json.encode(node_stats(self.gate.node_name))
        records = list(self.store.pods.values())
        await _stream(reply, b'{"node":' + node + b',"pods":[', _calmly(pod_stats(records)))

    async def _configz(self, reply: Reply) -> None:
        await reply.text(200, msgspec.json.encode(self.views.configz()), JSON)

    async def _metrics(self, reply: Reply) -> None:
        await reply.text(200, self.views.metrics(), TEXT)

    async def _resource_metrics(self, reply: Reply) -> None:
        await reply.text(200, resource_metrics(), TEXT)

    async def _no_metrics(self, reply: Reply) -> None:
        await reply.text(200, "", TEXT)

    def _bucket(self, path: str) -> str:
        """Return the route for the metrics: none that a client could invent."""
        path = path.strip("/")
        root = path.partition("/")[0]
        if path in self._routes:
            return path
        return root if root in (*_SESSIONS, "containerLogs", "healthz") else "other"


async def _calmly(items: Iterable[Json | None]) -> AsyncIterator[Json | None]:
    """Yield the items, and let others have their turn now and then."""
    for number, item in enumerate(items, start=1):
        yield item
        if number % _BATCH == 0:
            await asyncio.sleep(0)


async def _stream(reply: Reply, begin: bytes, items: AsyncIterator[Json | None]) -> None:
    """Answer with a JSON object whose last key is a list; what is None is left out."""
    await reply.start(200, JSON)
    await reply.write(begin)
    first = True
    async for item in items:
        if item is not None:
            await reply.write((b"" if first else b",") + msgspec.json.encode(item))
            first = False
    await reply.write(b"]}")


def _running(status: PodStatus) -> Json | None:
    """Return what a kubelet says of a pod that its runtime runs, None where nothing of it runs."""
    containers: list[Json] = [
        {"name": container.get("name"), "image": container.get("image") or "", "resources": {}}
        for container in (*status.initContainers, *status.containers)
        if (container.get("state") or {}).get("running") is not None
    ]
    if not containers:
        return None
    metadata = {"name": status.name, "namespace": status.namespace, "uid": status.UID}
    return {"metadata": metadata, "spec": {"containers": containers}, "status": {}}
