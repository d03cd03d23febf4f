"""A resize in place of a pod that is a batch job: it does not happen, and everybody is told, as by a kubelet."""

from collections.abc import Callable
from typing import Any

import pytest

from interlink.vk.pods.status import NOTHING, final_status, patch_needed, reported_status, waiting_status
from interlink.wire.messages import PodStatus

World = Any  # of conftest.py, which cannot be imported
Eventually = Callable[..., Any]
Json = dict[str, Any]
NOW = "2026-01-01T00:00:00Z"
SCHEDULED = {"type": "PodScheduled", "status": "True"}
RUNNING = {"running": {"startedAt": "2026-01-01T00:00:01Z"}}


def size(cpu: str) -> Json:
    return {"limits": {"cpu": cpu, "memory": "1Gi"}, "requests": {"cpu": cpu, "memory": "1Gi"}}


def make_pod(resources: Json, status: Json | None = None) -> Json:
    containers = [{"name": "c", "image": "busybox", "resources": resources}]
    init = [
        {"name": "once", "image": "busybox", "resources": size("1")},
        {"name": "beside", "image": "busybox", "resources": size("1"), "restartPolicy": "Always"},
    ]
    return {
        "metadata": {"name": "p", "namespace": "ns", "uid": "u-1", "generation": 2},
        "spec": {"containers": containers, "initContainers": init},
        "status": {**status, "conditions": [SCHEDULED, *status["conditions"]]} if status else {},
    }


def running() -> PodStatus:
    return PodStatus(
        name="p", UID="u-1", namespace="ns", containers=[{"name": "c", "state": RUNNING}],
        initContainers=[
            {"name": "once", "state": {"terminated": {"exitCode": 0}}}, {"name": "beside", "state": RUNNING},
        ],
    )  # fmt: skip


def pending(status: Json) -> Json:
    """Return the condition PodResizePending, empty where there is none."""
    return next((each for each in status["conditions"] if each["type"] == "PodResizePending"), {})


def test_a_status_says_what_the_containers_were_given() -> None:
    status = reported_status(make_pod(size("2")), running(), NOW)
    (container,) = status["containerStatuses"]
    assert container["resources"] == size("2")
    assert container["allocatedResources"] == size("2")["requests"]
    once, beside = status["initContainerStatuses"]
    assert "resources" not in once
    assert beside["resources"] == size("1")
    assert pending(status) == {}


def test_a_resize_is_infeasible_and_what_was_given_stays_in_the_status_to_the_end() -> None:
    first = reported_status(make_pod(size("2")), running(), NOW)
    resized = make_pod(size("4"), first)
    status = reported_status(resized, running(), NOW)
    assert status["containerStatuses"][0]["resources"] == size("2")
    condition = pending(status)
    assert (condition["status"], condition["reason"], condition["observedGeneration"]) == ("True", "Infeasible", 2)
    assert "not supported by this node" in condition["message"]
    assert patch_needed(first, status)
    ended = final_status(make_pod(size("4"), status), "NotFound", "gone", NOW)
    assert ended["containerStatuses"][0]["resources"] == size("2")
    assert pending(ended)


def test_nothing_is_written_again_while_a_resize_is_pending_and_its_time_stays() -> None:
    first = reported_status(make_pod(size("2")), running(), NOW)
    status = reported_status(make_pod(size("4"), first), running(), NOW)
    again = reported_status(make_pod(size("4"), status), running(), "2026-01-01T00:01:00Z")
    assert not patch_needed(status, again)
    assert pending(again)["lastTransitionTime"] == NOW


def test_a_resize_that_is_taken_back_is_no_longer_pending() -> None:
    first = reported_status(make_pod(size("2")), running(), NOW)
    status = reported_status(make_pod(size("4"), first), running(), NOW)
    back = reported_status(make_pod(size("2"), status), running(), NOW)
    assert {"$patch": "delete", "type": "PodResizePending"} in back["conditions"]
    assert patch_needed(status, back)
    assert not patch_needed(first, back | {"conditions": back["conditions"][-1:]})


@pytest.mark.parametrize("field", ["resources", "allocatedResources"])
def test_a_server_that_drops_the_fields_is_not_sent_them_again_and_again(field: str) -> None:
    status = reported_status(make_pod(size("2")), running(), NOW)
    for container in (*status["containerStatuses"], *status["initContainerStatuses"]):
        container.pop(field, None)
    again = reported_status(make_pod(size("2"), status), running(), NOW)
    assert not patch_needed(status, again)


def test_what_a_pod_asks_for_counts_until_its_job_is_submitted() -> None:
    held = waiting_status(make_pod(size("2")), {}, NOW)
    assert "resources" not in held["containerStatuses"][0]
    status = reported_status(make_pod(size("4"), held), running(), NOW)
    assert status["containerStatuses"][0]["resources"] == size("4")
    assert pending(status) == {}


def test_a_resize_between_the_create_and_the_first_status_is_infeasible_too() -> None:
    status = reported_status(make_pod(size("4")), running(), NOW, {"c": size("2"), "beside": size("1")})
    assert status["containerStatuses"][0]["resources"] == size("2")
    assert pending(status)


def test_a_pod_without_requests_has_no_allocation_and_nothing_is_pending() -> None:
    status = reported_status(make_pod({}), running(), NOW, NOTHING)
    assert status["containerStatuses"][0]["resources"] == {}
    assert "allocatedResources" not in status["containerStatuses"][0]
    assert pending(status) == {}


async def test_the_user_is_told_once_for_each_resize(world: World, eventually: Eventually) -> None:
    def told() -> list[Json]:
        return [value for path, value in world.api.objects.items() if value.get("reason") == "ResizeInfeasible"]

    def resize(cpu: str, generation: int) -> None:
        pod = world.pod("p")
        pod["spec"]["containers"][0]["resources"] = size(cpu)
        pod["metadata"]["generation"] = generation
        world.api.put("/api/v1/namespaces/default/pods/p", pod)

    containers = [{"name": "c", "image": "busybox", "resources": size("1")}]
    async with world.running():
        uid = world.add_pod("p", spec={"containers": containers})["metadata"]["uid"]
        await eventually(lambda: uid in world.edge.statuses)
        world.edge.say(uid, RUNNING)
        await eventually(lambda: world.phase("p") == "Running")
        resize("2", 2)
        await eventually(lambda: len(told()) == 1)
        world.edge.say(uid, RUNNING, hostIP="10.0.0.1")
        await eventually(lambda: world.pod("p")["status"].get("hostIP"))
        resize("3", 3)
        await eventually(lambda: len(told()) == 2)
        resize("1", 4)
        await eventually(lambda: not pending(world.pod("p")["status"]))
    assert len(told()) == 2
    assert told()[0]["type"] == "Warning"
    assert told()[0]["message"].startswith(
        'Pod resize Infeasible: {"containers":[{"name":"c","resources":{"limits":{"cpu":"2","memory":"1Gi"},"requests":'
        '{"cpu":"2","memory":"1Gi"}}}],"generation":2,"error":"In-place pod resize is not supported'
    )
