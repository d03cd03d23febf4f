"""Two whole virtual kubelets of one node: the standby takes over and no pod notices; only the leader is the node."""

import asyncio
import dataclasses
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from interlink.vk import main
from interlink.vk.apiserver.access import Access
from interlink.vk.leader.fence import Fence
from interlink.vk.leader.process import LeasePlace
from interlink.vk.leader.record import Timing
from tests.unit.ports import free_port

World = Any  # of conftest.py
Eventually = Callable[..., Any]
NODE = "/api/v1/nodes/vk-test"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/site/leases/vk"
PLACE = LeasePlace("site", "vk", Timing(lease=3, renew=2, retry=0.2))


class Process:
    """One replica, with an address and ports of its own."""

    def __init__(self, world: World, address: str) -> None:
        self.world = world
        self.access = Access(world.api.access.server, None, dict)
        self.config = dataclasses.replace(
            world.config(), vkubelet_pod_ip=address, kubelet_port=free_port(), health_port=free_port()
        )
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(main.run_replica(self.config, self.access, PLACE, self.stop))

    @property
    def is_the_node(self) -> bool:
        status = (self.world.api.objects.get(NODE) or {}).get("status") or {}
        endpoint = (status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}
        addresses = [address["address"] for address in status.get("addresses") or []]
        return (addresses, endpoint.get("Port")) == ([self.config.vkubelet_pod_ip], self.config.kubelet_port)

    def serves_the_kubelet_port(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.config.kubelet_port)) == 0

    async def ask(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.config.health_port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status, await response.text()

    async def kill(self) -> None:
        object.__setattr__(self.access, "server", "http://127.0.0.1:1")  # nothing is given back
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@asynccontextmanager
async def replicas(world: World, eventually: Eventually) -> AsyncIterator[tuple[Process, Process]]:
    """Run a leader, whose node is registered, and a standby that has looked at the lease."""
    leader = Process(world, "127.0.0.1")
    await eventually(lambda: leader.is_the_node)
    looked = world.api.count("GET", LEASE)
    standby = Process(world, "127.0.0.2")
    await eventually(lambda: world.api.count("GET", LEASE) > looked)
    try:
        yield leader, standby
    finally:
        for process in (standby, leader):
            process.stop.set()
            await asyncio.gather(process.task, return_exceptions=True)


@pytest.mark.parametrize("end", ["killed", "stopped"])
async def test_the_standby_becomes_the_node_and_touches_no_pod(world: World, eventually: Eventually, end: str) -> None:
    async with replicas(world, eventually) as (leader, standby):
        uid = world.add_pod("p")["metadata"]["uid"]
        await eventually(lambda: uid in world.edge.statuses)
        world.edge.say(uid, {"running": {"startedAt": "2026-01-01T00:00:00Z"}})
        await eventually(lambda: world.phase("p") == "Running")
        version = world.pod("p")["metadata"]["resourceVersion"]
        ready = next(c for c in world.api.objects[NODE]["status"]["conditions"] if c["type"] == "Ready")
        assert not standby.is_the_node
        if end == "killed":
            await leader.kill()
        else:
            leader.stop.set()
            await leader.task
        await eventually(lambda: standby.is_the_node)
        await eventually(lambda: world.edge.count("/changes") and world.pod("p"))
        # What happens now is the standby's to tell.
        world.edge.say(uid, {"terminated": {"exitCode": 0}}, ended=True)
        assert world.pod("p")["metadata"]["resourceVersion"] == version
        await eventually(lambda: world.phase("p") == "Succeeded")
        assert (world.edge.count("/create", uid), world.edge.count("/delete", uid)) == (1, 0)
        after = next(c for c in world.api.objects[NODE]["status"]["conditions"] if c["type"] == "Ready")
        assert after["lastTransitionTime"] == ready["lastTransitionTime"]


async def test_a_standby_looks_at_the_lease_and_does_nothing_else(world: World, eventually: Eventually) -> None:
    async with replicas(world, eventually) as (leader, standby):
        assert leader.serves_the_kubelet_port()
        object.__setattr__(leader.access, "server", "http://127.0.0.1:1")
        looked = world.api.count("GET", LEASE)
        # Two looks of the standby later all has arrived that the leader had under way.
        await eventually(lambda: world.api.count("GET", LEASE) >= looked + 2)
        world.api.requests.clear()
        looked = world.api.count("GET", LEASE)
        await eventually(lambda: world.api.count("GET", LEASE) >= looked + 3)
        assert set(world.api.requests) == {("GET", LEASE)}
        assert not standby.serves_the_kubelet_port()


async def test_each_replica_says_truthfully_how_it_is(world: World, eventually: Eventually) -> None:
    async with replicas(world, eventually) as (leader, standby):
        assert (await leader.ask("/readyz")) == (200, "ok: leading")
        status, text = await standby.ask("/readyz")
        assert (status, text.startswith("ok: standing by, ")) == (200, True)
        assert (await standby.ask("/healthz"))[0] == (await leader.ask("/livez"))[0] == 200
        assert (await standby.ask("/pods"))[0] == 404
        object.__setattr__(standby.access, "server", "http://127.0.0.1:1")
        await asyncio.sleep(PLACE.timing.renew + 0.1)
        status, text = await standby.ask("/readyz")
        assert (status, "cannot be read" in text) == (500, True), "it could not take over"
        assert (await standby.ask("/healthz"))[0] == 200, "a new start would not help"


async def test_a_leader_is_ready_when_its_node_and_pods_are_there(world: World, eventually: Eventually) -> None:
    world.api.fail("GET /api/v1/pods", 500, times=1000)
    process = Process(world, "127.0.0.1")
    try:
        await eventually(lambda: process.is_the_node)
        assert await process.ask("/readyz") == (500, "node vk-test has not listed its pods yet")
        assert (await process.ask("/healthz"))[0] == 200
        world.api.failures.clear()
        for _ in range(200):
            if (await process.ask("/readyz"))[0] == 200:
                break
            await asyncio.sleep(0.05)
        assert await process.ask("/readyz") == (200, "ok: leading")
    finally:
        process.stop.set()
        await process.task


async def test_where_the_fence_is_closed_nothing_reaches_cluster_or_edge(world: World, eventually: Eventually) -> None:
    uid = world.add_pod("p")["metadata"]["uid"]
    stop = asyncio.Event()
    async with main.VirtualKubelet(world.config(), world.api.access, fence=Fence()) as kubelet:
        task = asyncio.create_task(kubelet.run(stop))
        await eventually(lambda: world.edge.count("/changes"))
        await asyncio.sleep(0.5)
        stop.set()
        await task
    assert {method for method, _ in world.api.requests} == {"GET"}
    assert world.edge.count("/create") == world.edge.count("/delete", uid) == 0
