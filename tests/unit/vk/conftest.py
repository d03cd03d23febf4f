"""A virtual kubelet between a fake kube-apiserver and a fake InterLink, all over real HTTP."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from interlink.config import Config, NodeResources
from interlink.config.entries import NodeConfig
from interlink.vk import main
from interlink.vk.apiserver.fake import FakeApiServer
from interlink.vk.edge.fake import FakeEdge
from interlink.vk.virtual_node import VirtualNode
from tests.unit.vk.port import Client
from tests.unit.vk.unhurried import UnhurriedClock

Json = dict[str, Any]
NODE = "vk-test"


class World:
    """Both fakes, and as many virtual kubelets after one another as a test wants."""

    def __init__(self, api: FakeApiServer, edge: FakeEdge) -> None:
        self.api = api
        self.edge = edge
        self.kubelet: VirtualNode | None = None
        #: What the configuration has in Nodes.
        self.nodes: dict[str, NodeConfig] = {}
        #: What else the configuration has.
        self.changes: Json = {}
        #: How far the cluster's and the virtual kubelet's clocks are ahead of the real one, in seconds.
        self.ahead = 0.0
        api.clock = self.clock

    def clock(self) -> float:
        return time.time() + self.ahead

    def config(self) -> Config:
        return Config(
            interlink_url=f"http://127.0.0.1:{self.edge.port}",
            node_name=NODE,
            nodes=self.nodes,
            kubelet_port=0,
            vkubelet_pod_ip="127.0.0.1",
            resources=NodeResources(cpu="2", memory="4Gi", pods="10"),
            **self.changes,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[VirtualNode]:
        """Run one virtual kubelet for the time of the block; gives its (first) node."""
        stop = asyncio.Event()
        async with main.VirtualKubelet(self.config(), self.api.access, self.clock, load=self.config) as kubelet:
            self.kubelet = kubelet.nodes[0]
            task = asyncio.create_task(kubelet.run(stop))
            try:
                yield self.kubelet
            finally:
                stop.set()
                await task

    def add_pod(self, name: str, **changes: Any) -> Json:
        """Create a pod that is bound to the node."""
        spec: Json = {
            "nodeName": NODE,
            "restartPolicy": changes.pop("restartPolicy", "Never"),
            "containers": [{"name": "c", "image": "busybox"}],
        }
        spec |= changes.pop("spec", {})
        metadata: Json = {
            "name": name,
            "namespace": "default",
            "uid": str(uuid.uuid4()),
            "generation": 1,
            "managedFields": [{"manager": "kubectl"}],
        }
        metadata |= changes.pop("metadata", {})
        pod = {"metadata": metadata, "spec": spec, "status": {"phase": "Pending", **changes.pop("status", {})}}
        return self.api.put(path(name), pod)

    def pod(self, name: str) -> Json:
        """Return the pod as the API holds it, an empty one where there is none."""
        return self.api.objects.get(path(name)) or {}

    def phase(self, name: str) -> str:
        """Return the pod's phase, empty where there is no pod."""
        return str((self.pod(name).get("status") or {}).get("phase") or "")

    def statuses_sent(self, name: str = "") -> int:
        """Return how many requests would have written the pod's status, or any pod's."""
        about = [asked for _, asked in self.api.requests if "/pods/" in asked and asked.endswith("/status")]
        return sum(1 for asked in about if not name or asked.startswith(path(name) + "/"))

    def reasons(self) -> list[str]:
        """Return the reasons of all events."""
        return [value["reason"] for key, value in self.api.objects.items() if "/events/" in key]

    async def delete(self, name: str, grace: int = 30) -> None:
        """Delete the pod as a user would."""
        self.api._delete(path(name), {"gracePeriodSeconds": grace})


def path(name: str) -> str:
    return f"/api/v1/namespaces/default/pods/{name}"


async def until(fact: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Wait until the fact is true."""
    end = asyncio.get_running_loop().time() + seconds
    while not (result := fact()):
        assert asyncio.get_running_loop().time() < end, "it did not come true"
        await asyncio.sleep(0.01)
    return result


@pytest.fixture
def eventually() -> Callable[..., Any]:
    return until


@pytest.fixture
async def unhurried(monkeypatch: pytest.MonkeyPatch) -> UnhurriedClock:
    """The clock by which the test's loop runs all of its timers from now on."""
    loop: Any = asyncio.get_running_loop()
    clock = UnhurriedClock(loop._selector.select)
    monkeypatch.setattr(loop._selector, "select", clock.select)
    monkeypatch.setattr(loop, "time", clock.time)
    return clock


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr("interlink.vk.edge.pinger.PING_SECONDS", 0.2)
    monkeypatch.setattr("interlink.vk.live.LOOK_SECONDS", 0.1)
    monkeypatch.setattr("interlink.vk.changes.LONG_POLL_SECONDS", 1.0)
    monkeypatch.setattr("interlink.vk.apiserver.reflector.FIRST_PAUSE", 0.02)
    monkeypatch.setattr("interlink.vk.pods.queue.LONGEST_PAUSE", 0.5)
    monkeypatch.setattr("interlink.vk.volumes.versions.LEAST_SECONDS", 0.05)
    monkeypatch.setattr("interlink.vk.volumes.versions.IDLE_SECONDS", 0.02)
    monkeypatch.setattr("interlink.vk.volumes.updates.LOOK_SECONDS", 0.05)
    monkeypatch.setattr("interlink.vk.volumes.updates.LONGEST_RETRY", 0.5)
    api, edge = FakeApiServer(), FakeEdge()
    async with api.serve(), edge.serve():
        yield World(api, edge)


@pytest.fixture
async def client(world: World) -> AsyncIterator[Client]:
    """A client of the port of a running virtual kubelet, which has one pod that the edge knows."""
    world.api.reviews = {
        "admin": {"username": "root", "groups": ["system:masters"]},
        "reader": {"username": "reader", "groups": ["system:authenticated"]},
        "nobody": {"username": "nobody"},
    }
    world.api.rules = {("reader", "get", "proxy")}
    uid = world.add_pod("p")["metadata"]["uid"]
    async with world.running() as kubelet:
        await until(lambda: uid in world.edge.statuses)
        yield Client(world, kubelet, uid)
