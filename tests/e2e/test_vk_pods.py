"""A pod's life between the virtual kubelet and a real kube-apiserver: what Kubernetes' own rules make hard about it."""

import asyncio
import json
import operator
import time
from functools import partial
from typing import Any

import aiohttp
import pytest

from interlink.vk.apiserver.errors import InvalidError
from interlink.vk.kubelet.signing import FOLDER, PATIENCE_SECONDS
from tests.e2e.controlplane import ControlPlane
from tests.e2e.proxy import Fault
from tests.e2e.scene import DONE, RUNNING, FastLoop, Scene, scene, until

Json = dict[str, Any]
KILLED = {"terminated": {"exitCode": 137, "reason": "Error", "finishedAt": "2026-01-01T00:00:09Z"}}
NOBODY = json.dumps({"metadata": {"resourceVersion": "1"}, "items": []}).encode()


async def running(world: Scene, *names: str, **spec: Any) -> dict[str, str]:
    """Create pods, and have their jobs run; return their UIDs by name."""
    uids = {name: await world.create(name, **spec) for name in names}
    await until("the jobs", lambda: set(uids.values()) <= set(world.edge.created))
    for uid in uids.values():
        world.edge.say(uid, RUNNING)
    await until("all to run", world.phases, lambda seen: seen.get("Running", 0) >= len(uids))
    return uids


def conditions(pod: Json) -> dict[str, Json]:
    return {item["type"]: item for item in pod["status"]["conditions"]}


async def test_what_was_removed_or_replaced_while_no_virtual_kubelet_was_there_is_ended_by_the_next(
    world: Scene,
) -> None:
    async with world.kubelet():
        uids = await running(world, "stays", "forced", "replaced")
    for name in ("forced", "replaced"):
        await world.delete(name, uids[name], grace=0)
    again = await world.create("replaced")
    assert not world.edge.deleted
    gone = {uids["forced"], uids["replaced"]}
    async with world.kubelet():
        await until("their jobs' end", lambda: gone <= set(world.edge.deleted))
        await until("the new one's job", lambda: again in world.edge.created)
        assert await world.settled() == []
    assert set(world.edge.deleted) == gone
    assert [world.edge.count("/create", uid) for uid in (uids["stays"], again)] == [1, 1]


async def test_pictures_that_fail_or_are_empty_at_the_start_kill_nothing(world: Scene) -> None:
    async with world.kubelet():
        uids = set((await running(world, "a", "b")).values())
    jobs = dict(world.edge.statuses)

    async def nothing_happens(seconds: float) -> None:
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            assert await world.phases() == {"Running": 2}
            assert not world.edge.deleted
            assert len(world.edge.created) == world.edge.count("/create") == 2
            await asyncio.sleep(0.1)

    # Neither side can say what there is.
    world.edge.failures["/changes"] = (502, {"title": "the sidecar is away"})
    world.proxy.fault = lambda _method, path: 503 if path.startswith("/api/v1/pods?") else None
    async with world.kubelet():
        await until("both to be asked", lambda: world.edge.count("/changes") and world.proxy.count("/api/v1/pods?"))
        await nothing_happens(2)
        # Now the edge says that it has no job at all.
        world.edge.statuses.clear()
        world.edge.failures.clear()
        world.proxy.fault = lambda _method, _path: None
        await nothing_happens(2)
        for status in jobs.values():
            world.edge.tell(status)
        await nothing_happens(1)
    # And now kube-apiserver, that there are no pods.
    world.proxy.fault = no_pods
    async with world.kubelet():
        await until("a fresh look at each", lambda: all(world.proxy.count(f"GET {world.pods}/{name}") for name in "ab"))
        await nothing_happens(2)
    assert set(world.edge.statuses) == uids


def no_pods(_method: str, path: str) -> Fault:
    """Answer that there are no pods on the node, in a list of pages, as servers that stream none do."""
    if not path.startswith("/api/v1/pods?"):
        return None
    return 422 if "sendInitialEvents" in path else 503 if "watch=1" in path else NOBODY


async def test_the_object_outlives_its_grace_period_until_the_job_has_ended(world: Scene) -> None:
    world.edge.end_on_delete = False
    async with world.kubelet():
        uid = (await running(world, "p"))["p"]
        await world.delete("p", uid, grace=300)
        await until("the edge to be told", lambda: len(world.edge.deleted.get(uid, ())) == 1)
        await world.delete("p", uid, grace=1)
        await until("the shorter period", lambda: len(world.edge.deleted[uid]) == 2)
        graces = [pod["metadata"]["deletionGracePeriodSeconds"] for pod in world.edge.deleted[uid]]
        assert graces == [300, 1]
        await asyncio.sleep(3)
        left = await world.pod("p")
        assert (left["metadata"]["uid"], left["status"]["phase"]) == (uid, "Running")
        assert not world.proxy.count("DELETE")
        world.edge.say(uid, KILLED, ended=True)
        await until("the object to go", world.phases, lambda seen: not seen)
    about = [f"{method} {path}" for _, method, path, _ in world.proxy.requests if path.startswith(f"{world.pods}/p")]
    assert about[-2:] == [f"PUT {world.pods}/p/status", f"DELETE {world.pods}/p"], "its last status before its end"


async def test_a_finalizer_is_waited_for_and_not_pressed(world: Scene) -> None:
    finalizer = "batch.kubernetes.io/job-tracking"
    async with world.kubelet() as kubelet:
        uid = (await running(world, "p"))["p"]
        await world.api.patch(f"{world.pods}/p", {"metadata": {"finalizers": [finalizer]}})
        await world.delete("p", uid)
        await until("the object's end to be asked for", lambda: world.proxy.count("DELETE"))
        for turn in range(20):
            # Whatever makes it look again: news of the pod, of the edge, the regular look.
            await world.api.patch(f"{world.pods}/p", {"metadata": {"annotations": {"turn": str(turn)}}})
            world.edge.tell(world.edge.statuses[uid])
            kubelet.nodes[0].resync()
            await asyncio.sleep(0.1)
        assert world.proxy.count("DELETE") == 1
        held = await world.pod("p")
        assert (held["status"]["phase"], held["metadata"]["deletionGracePeriodSeconds"]) == ("Failed", 0)
        await world.api.patch(f"{world.pods}/p", {"metadata": {"finalizers": None}})
        await until("the object to go", world.phases, lambda seen: not seen)
        assert await world.settled() == []
    assert world.proxy.count("DELETE") == 1


async def test_a_pod_that_is_deleted_while_its_create_is_under_way_leaves_no_job(world: Scene) -> None:
    world.edge.gate.clear()
    async with world.kubelet() as kubelet:
        uids = {name: await world.create(name) for name in ("deleted", "forced")}
        await until("both creates", lambda: world.edge.count("/create") == 2)
        await world.delete("deleted", uids["deleted"])
        await world.delete("forced", uids["forced"], grace=0)
        store = kubelet.nodes[0].store
        await until("news of both", lambda: store.pods[uids["deleted"]].deleting and uids["forced"] in store.gone)
        assert not world.edge.deleted
        world.edge.gate.set()
        await until("both to be gone", world.phases, lambda seen: not seen)
        await until("their jobs' end", lambda: all(status.ended for status in world.edge.statuses.values()))
    assert set(world.edge.statuses) == set(uids.values())


async def test_who_takes_a_pods_name_between_a_decision_and_its_write_lives(
    world: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    new: dict[str, str] = {}

    async def replace(method: str, path: str) -> None:
        name = path.removeprefix(f"{world.pods}/").removesuffix("/status")
        if (method, name) in (("PUT", "written"), ("DELETE", "deleted")) and name not in new:
            await world.delete(name, old[name], grace=0)
            new[name] = await world.create(name)

    async with world.kubelet():
        old = await running(world, "written", "deleted")
        world.proxy.before = replace
        world.edge.say(old["written"], DONE, ended=True)
        await world.delete("deleted", old["deleted"])
        await until("the jobs of the new ones", lambda: len(new) == 2 and set(new.values()) <= set(world.edge.created))
        writes = [answer for answer in world.proxy.answers if answer[0] != "GET" and "/pods/" in answer[1]]
        refused = {answer for answer in writes if answer[2] >= 400}
        status = f"{world.pods}/written/status"
        assert refused == {("PUT", status, 409), ("PATCH", status, 422), ("DELETE", f"{world.pods}/deleted", 409)}
        assert "refuses what we say" not in caplog.text
        await asyncio.sleep(1)
        for name, uid in new.items():
            found = await world.pod(name)
            assert (found["metadata"]["uid"], found["status"]["phase"]) == (uid, "Pending")
            assert "deletionTimestamp" not in found["metadata"]
    assert not set(world.edge.deleted) & set(new.values())


def test_ten_idle_minutes_write_nothing_to_pods(plane: ControlPlane) -> None:
    """In ten minutes of a loop whose clock is fast: with two of the regular looks, of which there is one in five."""

    async def run() -> None:
        async with scene(plane) as world, world.kubelet() as kubelet:
            uids = await running(world, "runs", "ends")
            waits = await world.create("waits")
            world.edge.say(uids["ends"], DONE, ended=True)
            wanted = {"Running": 1, "Succeeded": 1, "Pending": 1}
            await until("one of each", world.phases, lambda seen: seen == wanted, within=600)
            await until("its status", lambda: world.pod("waits"), lambda pod: "containerStatuses" in pod["status"], 600)
            await asyncio.sleep(30)
            before, sent = await versions(world), world.proxy.count(f" {world.pods}/")
            spared = kubelet.nodes[0].writer.spared
            for _ in range(60):
                for uid in (waits, uids["runs"]):
                    world.edge.tell(world.edge.statuses[uid])  # the same again
                await asyncio.sleep(10)
            assert kubelet.nodes[0].writer.spared - spared > 100, "it looked, and had nothing to say"
            assert await versions(world) == before
            assert world.proxy.count(f" {world.pods}/") == sent

    with asyncio.Runner(loop_factory=partial(FastLoop, 30.0)) as runner:
        runner.run(run())


async def versions(world: Scene) -> dict[str, str]:
    """Return the resourceVersions of all pods."""
    return {pod["metadata"]["name"]: pod["metadata"]["resourceVersion"] for pod in await world.found()}


async def test_foreign_conditions_survive_a_hundred_writes(world: Scene) -> None:
    gate, when = "example.com/gate", "2026-01-01T00:00:00Z"
    foreign: list[Json] = [
        {"type": gate, "status": "False", "reason": "NotYet", "message": "m", "lastTransitionTime": when},
        {"type": "example.com/other", "status": "Unknown", "lastProbeTime": when, "lastTransitionTime": when},
    ]
    status = f"{world.pods}/p/status"
    async with world.kubelet():
        uid = (await running(world, "p", readinessGates=[{"conditionType": gate}]))["p"]
        await world.api.patch(status, {"status": {"conditions": foreign}})
        for number in range(100):
            began = {"startedAt": f"2026-01-01T00:{number // 60:02}:{number % 60:02}Z"}
            before = world.proxy.count(status)
            world.edge.say(uid, {"running": began})
            await until("a write", lambda: world.proxy.count(status), partial(operator.lt, before))
        found = conditions(await world.pod("p"))
        assert [{key: found[each["type"]].get(key) for key in each} for each in foreign] == foreign
        assert (found["Ready"]["status"], found["Ready"]["reason"]) == ("False", "ReadinessGatesNotReady")
        await world.api.patch(status, {"status": {"conditions": [{**foreign[0], "status": "True"}]}})
        await until("Ready", lambda: world.pod("p"), lambda pod: conditions(pod)["Ready"]["status"] == "True")


async def test_a_written_status_takes_no_field_of_the_spec_from_whom_it_belongs_to(world: Scene) -> None:
    def owners(pod: Json) -> dict[str, Json]:
        return {
            each["manager"]: each["fieldsV1"] for each in pod["metadata"]["managedFields"] if "subresource" not in each
        }

    async with world.kubelet():
        await world.create("p")
        created = await world.pod("p")
        before, uid = owners(created), created["metadata"]["uid"]
        await until("the job", lambda: uid in world.edge.created)
        world.edge.say(uid, RUNNING)
        await until("the pod to run", world.phases, lambda seen: seen == {"Running": 1})
        pod = await world.pod("p")
    assert world.proxy.count(f"PUT {world.pods}/p/status")
    assert not world.proxy.count(f"PATCH {world.pods}")
    assert owners(pod) == before
    assert pod["spec"] == created["spec"]
    assert [each["fieldsV1"].keys() for each in pod["metadata"]["managedFields"] if "subresource" in each] == [
        {"f:status"}
    ]


@pytest.mark.parametrize(("policy", "code", "phase"), [("Never", 3, "Failed"), ("OnFailure", 0, "Succeeded")])
async def test_an_end_that_the_policy_makes_final_is_not_taken_back_in_a_loop(
    world: Scene, policy: str, code: int, phase: str
) -> None:
    def state(pod: Json) -> Json:
        return dict(pod["status"]["containerStatuses"][0]["state"])

    end = {"terminated": {"exitCode": code, "finishedAt": "2026-01-01T00:00:09Z"}}
    status = f"{world.pods}/p/status"
    async with world.kubelet() as kubelet:
        uid = (await running(world, "p", restartPolicy=policy))["p"]
        world.edge.say(uid, end)
        held = await until("its end", lambda: world.pod("p"), lambda pod: "terminated" in state(pod))
        back = [{**held["status"]["containerStatuses"][0], "state": RUNNING}]
        with pytest.raises(InvalidError):
            await world.api.patch(status, {"status": {"containerStatuses": back}})
        sent = world.proxy.count(status)
        world.edge.say(uid, RUNNING)
        await asyncio.sleep(1)
        kubelet.nodes[0].resync()
        await asyncio.sleep(0.5)
        assert world.proxy.count(status) == sent
        assert state(await world.pod("p"))["terminated"]["exitCode"] == code
        world.edge.say(uid, end, ended=True)
        await until("its phase", world.phases, lambda seen: seen == {phase: 1})
    assert not [answer for answer in world.proxy.answers if answer[2] == 422 and "/pods/" in answer[1]]


async def test_without_a_signer_the_port_serves_its_own_certificate_and_the_node_says_so(world: Scene) -> None:
    """No kube-controller-manager runs here, and so nobody signs."""
    ahead = 0.0
    async with world.kubelet(lambda: time.time() + ahead) as kubelet, aiohttp.ClientSession() as session:
        server = kubelet.nodes[0].server
        url = f"https://127.0.0.1:{server.port}/healthz"

        async def serves() -> bool:
            async with session.get(url, ssl=False) as answer:
                return answer.status == 200 and server.serving.shown.source == "self-signed"

        async def requests() -> list[Json]:
            found = [item async for page, _ in world.api.pages(FOLDER, {}) for item in page]
            return [item for item in found if item["metadata"]["name"].startswith(world.name)]

        (request,) = await until("a request", requests)
        assert await serves()
        approved = {"type": "Approved", "status": "True", "reason": "ByATest", "message": "m"}
        path = f"{FOLDER}/{request['metadata']['name']}/approval"
        await world.api.put(path, {**request, "status": {"conditions": [approved]}})
        ahead = PATIENCE_SECONDS + 1.0
        events = "/api/v1/namespaces/default/events"

        async def said() -> list[str]:
            found = [item async for page, _ in world.api.pages(events, {}) for item in page]
            ours = [item for item in found if item["involvedObject"]["name"] == world.name]
            return [item["message"] for item in ours if item["reason"] == "CertificateNotSigned"]

        (words,) = await until("an event", said)
        assert "was approved and nobody signs it" in words
        assert await serves()
        assert len(await requests()) == 1
