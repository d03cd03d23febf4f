"""Events as a kubelet writes them, of real containers of real jobs, and of what a job cannot do."""

import json
from typing import Any

from tests.e2e.cluster import Cluster, Object, container
from tests.e2e.waiting import wait_for


def told(cluster: Cluster, name: str, reason: str) -> list[Object]:
    """Return the pod's events of this reason."""
    return [event for event in cluster.events(name) if event["reason"] == reason]


def shell(script: str) -> Object:
    """Return a handler that runs a script in the container."""
    return {"exec": {"command": ["sh", "-c", script]}}


def test_a_probe_that_fails_every_second_is_one_event_and_a_hook_s_words_are_none(cluster: Cluster) -> None:
    failing = container(
        "trap 'exit 0' TERM; while :; do sleep 0.1; done",
        readinessProbe=shell("echo not yet; exit 1") | {"periodSeconds": 1, "timeoutSeconds": 5},
        lifecycle={"preStop": shell("echo secret; exit 1")},
    )
    cluster.start("failing", containers=[failing], terminationGracePeriodSeconds=20)
    (unhealthy,) = wait_for(
        "a count of failures", lambda: told(cluster, "failing", "Unhealthy"),
        lambda seen: bool(seen) and seen[0]["count"] >= 5, within=120,
    )  # fmt: skip
    assert (unhealthy["type"], unhealthy["message"]) == ("Warning", "Readiness probe failed: not yet")
    assert unhealthy["involvedObject"]["fieldPath"] == "spec.containers{main}"
    assert told(cluster, "failing", "Killing") == []
    cluster.kubectl("delete", "pod", "failing", "--wait=false")
    hook = wait_for("the hook's event", lambda: told(cluster, "failing", "FailedPreStopHook"))
    cluster.wait_gone("failing")
    assert [event["message"] for event in hook] == ["PreStopHook failed"]
    assert [event["message"] for event in told(cluster, "failing", "Killing")] == ["Stopping container main"]


def test_a_resize_in_place_does_not_happen_and_everybody_is_told(cluster: Cluster) -> None:
    def resize(cpu: str) -> None:
        sized = {"name": "main", "resources": {"requests": {"cpu": cpu}}}
        patch = json.dumps({"spec": {"containers": [sized]}})
        cluster.kubectl("patch", "pod", "sized", "--subresource=resize", "--patch", patch)

    def pending() -> dict[str, Any]:
        conditions = cluster.pod("sized")["status"]["conditions"]
        return next((each for each in conditions if each["type"] == "PodResizePending"), {})

    given = {"cpu": "1", "memory": "64Mi"}
    cluster.start("sized", script="trap 'exit 0' TERM; while :; do sleep 0.1; done")
    status = cluster.wait_phase("sized", "Running")["status"]["containerStatuses"][0]
    assert status["resources"]["requests"] == status["allocatedResources"] == given
    resize("2")
    condition = wait_for("the condition", pending)
    assert (condition["status"], condition["reason"]) == ("True", "Infeasible")
    assert "not supported by this node" in condition["message"]
    (event,) = wait_for("the event", lambda: told(cluster, "sized", "ResizeInfeasible"))
    assert event["message"].startswith('Pod resize Infeasible: {"containers":[{"name":"main"')
    found = cluster.pod("sized")
    assert found["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "2"
    status = found["status"]["containerStatuses"][0]
    assert status["resources"]["requests"] == status["allocatedResources"] == given
    assert status["restartCount"] == 0
    resize("1")
    wait_for("the condition to go", pending, lambda seen: not seen)
    cluster.kubectl("delete", "pod", "sized", "--wait=false", "--grace-period=2")
    cluster.wait_gone("sized")
