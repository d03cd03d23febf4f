"""What pods cost in requests: kube-apiserver and the edge pay more for each of them than the virtual kubelet does."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from interlink.vk import changes, turns
from interlink.vk.apiserver import client
from interlink.vk.apiserver.access import Access
from interlink.vk.apiserver.errors import RetryError
from interlink.vk.edge.book import StatusBook
from interlink.vk.pods.entrance import Entrance
from interlink.vk.pods.store import PodStore

World = Any  # of conftest.py, which cannot be imported
Eventually = Callable[..., Any]

RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
COMPLETED = {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": "2026-01-01T00:01:00Z"}}


def about_pods(world: World) -> Counter[tuple[str, str]]:
    """Return how many requests were sent about pods, by method and what they were sent to."""
    found: Counter[tuple[str, str]] = Counter()
    for method, path in world.api.requests:
        if "/namespaces/default/" in path:
            kind = path.partition("/namespaces/default/")[2].split("/")
            found[method, "/".join([kind[0], *kind[2:]])] += 1
    return found


async def test_a_pod_s_life_is_one_create_two_statuses_and_what_a_kubelet_tells(
    world: World, eventually: Eventually
) -> None:
    uid = world.add_pod("p")["metadata"]["uid"]
    async with world.running() as kubelet:
        await eventually(lambda: uid in world.edge.statuses)
        await eventually(lambda: world.phase("p") == "Pending" and world.pod("p")["status"].get("conditions"))
        waiting = about_pods(world)
        world.edge.say(uid, RUNNING)
        await eventually(lambda: world.phase("p") == "Running")
        world.edge.say(uid, COMPLETED, ended=True)
        await eventually(lambda: world.phase("p") == "Succeeded")
        await eventually(lambda: not kubelet.queue.known)
        assert not kubelet.updates.queue.known, "it shows nothing that could change"
        life = about_pods(world) - waiting
        world.api.remove("/api/v1/namespaces/default/pods/p")
        await eventually(lambda: world.edge.deleted.get(uid))
        await eventually(lambda: uid not in kubelet.pods.memories)
    assert {key: count for key, count in life.items() if key[1] != "events"} == {("PUT", "pods/status"): 2}
    assert {key: count for key, count in about_pods(world).items() if key[1] != "events"} == {("PUT", "pods/status"): 3}
    assert world.edge.count("/create", uid) == 1
    assert world.edge.count("/delete", uid) == 1
    assert world.edge.count("/status") == 0


@pytest.mark.parametrize("busy", [False, True])
async def test_one_answer_brings_what_changes_closely_together(
    world: World, eventually: Eventually, monkeypatch: pytest.MonkeyPatch, *, busy: bool
) -> None:
    rate, changed = 2.0, 20
    if busy:
        monkeypatch.setattr(turns, "BUSY_RATE", rate)
    else:
        monkeypatch.setattr(changes, "RATE", rate)
        monkeypatch.setattr(changes, "AT_ONCE", 1.0)
    monkeypatch.setattr(client.ApiServer, "busy", busy)
    uid = world.add_pod("p")["metadata"]["uid"]
    async with world.running():
        await eventually(lambda: uid in world.edge.statuses)
        asked, began = world.edge.count("/changes"), time.monotonic()
        for number in range(changed):
            world.edge.say(uid, {"waiting": {"reason": "SlurmPending", "message": f"{number} before it"}})
            await asyncio.sleep(0.02)  # time enough for an answer each
        world.edge.say(uid, RUNNING)
        await eventually(lambda: world.phase("p") == "Running")
        assert world.edge.count("/changes") - asked <= 2 + rate * (time.monotonic() - began)


class Nodes:
    """An API that has one node, and takes its time to tell."""

    def __init__(self) -> None:
        self.asked = 0

    async def get(self, path: str) -> dict[str, Any]:
        self.asked += 1
        await asyncio.sleep(0.01)
        allocatable = {"pods": "1000", "cpu": "100", "memory": "1Ti"}
        return {"metadata": {"name": path.rsplit("/", 1)[1]}, "status": {"allocatable": allocatable}}


async def test_many_pods_that_come_at_once_have_the_node_read_once() -> None:
    nodes: Any = Nodes()
    entrance = Entrance(nodes, PodStore(lambda _uid: None), StatusBook("cluster", "node"), "ignore")
    spec = {"nodeName": "node", "containers": [{"name": "c"}]}
    pods = [{"metadata": {"uid": str(number)}, "spec": spec} for number in range(40)]
    assert set(await asyncio.gather(*(entrance.refusal(pod) for pod in pods))) == {None}
    assert nodes.asked == 1


async def test_only_so_many_requests_are_under_way_at_once_and_the_fence_is_asked_when_their_turn_has_come(
    eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "AT_ONCE", 3)
    under_way: list[int] = []
    now, gate, closed = 0, asyncio.Event(), ""

    async def answer(_request: web.Request) -> web.Response:
        nonlocal now
        now += 1
        under_way.append(now)
        await gate.wait()
        now -= 1
        return web.json_response({})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        fence: Any = SimpleNamespace(refusal=lambda: closed)
        async with client.ApiServer(Access(f"http://{host}:{port}", None, dict), fence=fence) as api:
            reads = [asyncio.create_task(api.get(f"/{number}")) for number in range(9)]
            late = asyncio.create_task(api.patch("/late", {}))
            await eventually(lambda: len(under_way) == 3)
            closed = "another one leads"
            gate.set()
            await asyncio.gather(*reads)
            with pytest.raises(RetryError, match="another one leads"):
                await late
    finally:
        await runner.cleanup()
    assert len(under_way) == 9
    assert max(under_way) == 3


async def test_a_restart_patches_no_pod_whose_status_is_right(world: World, eventually: Eventually) -> None:
    uids = {f"p{number}": world.add_pod(f"p{number}")["metadata"]["uid"] for number in range(9)}
    async with world.running() as kubelet:
        await eventually(lambda: set(uids.values()) <= set(world.edge.statuses))
        for number, uid in enumerate(uids.values()):
            if number % 3:
                world.edge.say(uid, RUNNING if number % 3 == 1 else COMPLETED, ended=number % 3 == 2)
        expected = ("Pending", "Running", "Succeeded")
        await eventually(lambda: [world.phase(f"p{number}") for number in range(9)] == [*expected * 3])
        await eventually(lambda: not kubelet.queue.known)
    versions = {name: world.pod(name)["metadata"]["resourceVersion"] for name in uids}
    sent = world.statuses_sent()
    async with world.running() as kubelet:
        await eventually(lambda: kubelet.store.listed and kubelet.book.synced and not kubelet.queue.known)
    assert world.statuses_sent() == sent
    assert {name: world.pod(name)["metadata"]["resourceVersion"] for name in uids} == versions
