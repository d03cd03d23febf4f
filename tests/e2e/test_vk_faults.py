"""Things break between the virtual kubelet and a real kube-apiserver: no pod is failed, lost or doubled."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.controlplane import ControlPlane
from tests.e2e.proxy import now_and_then
from tests.e2e.scene import DONE, RUNNING, FastLoop, Scene, scene, until

PODS = 30
TREE = Path(__file__).resolve().parents[2]


async def all_succeed(world: Scene, count: int, within: float = 120) -> None:
    await until("all pods to succeed", world.phases, lambda seen: seen == {"Succeeded": count}, within)
    assert await world.settled() == []


def test_interlink_away_for_ten_minutes_leaves_every_pod_as_it_is_until_it_is_back(plane: ControlPlane) -> None:
    """Point 15, in ten minutes of a loop whose clock is fast."""

    async def run() -> None:
        async with scene(plane) as world, world.kubelet():
            runs, ends = await world.create("runs"), await world.create("ends")
            await until("the jobs", lambda: {runs, ends} <= set(world.edge.created), within=600)
            for uid in (runs, ends):
                world.edge.say(uid, RUNNING)
            await until("both to run", world.phases, lambda seen: seen == {"Running": 2}, within=600)
            world.edge.failures[""] = (503, {"title": "the site does not answer"})
            world.edge.restart()  # so that no long poll is under way
            await asyncio.sleep(30)
            world.edge.say(ends, DONE, ended=True)  # nobody can know
            never = await world.create("never")
            doomed = await world.create("doomed")
            await world.delete("doomed", doomed)
            began = asyncio.get_running_loop().time()
            while asyncio.get_running_loop().time() - began < 600:
                assert await world.phases() == {"Running": 2, "Pending": 1, "deleting": 1}
                await asyncio.sleep(30)
            node = await world.api.get(f"/api/v1/nodes/{world.name}")
            facts = {item["type"]: item["status"] for item in node["status"]["conditions"]}
            assert (facts["Ready"], facts["InterLinkReachable"]) == ("True", "False")
            about = [event["involvedObject"]["uid"] for event in await world.events("InterLinkUnreachable")]
            assert about.count(never) <= 1
            world.edge.failures.clear()
            await until("its job", lambda: never in world.edge.created, within=600)
            world.edge.say(never, RUNNING)
            wanted = {"Running": 2, "Succeeded": 1}
            await until("all to come right", world.phases, lambda seen: seen == wanted, within=600)
            assert await world.settled() == []
            assert doomed not in world.edge.created
            assert world.edge.deleted.keys() == {doomed}

    with asyncio.Runner(loop_factory=partial(FastLoop, 20.0)) as runner:
        runner.run(run())


async def test_pods_live_through_a_kube_apiserver_that_is_killed_and_comes_back(world: Scene) -> None:
    async with world.kubelet(), world.site(4):
        for number in range(PODS):
            await world.create(f"p{number}")
        await until("some jobs", lambda: len(world.edge.created) > 3)
        await asyncio.to_thread(world.plane.apiserver.end)
        # Their jobs run and end while nobody can be told.
        await until("jobs to end", lambda: sum(status.ended for status in world.edge.statuses.values()) > 3)
        await asyncio.to_thread(world.plane.apiserver.start)
        await world.create("later")
        await all_succeed(world, PODS + 1)


async def test_a_slow_kube_apiserver_delays_pods_and_not_the_lease(world: Scene) -> None:
    dice = random.Random(1)
    world.proxy.delay = lambda: dice.uniform(0.5, 2.0)
    path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{world.name}"
    async with world.kubelet(), world.site(1):
        for number in range(PODS):
            await world.create(f"p{number}")
        await all_succeed(world, PODS)
        first = await world.api.get(path)
        await until(
            "the lease to be renewed", lambda: world.api.get(path),
            lambda lease: lease["spec"]["renewTime"] > first["spec"]["renewTime"], within=40,
        )  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
async def test_429_and_5xx_and_connections_that_end_half_way_cost_only_time(world: Scene, seed: int) -> None:
    async with world.kubelet(), world.site(1):
        world.proxy.fault = now_and_then(seed, 0.3, (429, 500, 502, 503, 504, "cut"))
        for number in range(PODS):
            await world.create(f"p{number}")
        await until("jobs", lambda: len(world.edge.created) > PODS // 2)
        world.proxy.cut()
        doomed = [await world.create(f"doomed{number}") for number in range(PODS)]
        for number, uid in enumerate(doomed):
            await world.delete(f"doomed{number}", uid, grace=number % 3)
        await all_succeed(world, PODS, within=240)
        done = {fault for _, _, _, fault in world.proxy.requests}
        assert {429, 500, "cut"} <= done
    assert all(world.edge.statuses[uid].ended for uid in doomed if uid in world.edge.statuses)


async def test_a_server_that_asks_for_a_pause_gets_it(world: Scene) -> None:
    world.proxy.retry_after = "3"
    async with world.kubelet(), world.site(1):
        await until("the watch", lambda: world.proxy.count("watch=1"))
        world.proxy.fault = lambda method, path: 429 if path.endswith("/p/status") else None
        await world.create("p")
        tries = f"PUT {world.pods}/p/status"
        await until("two tries", lambda: world.proxy.count(tries) >= 2)
        world.proxy.fault = lambda _method, _path: None
        await all_succeed(world, 1)
    times = [when for when, method, path, _ in world.proxy.requests if f"{method} {path}" == tries]
    assert times[1] - times[0] >= 2.9


async def test_a_compacted_etcd_makes_a_new_list_and_no_job_is_lost_or_doubled(world: Scene) -> None:
    names = ["stays", "deleted", "forced", "replaced"]
    async with world.kubelet():
        uids = {name: await world.create(name) for name in names}
        await until("the jobs", lambda: set(uids.values()) <= set(world.edge.created))
        for uid in uids.values():
            world.edge.say(uid, RUNNING)
        await until("all to run", world.phases, lambda seen: seen == {"Running": 4})
        # No watch comes through, so that what happens now is seen in a list or never.
        world.proxy.fault = lambda _method, path: 503 if "watch=1" in path else None
        world.proxy.cut()
        await world.delete("deleted", uids["deleted"])
        for name in ("forced", "replaced"):
            await world.delete(name, uids[name], grace=0)
        again, new = await world.create("replaced"), await world.create("new")
        await asyncio.to_thread(world.plane.compact)
        # Its watch cache goes with it: only now it has no other answer to an old version than 410.
        await asyncio.to_thread(world.plane.apiserver.restart)
        world.proxy.fault = lambda _method, _path: None
        await until("the jobs of new pods", lambda: {again, new} <= set(world.edge.created))
        gone = {uids["deleted"], uids["forced"], uids["replaced"]}
        await until("the others' end", lambda: gone <= set(world.edge.deleted))
        await until("the deleted pod to be gone", world.phases, lambda seen: sum(seen.values()) == 3)
        assert await world.settled() == []
    assert world.edge.count("/create", uids["stays"]) == 1
    assert set(world.edge.deleted) == gone


@pytest.mark.parametrize("ahead", [-7200, 7200])
async def test_a_clock_that_is_two_hours_off_changes_nothing_for_pods(
    world: Scene, ahead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = _moved_clock(monkeypatch, ahead)
    token = {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}}
    account = {"metadata": {"name": "default"}}
    await world.api.post(f"/api/v1/namespaces/{world.name}/serviceaccounts", account)
    volume = {"name": "token", "projected": {"sources": [token]}}
    asked = f"POST /api/v1/namespaces/{world.name}/serviceaccounts/default/token"
    async with world.kubelet(moved):
        uid = await world.create("p", volumes=[volume], serviceAccountName="default")
        await until("the job", lambda: uid in world.edge.created)
        world.edge.say(uid, RUNNING)
        await until("the pod to run", world.phases, lambda seen: seen == {"Running": 1})
        version = (await world.pod("p"))["metadata"]["resourceVersion"]
        await asyncio.sleep(5)
        assert (await world.pod("p"))["metadata"]["resourceVersion"] == version
        assert world.proxy.count(asked) == 1, "a token is not asked for again and again"
        world.edge.say(uid, DONE, ended=True)
        await all_succeed(world, 1)
        node = await world.api.get(f"/api/v1/nodes/{world.name}")
        assert {item["type"]: item["status"] for item in node["status"]["conditions"]}["Ready"] == "True"
        second = await world.create("q")
        await until("the job", lambda: second in world.edge.created)
        await world.delete("q", second)
        await until("the deleted pod to be gone", world.phases, lambda seen: seen == {"Succeeded": 1})


def _moved_clock(monkeypatch: pytest.MonkeyPatch, ahead: int) -> Any:
    """Turn the clock that the virtual kubelet's times are written by, and return the one of its tokens."""
    from datetime import datetime, timedelta  # noqa: PLC0415 - its own name here

    class Moved(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(seconds=ahead)

    monkeypatch.setattr("interlink.vk.times.datetime", Moved)
    return lambda: time.time() + ahead


async def test_a_pod_of_a_mebibyte_goes_through_whole(world: Scene) -> None:
    environment = [{"name": f"V{number}", "value": "x" * 10_000} for number in range(100)]
    containers = [{"name": "c", "image": "busybox", "env": environment}]
    async with world.kubelet(), world.site(1):
        uid = await world.create("large", containers=containers)
        await all_succeed(world, 1)
    sent = world.edge.created[uid]["pod"]["spec"]["containers"][0]["env"]
    assert [entry for entry in sent if entry["name"].startswith("V")] == environment


async def test_a_thousand_pods_created_and_deleted_at_once_leave_nothing(world: Scene) -> None:
    names = [f"p{number}" for number in range(1000)]
    places = asyncio.Semaphore(32)

    async def live(name: str, grace: int) -> None:
        async with places:
            uid = await world.create(name)
            if grace:
                await world.delete(name, uid, grace)

    async with world.kubelet(), world.site(600):
        # Every second one at once after its creation, the others once all are there.
        await asyncio.gather(*(live(name, number % 2) for number, name in enumerate(names)))
        await asyncio.gather(
            *(world.delete(pod["metadata"]["name"], pod["metadata"]["uid"]) for pod in await world.found())
        )
        await until("all to be gone", world.phases, lambda seen: not seen, within=240)
        await until("every job's end", world.settled, lambda wrong: wrong == [], within=60)
    assert len(world.made) == 1000
    assert all(status.ended for status in world.edge.statuses.values())


@pytest.mark.parametrize("seed", range(2))
async def test_a_virtual_kubelet_killed_again_and_again_loses_and_doubles_nothing(
    world: Scene, seed: int, tmp_path: Path
) -> None:
    dice = random.Random(seed)
    kubelet = KilledKubelet(world, tmp_path)
    living: dict[str, str] = {}
    try:
        async with world.site(3):
            for turn in range(8):
                kubelet.start()
                for number in range(10):
                    name = f"p{turn}-{number}"
                    living[name] = await world.create(name)
                for name in dice.sample(sorted(living), 4):
                    await world.delete(name, living.pop(name), grace=dice.choice((0, 1)))
                await asyncio.sleep(dice.uniform(0.5, 3.0))
                kubelet.kill()
            kubelet.start()
            await all_succeed(world, len(living), within=180)
    finally:
        kubelet.kill()
    assert all(world.edge.count("/create", uid) >= 1 for uid in living.values())


class KilledKubelet:
    """``interlink vk`` as a process, for kill -9."""

    def __init__(self, world: Scene, folder: Path) -> None:
        self.config = folder / "InterLinkConfig.yaml"
        config = world.config()
        # The proxy takes plain HTTP, and so no credentials of its own: those are in the kubeconfig.
        kubeconfig = world.plane.kubeconfig(world.proxy.access.server)
        self.config.write_text(
            f"InterlinkURL: {config.interlink_url}\nNodeName: {config.node_name}\nKubeletPort: 0\nPodIP: 127.0.0.1\n"
            f"Kubeconfig: {kubeconfig}\n"
        )
        self.log = folder / "vk.log"
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as output:
            environment = {**os.environ, "PYTHONPATH": str(TREE)}
            command = [sys.executable, "-m", "interlink.cli.main", "vk", f"--config={self.config}"]
            self._child = subprocess.Popen(command, env=environment, stdout=output, stderr=output)

    def kill(self) -> None:
        if self._child:
            assert self._child.poll() is None, self.log.read_text()[-3000:]
            self._child.send_signal(signal.SIGKILL)
            self._child.wait()
            self._child = None
