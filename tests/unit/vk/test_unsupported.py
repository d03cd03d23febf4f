"""What a pod asks for in vain reaches its author: an event where it is ignored, the pod's end where it is refused."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest

from interlink.core.errors import UnsupportedPod
from interlink.vk.events.note import MESSAGE_LIMIT, as_message
from interlink.vk.pods.unsupported import refuse_sources
from tests.unit.core.pod.spoken import IGNORED, PLAIN, REFUSED_AT_ONCE, container
from tests.unit.core.pod.test_support import as_pattern, row_of

World = Any  # of conftest.py, which cannot be imported
Eventually = Callable[..., Any]
RUNNING = {"running": {"startedAt": "2026-01-01T00:00:01Z"}}


def told(world: World) -> list[dict[str, Any]]:
    events = [held for path, held in world.api.objects.items() if "/events/" in path]
    return [event for event in events if event["reason"] == "FieldIgnored"]


async def test_ignored_fields_are_one_event_of_the_pod(world: World, eventually: Eventually) -> None:
    world.edge.warnings = ["the pod's dnsConfig has no effect", "the pod's hostname has no effect"]
    uid = world.add_pod("p")["metadata"]["uid"]
    async with world.running():
        await eventually(lambda: told(world))
        world.edge.say(uid, RUNNING)
        await eventually(lambda: world.phase("p") == "Running")
    async with world.running():  # a new virtual kubelet finds the pod, and does not say it again
        await eventually(lambda: world.edge.count("/changes") > 1)
        await asyncio.sleep(0.2)
    (event,) = told(world)
    assert (event["type"], event["count"], event["involvedObject"]["uid"]) == ("Warning", 1, uid)
    assert event["message"] == "the pod's dnsConfig has no effect; the pod's hostname has no effect"


async def test_a_pod_of_which_all_is_done_has_no_such_event(world: World, eventually: Eventually) -> None:
    world.add_pod("p")
    async with world.running():
        await eventually(lambda: "Created" in world.reasons())
    assert not told(world)


@pytest.mark.parametrize(("key", "spec"), REFUSED_AT_ONCE.items())
async def test_what_cannot_be_gathered_fails_the_pod_with_the_tables_words(
    world: World, eventually: Eventually, key: tuple[str, str], spec: dict[str, Any]
) -> None:
    world.add_pod("p", spec=spec)
    async with world.running():
        await eventually(lambda: world.phase("p") == "Failed")
        await eventually(lambda: "FailedCreate" in world.reasons())
    status = world.pod("p")["status"]
    assert status["reason"] == "UnsupportedPod"
    assert re.search(as_pattern(row_of(*key).refused), status["message"])
    assert world.edge.count("/create") == 0


def test_an_init_containers_variables_are_looked_at_too() -> None:
    (spec,) = [spec for key, spec in REFUSED_AT_ONCE.items() if key[1] == "fileKeyRef"]
    first = {**spec["containers"][0], "name": "first"}
    with pytest.raises(UnsupportedPod, match='container "first": variable A is from fileKeyRef'):
        refuse_sources({"spec": {**container(), "initContainers": [first]}})


@pytest.mark.parametrize("spec", [PLAIN, *IGNORED.values()])
def test_nothing_else_is_refused_by_the_virtual_kubelet(spec: dict[str, Any]) -> None:
    refuse_sources({"spec": {**container(), **spec}})


def test_a_message_that_is_too_long_counts_what_it_leaves_out() -> None:
    few = ["a" * 100, "b" * 100]
    assert as_message(few) == "; ".join(few)
    many = [f"{number} " + "x" * 200 for number in range(20)]
    message = as_message(many)
    assert len(message) <= MESSAGE_LIMIT
    shown = message.count("x" * 200)
    assert message.endswith(f"; and {20 - shown} more")
    assert 0 < shown < 20


async def test_a_debug_container_waits_with_the_reason_and_is_told_once(world: World, eventually: Eventually) -> None:
    def shown() -> Any:
        return world.pod("p")["status"].get("ephemeralContainerStatuses")

    uid = world.add_pod("p")["metadata"]["uid"]
    async with world.running():
        await eventually(lambda: uid in world.edge.statuses)
        world.edge.say(uid, RUNNING)
        await eventually(lambda: world.phase("p") == "Running")
        pod = world.pod("p")
        pod["spec"]["ephemeralContainers"] = [{"name": "debugger", "image": "busybox"}]
        world.api.put("/api/v1/namespaces/default/pods/p", pod)
        await eventually(shown)
        await eventually(lambda: told(world))
    async with world.running():
        await eventually(lambda: world.edge.count("/changes") > 1)
        await asyncio.sleep(0.2)
    (status,) = shown()
    assert (status["name"], status["state"]["waiting"]["reason"]) == ("debugger", "NotSupported")
    (event,) = told(world)
    words = f"the pod's ephemeralContainers {row_of('PodSpec', 'ephemeralContainers').ignored}"
    assert (event["count"], event["message"], status["state"]["waiting"]["message"]) == (1, words, words)
