"""A pod's life and end, over real HTTP: the points of KUBELET.md section 6 by number."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from interlink.wire.messages import PodStatus, SiteEvent

World = Any  # of conftest.py, which cannot be imported
Eventually = Callable[..., Any]
RUNNING = {"running": {"startedAt": "2026-01-01T00:00:01.123456Z"}}
DONE = {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": "2026-01-01T00:00:09Z"}}


def failed(code: int) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": "Error"}}


async def test_runs_and_succeeds(world: World, eventually: Eventually) -> None:
    pod = world.add_pod("p")
    uid = pod["metadata"]["uid"]
    async with world.running():
        await eventually(lambda: uid in world.edge.statuses)
        await eventually(lambda: world.pod("p")["status"].get("containerStatuses"))
        assert world.phase("p") == "Pending"
        world.edge.say(uid, RUNNING, hostIP="10.1.2.3")
        await eventually(lambda: world.phase("p") == "Running")
        status = world.pod("p")["status"]
        assert status["hostIP"] == status["podIP"] == "10.1.2.3"
        assert status["containerStatuses"][0]["state"]["running"]["startedAt"] == "2026-01-01T00:00:01Z"
        assert {c["type"]: c["status"] for c in status["conditions"]}["Ready"] == "True"
        world.edge.say(uid, DONE)
        await asyncio.sleep(0.1)
        assert world.phase("p") == "Running", "not terminal before the job has ended"
        world.edge.say(uid, DONE, ended=True)
        await eventually(lambda: world.phase("p") == "Succeeded")
        await eventually(lambda: {"Created", "Started"} <= set(world.reasons()))
    assert world.edge.count("/create") == 1
    assert not world.edge.deleted


async def test_a_failing_container_fails_the_pod(world: World, eventually: Eventually) -> None:
    uid = world.add_pod("p")["metadata"]["uid"]
    async with world.running():
        await eventually(lambda: uid in world.edge.statuses)
        world.edge.say(uid, failed(7), ended=True)
        await eventually(lambda: world.phase("p") == "Failed")
    assert world.pod("p")["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 7


@pytest.mark.parametrize(
    ("code", "title", "reason"),
    [
        (422, "SlurmRefused", "SlurmRefused"),
        (422, "UnsupportedPod", "UnsupportedPod"),
        (400, "malformed pod", "Refused"),
        (413, "Request Entity Too Large", "Refused"),
    ],
)
async def test_refused_pod_has_the_site_s_words(
    world: World, eventually: Eventually, code: int, title: str, reason: str
) -> None:
    words = "Requested node configuration is not available"
    world.edge.failures["/create"] = (code, {"title": title, "description": words})
    world.add_pod("p")
    async with world.running():
        await eventually(lambda: world.phase("p") == "Failed")
        await eventually(lambda: "FailedCreate" in world.reasons())
    status = world.pod("p")["status"]
    assert (status["reason"], status["message"]) == (reason, words)
    assert world.edge.count("/create") == 1
    assert "InterLinkUnreachable" not in world.reasons()


async def test_a_pod_that_a_full_site_takes_later_says_so(world: World, eventually: Eventually) -> None:
    words = "Not yet submitted to Slurm: too many jobs (QOSMaxSubmitJobPerUserLimit)"
    world.edge.failures["/create"] = (429, {"title": "SlurmPending", "description": words})
    uid = world.add_pod("p")["metadata"]["uid"]
    async with world.running():
        await eventually(lambda: world.edge.count("/create") > 1)
        state = world.pod("p")["status"]["containerStatuses"][0]["state"]
        assert (world.phase("p"), state) == ("Pending", {"waiting": {"reason": "SlurmPending", "message": words}})
        await eventually(lambda: "SlurmPending" in world.reasons())
        assert world.reasons().count("SlurmPending") == 1
        assert "InterLinkUnreachable" not in world.reasons()
        world.edge.failures.clear()
        await eventually(lambda: uid in world.edge.statuses)


async def test_delete_waits_for_the_end(world: World, eventually: Eventually) -> None:
    """Point 7: the object stays until the edge confirms; then a terminal phase, then the removal."""
    uid = world.add_pod("p")["metadata"]["uid"]
    async with world.running():
        await eventually(lambda: uid in world.edge.statuses)
        world.edge.say(uid, RUNNING)
        await eventually(lambda: world.phase("p") == "Running")
        await world.delete("p", 1)
        await eventually(lambda: uid in world.edge.deleted)
        await asyncio.sleep(0.2)
        assert world.pod("p"), "the grace period is not a reason to remove it"
        seen: list[str] = []
        world.edge.say(uid, failed(143), ended=True)
        while world.pod("p"):
            seen.append(world.phase("p"))
            await asyncio.sleep(0.001)
        assert world.edge.deleted[uid][0]["metadata"]["deletionGracePeriodSeconds"] == 1
    assert len(world.edge.deleted[uid]) == 1
    methods = [method for method, asked in world.api.requests if asked.startswith("/api/v1/namespaces/default/pods/p")]
    assert methods[-2:] == ["PUT", "DELETE"]


async def test_pending_pod_that_the_edge_never_saw_is_removed(world: World, eventually: Eventually) -> None:
    world.edge.failures["/create"] = (503, {"description": "controller away"})
    uid = world.add_pod("p")["metadata"]["uid"]
    async with world.running():
        await eventually(lambda: world.edge.count("/create"))
        await world.delete("p")
        await eventually(lambda: not world.pod("p"))
        assert uid in world.edge.deleted


@pytest.mark.parametrize("how", ["http", "event"])
@pytest.mark.parametrize("streams", [True, False])
async def test_1_expired_watch_relists(world: World, eventually: Eventually, how: str, streams: bool) -> None:
    world.api.streams_lists = streams
    first = world.add_pod("a")["metadata"]["uid"]
    async with world.running():
        await eventually(lambda: first in world.edge.statuses)
        lists = world.api.count("GET", "/api/v1/pods")
        if how == "event":
            world.api.watch_errors.append({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})
        else:
            world.api.watch_errors.append({"kind": "Status", "code": 500, "message": "leader changed"})
            world.api.version += 1
            world.api.compact()
        second = world.add_pod("b")["metadata"]["uid"]
        await eventually(lambda: second in world.edge.statuses)
        assert world.api.count("GET", "/api/v1/pods") >= lists + (1 if streams else 2)
    assert world.edge.count("/create") == 2
    assert not world.edge.deleted


async def test_2_same_name_new_uid(world: World, eventually: Eventually) -> None:
    old = world.add_pod("web-0")["metadata"]["uid"]
    async with world.running():
        await eventually(lambda: old in world.edge.statuses)
    world.api.remove("/api/v1/namespaces/default/pods/web-0")
    new = world.add_pod("web-0")["metadata"]["uid"]
    async with world.running():
        await eventually(lambda: new in world.edge.statuses and old in world.edge.deleted)
    assert new not in world.edge.deleted


async def test_3_restart_adopts(world: World, eventually: Eventually) -> None:
    uid = world.add_pod("p")["metadata"]["uid"]
    async with world.running():
        await eventually(lambda: uid in world.edge.statuses)
    world.edge.say(uid, RUNNING)
    async with world.running():
        await eventually(lambda: world.phase("p") == "Running")
    assert world.edge.count("/create") == 1


async def test_4_empty_or_failed_pictures_kill_nothing(world: World, eventually: Eventually) -> None:
    running = {"phase": "Running", "containerStatuses": [{"name": "c", "state": RUNNING}]}
    uid = world.add_pod("p", status=running)["metadata"]["uid"]
    other = PodStatus(name="q", UID="u-q", namespace="default", cluster="cluster-uid", node="vk-test", containers=[])
    world.edge.tell(other)
    world.api.fail("GET /api/v1/pods", 500, 3)
    world.edge.failures["/changes"] = (502, {"title": "the sidecar is away"})
    async with world.running():
        await asyncio.sleep(0.3)
        assert not world.edge.deleted
        assert world.edge.count("/create") == 0
        world.edge.failures.clear()
        await eventually(lambda: "u-q" in world.edge.deleted)
        await asyncio.sleep(0.2)
    assert world.phase("p") == "Running"
    assert uid not in world.edge.deleted


async def test_running_pod_unknown_to_the_edge_fails_after_grace(
    world: World, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlink.vk.pods.ending.LOST_SECONDS", 0.2)
    running = {"phase": "Running", "containerStatuses": [{"name": "c", "state": RUNNING}]}
    world.add_pod("p", status=running)
    async with world.running():
        await eventually(lambda: world.phase("p") == "Failed")
    assert world.pod("p")["status"]["reason"] == "NotFound"
    assert world.edge.count("/create") == 0


async def test_5_forced_deletion_while_away(world: World, eventually: Eventually) -> None:
    uid = world.add_pod("p")["metadata"]["uid"]
    async with world.running():
        await eventually(lambda: uid in world.edge.statuses)
        world.edge.say(uid, RUNNING)
    world.api.remove("/api/v1/namespaces/default/pods/p")
    async with world.running():
        await eventually(lambda: uid in world.edge.deleted)
        world.edge.say(uid, failed(137), ended=True)
        await asyncio.sleep(0.1)
    assert len(world.edge.deleted[uid]) == 1


async def test_a_pod_that_only_the_watch_does_not_know_is_no_orphan(
    world: World, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Created after the list, in the edge's picture already: a fresh look at the API decides, not our own picture."""
    monkeypatch.setattr("interlink.vk.pods.ending.LAG_SECONDS", 0.05)
    async with world.running() as kubelet:
        await eventually(lambda: kubelet.store.listed and kubelet.pods.context.book.synced)
        kubelet.store.upsert = lambda item: None
        uid = world.add_pod("late")["metadata"]["uid"]
        job = PodStatus(name="late", UID=uid, namespace="default", cluster="cluster-uid", node="vk-test")
        world.edge.tell(job)
        await eventually(lambda: world.api.count("GET", "/pods/late") >= 2)
        world.edge.restart()
        await eventually(lambda: world.api.count("GET", "/pods/late") >= 5)
        assert not world.edge.deleted
        world.api.remove("/api/v1/namespaces/default/pods/late")
        await eventually(lambda: uid in world.edge.deleted)


async def test_only_the_api_s_own_word_makes_an_orphan(world: World, eventually: Eventually) -> None:
    """A 404 of a proxy in front of the API says nothing of the pod, nor does a status without a name."""
    world.api.fail("GET /api/v1/namespaces/default/pods/q", 404, 3)
    named = PodStatus(name="q", UID="u-q", namespace="default", cluster="cluster-uid", node="vk-test")
    for uid, namespace, name in (("u-1", "", "p"), ("u-2", "default", ""), ("u-3", "default", "../p")):
        world.edge.tell(PodStatus(name=name, UID=uid, namespace=namespace, cluster="cluster-uid", node="vk-test"))
    world.edge.tell(named)
    async with world.running():
        await eventually(lambda: world.api.count("GET", "/pods/q") == 3)
        assert not world.edge.deleted
        await eventually(lambda: "u-q" in world.edge.deleted)
    assert set(world.edge.deleted) == {"u-q"}


async def test_time_lost_counts_anew_after_the_edge_knew_the_pod(world: World, eventually: Eventually) -> None:
    running = {"phase": "Running", "containerStatuses": [{"name": "c", "state": RUNNING}]}
    uid = world.add_pod("p", status=running)["metadata"]["uid"]
    async with world.running() as kubelet:
        await eventually(lambda: world.edge.count("/changes"))
        await eventually(lambda: uid in kubelet.pods.memories and kubelet.pods.memories[uid].lost_since)
        known = PodStatus(name="p", UID=uid, namespace="default", cluster="cluster-uid", node="vk-test")
        known.containers = [{"name": "c", "state": RUNNING}]
        world.edge.tell(known)
        await eventually(lambda: kubelet.pods.memories[uid].lost_since is None)


async def test_other_clusters_and_nodes_are_no_orphans(world: World) -> None:
    for uid, cluster, node in (("a", "other", "vk-test"), ("b", "cluster-uid", "other"), ("c", "", "")):
        world.edge.tell(PodStatus(name=uid, UID=uid, namespace="default", cluster=cluster, node=node))
    async with world.running():
        await asyncio.sleep(0.4)
    assert not world.edge.deleted


async def test_forced_deletion_while_running(world: World, eventually: Eventually) -> None:
    uid = world.add_pod("p")["metadata"]["uid"]
    async with world.running():
        await eventually(lambda: uid in world.edge.statuses)
        world.api.remove("/api/v1/namespaces/default/pods/p")
        await eventually(lambda: uid in world.edge.deleted)


async def test_6_shortened_grace(world: World, eventually: Eventually) -> None:
    uid = world.add_pod("p")["metadata"]["uid"]
    async with world.running():
        await eventually(lambda: uid in world.edge.statuses)
        await world.delete("p", 300)
        await eventually(lambda: uid in world.edge.deleted)
        await world.delete("p", 2)
        await eventually(lambda: len(world.edge.deleted[uid]) == 2)
    graces = [pod["metadata"]["deletionGracePeriodSeconds"] for pod in world.edge.deleted[uid]]
    assert graces == [300, 2]


async def test_8_finalizer_is_not_pressed(world: World, eventually: Eventually) -> None:
    world.edge.end_on_delete = True
    uid = world.add_pod("p", metadata={"finalizers": ["batch.kubernetes.io/job-tracking"]})["metadata"]["uid"]
    async with world.running():
        await eventually(lambda: uid in world.edge.statuses)
        await world.delete("p")
        await eventually(lambda: world.phase("p") == "Failed")
        await eventually(lambda: world.api.count("DELETE", "/pods/p"))
        await asyncio.sleep(0.5)
        assert world.api.count("DELETE", "/pods/p") == 1
        assert world.pod("p")["metadata"]["deletionGracePeriodSeconds"] == 0


async def test_9_delete_during_create(world: World, eventually: Eventually) -> None:
    world.edge.end_on_delete = True
    world.edge.gate.clear()
    uid = world.add_pod("p")["metadata"]["uid"]
    async with world.running():
        await eventually(lambda: world.edge.count("/create"))
        await world.delete("p")
        await asyncio.sleep(0.1)
        world.edge.gate.set()
        await eventually(lambda: not world.pod("p"))
    assert world.edge.statuses[uid].ended


async def test_10_replaced_pod_lives(world: World, eventually: Eventually) -> None:
    old = world.add_pod("p")["metadata"]["uid"]
    async with world.running() as kubelet:
        await eventually(lambda: old in world.edge.statuses)
        await world.delete("p")
        await eventually(lambda: old in world.edge.deleted)
        # The watch is behind: the store still has the old pod when the API has the new one.
        kubelet.store.remove = lambda item: None
        kubelet.store.upsert = lambda item: None
        world.api.remove("/api/v1/namespaces/default/pods/p")
        new = world.add_pod("p")["metadata"]["uid"]
        world.edge.say(old, failed(143), ended=True)
        await asyncio.sleep(0.3)
        assert world.pod("p")["metadata"]["uid"] == new
        assert world.phase("p") == "Pending"


async def test_11_and_13_nothing_is_written_twice_and_foreign_conditions_stay(
    world: World, eventually: Eventually
) -> None:
    gate = {"type": "example.com/gate", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    pod = world.add_pod("p", status={"conditions": [gate]}, spec={"readinessGates": [{"conditionType": gate["type"]}]})
    uid = pod["metadata"]["uid"]
    async with world.running() as kubelet:
        await eventually(lambda: uid in world.edge.statuses)
        world.edge.say(uid, RUNNING)
        await eventually(lambda: world.phase("p") == "Running")
        await asyncio.sleep(0.2)
        version = world.pod("p")["metadata"]["resourceVersion"]
        sent = world.statuses_sent("p")
        for _ in range(20):
            world.edge.say(uid, RUNNING)
            kubelet.pods.look_at_all()
            await asyncio.sleep(0.02)
        assert world.pod("p")["metadata"]["resourceVersion"] == version
        assert world.statuses_sent("p") == sent
    conditions = {entry["type"]: entry for entry in world.pod("p")["status"]["conditions"]}
    assert conditions["example.com/gate"] == gate
    assert conditions["Ready"]["status"] == "False"
    assert conditions["Ready"]["reason"] == "ReadinessGatesNotReady"


async def test_12_ready_again_after_the_node_controller_said_no(world: World, eventually: Eventually) -> None:
    uid = world.add_pod("p")["metadata"]["uid"]
    async with world.running():
        await eventually(lambda: uid in world.edge.statuses)
        world.edge.say(uid, RUNNING)
        await eventually(lambda: world.phase("p") == "Running")
    for condition in world.pod("p")["status"]["conditions"]:
        if condition["type"] == "Ready":
            condition["status"] = "False"
    world.api.put("/api/v1/namespaces/default/pods/p", world.pod("p"))

    def ready() -> bool:
        facts = {entry["type"]: entry["status"] for entry in world.pod("p")["status"]["conditions"]}
        return bool(facts["Ready"] == "True")

    async with world.running():
        await eventually(ready)


async def test_14_an_end_is_not_taken_back(world: World, eventually: Eventually) -> None:
    uid = world.add_pod("p")["metadata"]["uid"]
    async with world.running():
        await eventually(lambda: world.pod("p")["status"].get("containerStatuses"))
        world.edge.say(uid, failed(3))
        await eventually(lambda: "terminated" in world.pod("p")["status"]["containerStatuses"][0]["state"])
        world.edge.say(uid, RUNNING)
        await asyncio.sleep(0.2)
        state = world.pod("p")["status"]["containerStatuses"][0]["state"]
        assert state["terminated"]["exitCode"] == 3


async def test_15_edge_away_pod_stays_pending_then_runs(world: World, eventually: Eventually) -> None:
    async with world.running():
        await eventually(lambda: world.edge.count("/changes"))
        await world.edge.stop()
        uid = world.add_pod("p")["metadata"]["uid"]
        await eventually(lambda: "InterLinkUnreachable" in world.reasons())
        await asyncio.sleep(0.5)
        assert world.phase("p") == "Pending"
        assert world.reasons().count("InterLinkUnreachable") == 1
        await world.edge.start()
        await eventually(lambda: uid in world.edge.statuses)


async def test_edge_that_begins_anew_gets_forgotten_pods_again(world: World, eventually: Eventually) -> None:
    uid = world.add_pod("p")["metadata"]["uid"]
    async with world.running():
        await eventually(lambda: uid in world.edge.statuses)
        world.edge.created.clear()
        world.edge.restart(forget=True)
        await eventually(lambda: uid in world.edge.statuses)
    assert world.edge.count("/create", uid) == 2


async def test_plugin_without_changes_is_polled(
    world: World, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlink.vk.changes.POLL_SECONDS", 0.1)
    world.edge.reply.extensions = None
    first, second = (world.add_pod(name)["metadata"]["uid"] for name in ("a", "b"))
    async with world.running():
        await eventually(lambda: {first, second} <= set(world.edge.statuses))
        world.edge.say(first, DONE)
        world.edge.say(second, failed(1))
        await eventually(lambda: (world.phase("a"), world.phase("b")) == ("Succeeded", "Failed"))
    assert world.edge.count("/changes") == 0


async def test_foreign_end_of_a_pod_ends_its_job(world: World, eventually: Eventually) -> None:
    uid = world.add_pod("p")["metadata"]["uid"]
    async with world.running():
        await eventually(lambda: uid in world.edge.statuses)
        world.edge.say(uid, RUNNING)
        await eventually(lambda: world.phase("p") == "Running")
        world.pod("p")["status"]["phase"] = "Failed"
        world.api.put("/api/v1/namespaces/default/pods/p", world.pod("p"))
        await eventually(lambda: uid in world.edge.deleted)


async def test_the_edge_is_told_of_a_finished_pod_s_deletion_once(world: World, eventually: Eventually) -> None:
    """Only then it clears the job's folder away; it may list the pod for a while after that."""
    uids = [world.add_pod(name)["metadata"]["uid"] for name in ("a", "b")]
    async with world.running():
        await eventually(lambda: set(uids) <= set(world.edge.statuses))
        for uid in uids:
            world.edge.say(uid, DONE, ended=True)
        await eventually(lambda: world.phase("a") == world.phase("b") == "Succeeded")
        assert not world.edge.deleted
        world.api.remove("/api/v1/namespaces/default/pods/a")
        await eventually(lambda: uids[0] in world.edge.deleted)
        world.edge.restart()
        await asyncio.sleep(0.3)
    world.api.remove("/api/v1/namespaces/default/pods/b")
    async with world.running():
        await eventually(lambda: uids[1] in world.edge.deleted)
        await asyncio.sleep(0.2)
    assert [len(world.edge.deleted[uid]) for uid in uids] == [2, 1], "once by each virtual kubelet"


async def test_the_sites_words_become_one_event_for_each_key_in_one_or_two_lives(
    world: World, eventually: Eventually
) -> None:
    uid = world.add_pod("p")["metadata"]["uid"]
    async with world.running():
        await eventually(lambda: uid in world.edge.statuses)
        for number, key in enumerate(["0.Priority", "0.Priority", "0.Resources", "0.Priority"]):
            waits = {"waiting": {"reason": "SlurmPending", "message": f"{key} {number}"}}
            event = SiteEvent(key=key, reason="SlurmPending", message=key)
            world.edge.say(uid, waits, event=event)
            await eventually(lambda waits=waits: waits == _state(world.pod("p")))
        await eventually(lambda: world.reasons().count("SlurmPending") == 2)
    async with world.running():
        pods = await eventually(lambda: getattr(world.kubelet, "pods", None))
        await eventually(lambda: uid in pods.memories and pods.memories[uid].told == {"0.Priority"})
        assert world.reasons().count("SlurmPending") == 2
        event = SiteEvent(key="gone", type="Warning", reason="NodeFailure", message="lost its node c1")
        lost = {"terminated": {"exitCode": 137, "reason": "NodeFailure"}}
        world.edge.say(uid, lost, ended=True, reason="NodeFailure", message="lost", disrupted=True, event=event)
        await eventually(lambda: "NodeFailure" in world.reasons())
    condition = {item["type"]: item for item in world.pod("p")["status"]["conditions"]}["DisruptionTarget"]
    assert (condition["status"], condition["reason"], condition["message"]) == ("True", "NodeFailure", "lost")
    assert condition["lastTransitionTime"]


def _state(pod: dict[str, Any]) -> dict[str, Any]:
    statuses = pod["status"].get("containerStatuses") or [{}]
    state: dict[str, Any] = statuses[0].get("state", {})
    return state
