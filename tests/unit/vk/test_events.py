"""The events of a pod as kubectl shows them: counted, each once for all processes of ours, and never too many."""

import functools
import time
from collections.abc import Callable
from typing import Any

import pytest

from interlink.vk.events import recorder as vk_events
from interlink.vk.events.waiting import Waiting
from interlink.wire.messages import ContainerEvent

World = Any  # of conftest.py, which cannot be imported
Eventually = Callable[..., Any]
Json = dict[str, Any]
RUNNING = {"running": {"startedAt": "2026-01-01T00:00:01Z"}}


def events(world: World, reason: str) -> list[Json]:
    """Return the events of this reason, in the order in which they were written."""
    return [value for path, value in world.api.objects.items() if "/events/" in path and value["reason"] == reason]


def unhealthy(count: int, words: str = "no") -> list[ContainerEvent]:
    message = f"Readiness probe failed: {words}"
    event = ContainerEvent(
        container="c", key="readiness", type="Warning", reason="Unhealthy", message=message, count=count
    )
    return [event]


async def running_pod(world: World, eventually: Eventually, **more: Any) -> str:
    """Create a pod and let it run; return its UID."""
    uid: str = world.add_pod("p", **more)["metadata"]["uid"]
    await eventually(lambda: uid in world.edge.statuses)
    world.edge.say(uid, RUNNING)
    await eventually(lambda: world.phase("p") == "Running")
    return uid


async def test_what_a_plugin_counts_is_one_event_with_the_count_and_the_container(
    world: World, eventually: Eventually
) -> None:
    async with world.running():
        uid = await running_pod(world, eventually)
        world.edge.say(uid, RUNNING, containerEvents=unhealthy(1))
        await eventually(lambda: events(world, "Unhealthy"))
        world.edge.say(uid, RUNNING, containerEvents=unhealthy(11))
        await eventually(lambda: events(world, "Unhealthy")[0]["count"] == 11)
        world.edge.say(uid, RUNNING, containerEvents=unhealthy(12, "not yet"))
        await eventually(lambda: len(events(world, "Unhealthy")) == 2)
    first, second = events(world, "Unhealthy")
    assert first["message"] == "Readiness probe failed: no"
    assert first["type"] == "Warning"
    assert first["involvedObject"]["fieldPath"] == "spec.containers{c}"
    assert (second["message"], second["count"]) == ("Readiness probe failed: not yet", 1)


async def test_a_count_that_was_begun_anew_is_news(world: World, eventually: Eventually) -> None:
    async with world.running():
        uid = await running_pod(world, eventually)
        world.edge.say(uid, RUNNING, containerEvents=unhealthy(5))
        await eventually(lambda: events(world, "Unhealthy"))
        world.edge.say(uid, RUNNING, containerEvents=unhealthy(2))
        await eventually(lambda: events(world, "Unhealthy")[0]["count"] == 7)


async def test_what_an_earlier_process_has_told_is_not_told_again(world: World, eventually: Eventually) -> None:
    async with world.running():
        uid = await running_pod(world, eventually)
        world.edge.say(uid, RUNNING, containerEvents=unhealthy(5))
        await eventually(lambda: events(world, "Unhealthy"))
    async with world.running():
        pods = await eventually(lambda: getattr(world.kubelet, "pods", None))
        await eventually(lambda: uid in pods.memories and pods.memories[uid].counted)
        world.edge.say(uid, RUNNING, containerEvents=unhealthy(8))
        await eventually(lambda: len(events(world, "Unhealthy")) == 2)
    assert [event["count"] for event in events(world, "Unhealthy")] == [5, 3]


async def test_a_hook_that_failed_is_told_although_the_pod_has_ended_meanwhile(
    world: World, eventually: Eventually
) -> None:
    failed = ContainerEvent(
        container="c", key="FailedPreStopHook", type="Warning", reason="FailedPreStopHook", message="PreStopHook failed"
    )
    async with world.running():
        uid = await running_pod(world, eventually)
        await world.delete("p")
        await eventually(lambda: uid in world.edge.deleted)
        ended = {"terminated": {"exitCode": 0, "reason": "Completed"}}
        world.edge.say(uid, ended, ended=True, containerEvents=[failed])
        await eventually(lambda: events(world, "FailedPreStopHook"))
        await eventually(lambda: not world.pod("p"))
    assert [event["message"] for event in events(world, "FailedPreStopHook")] == ["PreStopHook failed"]


async def test_a_deletion_kills_the_containers_that_run_and_no_others(world: World, eventually: Eventually) -> None:
    sidecar = {"name": "beside", "image": "busybox", "restartPolicy": "Always"}
    async with world.running():
        uid = world.add_pod("p", spec={"initContainers": [sidecar]})["metadata"]["uid"]
        waits = world.add_pod("waits")["metadata"]["uid"]
        await eventually(lambda: {uid, waits} <= set(world.edge.statuses))
        world.edge.statuses[uid].initContainers = [{"name": "beside", "state": RUNNING, "started": True}]
        world.edge.say(uid, RUNNING)
        await eventually(lambda: world.phase("p") == "Running")
        await world.delete("waits")
        await eventually(lambda: waits in world.edge.deleted)
        await world.delete("p")
        await eventually(lambda: len(events(world, "Killing")) == 2)
    assert [(event["message"], event["involvedObject"]["fieldPath"]) for event in events(world, "Killing")] == [
        ("Stopping container beside", "spec.initContainers{beside}"),
        ("Stopping container c", "spec.containers{c}"),
    ]


async def test_many_events_that_differ_in_their_words_alone_become_one_in_the_end(
    world: World, eventually: Eventually
) -> None:
    async with world.running() as kubelet:
        pod = world.add_pod("p")
        for number in range(14):
            kubelet.events.pod(pod, "Warning", "Unhealthy", f"it is now {number}")
        await eventually(lambda: [event["count"] for event in events(world, "Unhealthy")] == [1] * 9 + [5])
    assert events(world, "Unhealthy")[9]["message"] == "(combined from similar events): it is now 13"


async def test_a_pod_has_25_events_at_once_and_then_one_in_five_minutes(world: World, eventually: Eventually) -> None:
    async with world.running() as kubelet:
        pod, other = world.add_pod("p"), world.add_pod("q")
        for _ in range(60):
            kubelet.events.pod(pod, "Warning", "Unhealthy", "no")
        kubelet.events.pod(other, "Normal", "Last", "of all")
        await eventually(lambda: events(world, "Last"))
    assert sum(event["count"] for event in events(world, "Unhealthy")) <= 25


def test_events_that_find_no_room_are_counted_and_said_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vk_events, "Waiting", functools.partial(Waiting, 2))
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    api: Any = None
    recorder = vk_events.Events(api, "node")
    pod = {"metadata": {"namespace": "default", "name": "p", "uid": "1"}}
    for number in range(10):
        recorder.pod(pod, "Normal", "Created", f"number {number}")
    now += vk_events.COMPLAINT_SECONDS
    recorder.pod(pod, "Normal", "Created", "the last one")
    assert [record.getMessage() for record in caplog.records] == [
        "1 events dropped, too many wait; the last one: p Created: number 2",
        "8 events dropped, too many wait; the last one: p Created: the last one",
    ]
