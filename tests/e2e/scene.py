"""A virtual kubelet of this tree between a real kube-apiserver, through a proxy that breaks it, and a fake InterLink.

For tests of faults: everything but the control plane runs in the test's own loop. ``settled`` says whether nothing was
failed, lost or doubled: each pod has its one job, and no job is without its pod.
"""

import asyncio
import selectors
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from interlink.config import Config
from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.errors import ConflictError, NotFoundError, RetryError
from interlink.vk.edge.fake import FakeEdge
from interlink.vk.main import VirtualKubelet
from tests.e2e.controlplane import ControlPlane
from tests.e2e.kubelet import drop_connections
from tests.e2e.proxy import FaultyProxy

Json = dict[str, Any]
RUNNING = {"running": {"startedAt": "2026-01-01T00:00:01Z"}}
DONE = {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": "2026-01-01T00:00:09Z"}}


class Scene:
    """One namespace and one node; ``api`` goes straight to kube-apiserver, the virtual kubelet through the proxy."""

    def __init__(self, plane: ControlPlane, api: ApiServer, proxy: FaultyProxy, edge: FakeEdge) -> None:
        self.plane = plane
        self.api = api
        self.proxy = proxy
        self.edge = edge
        self.name = f"faults-{uuid.uuid4().hex[:8]}"
        self.pods = f"/api/v1/namespaces/{self.name}/pods"
        #: UIDs of all pods that were ever created here.
        self.made: set[str] = set()
        edge.end_on_delete = True

    def config(self) -> Config:
        return Config(
            interlink_url=f"http://127.0.0.1:{self.edge.port}", node_name=self.name, kubelet_port=0,
            vkubelet_pod_ip="127.0.0.1",
        )  # fmt: skip

    @asynccontextmanager
    async def kubelet(self, clock: Callable[[], float] = time.time) -> AsyncIterator[VirtualKubelet]:
        """Run a virtual kubelet for the time of the block; raises what it died of."""
        stop = asyncio.Event()
        async with VirtualKubelet(self.config(), self.proxy.access, clock=clock) as kubelet:
            task = asyncio.create_task(kubelet.run(stop))
            try:
                yield kubelet
            finally:
                stop.set()
                await task

    @asynccontextmanager
    async def site(self, life: float) -> AsyncIterator[None]:
        """Let each job run at once, and end well after so many seconds, for the time of the block."""
        task = asyncio.create_task(self._run_jobs(life))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run_jobs(self, life: float) -> None:
        began: dict[str, float] = {}
        while True:
            now = asyncio.get_running_loop().time()
            for uid, status in list(self.edge.statuses.items()):
                if status.ended:
                    continue
                if uid not in began:
                    began[uid] = now
                    self.edge.say(uid, RUNNING)
                elif now - began[uid] > life:
                    self.edge.say(uid, DONE, ended=True)
            await asyncio.sleep(0.02)

    async def create(self, name: str, **spec: Any) -> str:
        """Create a pod that is bound to the node; return its UID."""
        containers = [{"name": "c", "image": "busybox"}]
        whole = {
            "nodeName": self.name, "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
            "tolerations": [{"operator": "Exists"}], "automountServiceAccountToken": False, "containers": containers,
            **spec,
        }  # fmt: skip
        pod = await self.api.post(self.pods, {"metadata": {"name": name}, "spec": whole})
        self.made.add(pod["metadata"]["uid"])
        return str(pod["metadata"]["uid"])

    async def delete(self, name: str, uid: str, grace: int = 1) -> None:
        """Delete the pod as its user would."""
        with suppress(NotFoundError, ConflictError):
            await self.api.delete(f"{self.pods}/{name}", uid=uid, grace_seconds=grace)

    async def found(self) -> list[Json]:
        """Return all pods as kube-apiserver has them."""
        while True:
            with suppress(RetryError):
                return [item async for page, _ in self.api.pages(self.pods, {}) for item in page]

    async def pod(self, name: str) -> Json:
        return await self.api.get(f"{self.pods}/{name}")

    async def phases(self) -> dict[str, int]:
        """Return how many pods are in each phase; those that are being deleted count as such."""
        counts: dict[str, int] = {}
        for pod in await self.found():
            phase = "deleting" if pod["metadata"].get("deletionTimestamp") else pod["status"]["phase"]
            counts[phase] = counts.get(phase, 0) + 1
        return counts

    async def events(self, reason: str) -> list[Json]:
        """Return the events of the namespace with this reason."""
        path = f"/api/v1/namespaces/{self.name}/events"
        return [item async for page, _ in self.api.pages(path, {}) for item in page if item["reason"] == reason]

    async def settled(self) -> list[str]:
        """Return what is not as it should be, pod by pod: nothing, once all has come right."""
        there = {pod["metadata"]["uid"]: pod for pod in await self.found()}
        wrong = [f"{uid} has no job" for uid in there if uid not in self.edge.created]
        wrong += [f"{uid} was ended, and its pod is there" for uid in there if uid in self.edge.deleted]
        wrong += [f"{uid} is a job of no pod" for uid, status in self.edge.statuses.items()
                  if uid not in there and not status.ended]  # fmt: skip
        wrong += [f"{uid} is nobody's" for uid in self.edge.created if uid not in self.made]
        wrong += [f"{uid}: {pod['status']}" for uid, pod in there.items() if pod["status"]["phase"] == "Failed"]
        return wrong


@asynccontextmanager
async def scene(plane: ControlPlane) -> AsyncIterator[Scene]:
    """Make a namespace; what is in it goes at the end."""
    proxy, edge = FaultyProxy(plane.access()), FakeEdge()
    try:
        async with ApiServer(plane.access(), timeout=600.0) as api, proxy.serve(), edge.serve():
            made = Scene(plane, api, proxy, edge)
            await api.post("/api/v1/namespaces", {"metadata": {"name": made.name}})
            yield made
    finally:
        await drop_connections()


class FastLoop(asyncio.SelectorEventLoop):
    """A loop whose clock runs so many times as fast as the machine's: its timers do too, and the network does not."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        selector = selectors.DefaultSelector()
        select = selector.select
        selector.select = lambda timeout=None: select(timeout and timeout / speed)  # type: ignore[method-assign]
        super().__init__(selector)

    def time(self) -> float:
        return super().time() * self._speed


async def until(what: str, look: Callable[[], Any], good: Callable[[Any], bool] = bool, within: float = 60) -> Any:
    """Look until it is good, and return what was seen; ``look`` may be a coroutine function."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within
    while True:
        seen = look()
        seen = await seen if asyncio.iscoroutine(seen) else seen
        if good(seen):
            return seen
        assert loop.time() < end, f"{what}: not within {within:.0f} s; last seen: {seen!r}"
        await asyncio.sleep(0.05)
