"""Phases, container statuses and conditions: kubelet's table (point 16), and what hostile input makes of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.vk.pods.phase import pod_phase
from interlink.vk.pods.status import final_status, patch_needed, rejected_status, reported_status
from interlink.vk.times import whole_seconds
from interlink.wire.messages import PodStatus

Json = dict[str, Any]
NOW = "2026-01-01T00:00:00Z"
RUNNING: Json = {"state": {"running": {}}}
WAITING: Json = {"state": {"waiting": {}}}
RESTARTING: Json = {"state": {"waiting": {}}, "lastState": {"terminated": {"exitCode": 1}}}
STARTED: Json = {"state": {"running": {}}, "started": True}


def ended(code: int) -> Json:
    return {"state": {"terminated": {"exitCode": code}}}


TABLE = [
    # policy, init, main, terminal → phase
    ("Never", [], [WAITING], False, "Pending"),
    ("Never", [], [RUNNING, WAITING], False, "Pending"),
    ("Never", [], [RUNNING, ended(0)], False, "Running"),
    ("Never", [], [ended(0), ended(0)], False, "Succeeded"),
    ("Never", [], [ended(0), ended(2)], False, "Failed"),
    ("Never", [], [{}], False, "Pending"),
    ("Never", [], [RUNNING, {}], False, "Pending"),
    ("OnFailure", [], [ended(0)], False, "Succeeded"),
    ("OnFailure", [], [ended(1)], False, "Running"),
    ("OnFailure", [], [RESTARTING], False, "Running"),
    ("Always", [], [ended(0)], False, "Running"),
    ("Always", [], [RESTARTING], False, "Running"),
    ("Always", [], [ended(0)], True, "Succeeded"),
    ("Always", [], [ended(137)], True, "Failed"),
    ("OnFailure", [], [ended(1)], True, "Failed"),
    ("Never", [ended(1)], [WAITING], False, "Failed"),
    ("OnFailure", [ended(1)], [WAITING], False, "Pending"),
    ("Always", [ended(1)], [WAITING], False, "Pending"),
    ("Always", [RUNNING], [WAITING], False, "Pending"),
    ("Always", [ended(0)], [RUNNING], False, "Running"),
    ("Always", [RUNNING], [RUNNING], False, "Running"),
    ("Never", [RESTARTING], [WAITING], False, "Failed"),
    ("OnFailure", [RESTARTING], [WAITING], False, "Pending"),
    ("Always", [RESTARTING], [WAITING], False, "Pending"),
    ("Never", [{}], [WAITING], False, "Pending"),
    ("Always", [WAITING], [RUNNING], False, "Running"),
    ("Always", [ended(0), RUNNING], [WAITING], False, "Pending"),
    ("Never", [ended(0)], [ended(0)], False, "Succeeded"),
    ("OnFailure", [ended(0)], [RESTARTING], False, "Running"),
    ("OnFailure", [], [ended(1), RUNNING], False, "Running"),
    ("OnFailure", [], [ended(1), ended(0)], False, "Running"),
    ("OnFailure", [], [ended(1), ended(0)], True, "Failed"),
    ("Always", [], [ended(0), {}], False, "Pending"),
    ("OnFailure", [ended(1)], [WAITING], True, "Pending"),
]


@pytest.mark.parametrize(("policy", "init", "main", "terminal", "phase"), TABLE)
def test_phase(policy: str, init: list[Json], main: list[Json], terminal: bool, phase: str) -> None:
    statuses = {f"i{n}": entry for n, entry in enumerate(init)} | {f"c{n}": entry for n, entry in enumerate(main)}
    spec = {
        "restartPolicy": policy,
        "initContainers": [{"name": f"i{n}"} for n in range(len(init))],
        "containers": [{"name": f"c{n}"} for n in range(len(main))],
    }
    assert pod_phase(spec, statuses, terminal=terminal) == phase


@pytest.mark.parametrize(
    ("sidecar", "main", "phase"),
    [
        (STARTED, RUNNING, "Running"),
        (STARTED, ended(0), "Running"),
        (ended(1), ended(0), "Succeeded"),
        (RUNNING, WAITING, "Pending"),
        (WAITING, WAITING, "Pending"),
    ],
)
def test_phase_with_a_sidecar(sidecar: Json, main: Json, phase: str) -> None:
    spec = {
        "restartPolicy": "Never",
        "initContainers": [{"name": "s", "restartPolicy": "Always"}],
        "containers": [{"name": "c"}],
    }
    assert pod_phase(spec, {"s": sidecar, "c": main}, terminal=False) == phase


def pod(policy: str = "Never", status: Json | None = None, names: tuple[str, ...] = ("c",)) -> Json:
    containers = [{"name": name, "image": "busybox"} for name in names]
    spec = {"restartPolicy": policy, "containers": containers}
    return {"metadata": {"name": "p", "generation": 3}, "spec": spec, "status": status or {"phase": "Pending"}}


def wire(*containers: Json, **more: Any) -> PodStatus:
    return PodStatus(name="p", UID="u", namespace="default", containers=list(containers), **more)


def test_spec_order_and_missing_containers() -> None:
    status = reported_status(pod(names=("b", "a")), wire({"name": "a", **RUNNING}, {"name": "z", **RUNNING}), NOW)
    assert [entry["name"] for entry in status["containerStatuses"]] == ["b", "a"]
    assert status["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert status["observedGeneration"] == 3


def test_a_job_that_ended_before_it_started() -> None:
    status = reported_status(pod("Always"), wire({"name": "c", **WAITING}, ended=True, reason="Cancelled"), NOW)
    assert status["phase"] == "Failed"
    assert status["reason"] == "Cancelled"
    assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137


@pytest.mark.parametrize(
    ("reason", "over", "deleted", "phase"),
    [
        ("DeadlineExceeded", True, False, "Failed"),
        ("", True, False, "Succeeded"),
        ("DeadlineExceeded", False, False, "Running"),
        ("Cancelled", True, True, "Succeeded"),
    ],
)
def test_an_abnormal_end_is_a_failure_even_with_exit_code_0(reason: str, over: bool, deleted: bool, phase: str) -> None:
    start = pod(status={"phase": "Running"})
    if deleted:
        start["metadata"]["deletionTimestamp"] = NOW
    status = reported_status(start, wire({"name": "c", **ended(0)}, ended=over, reason=reason), NOW)
    assert status["phase"] == phase
    assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
    if phase == "Failed":
        assert {entry["type"]: entry["reason"] for entry in status["conditions"]}["Ready"] == "PodFailed"


def test_what_never_began_because_an_init_container_failed_goes_on_waiting() -> None:
    spec = pod(names=("c",))
    spec["spec"]["initContainers"] = [{"name": "i"}, {"name": "j"}]
    waiting = {"waiting": {"reason": "PodInitializing"}}
    said = wire({"name": "c", "state": waiting}, ended=True)
    said.initContainers = [
        {"name": "i", "state": {"terminated": {"exitCode": 4}}},
        {"name": "j", "state": waiting},
    ]
    status = reported_status(spec, said, NOW)
    assert status["phase"] == "Failed"
    assert [item["state"] for item in (*status["initContainerStatuses"][1:], *status["containerStatuses"])] == [
        waiting
    ] * 2


@pytest.mark.parametrize(
    ("init", "ended_job", "ready"),
    [(WAITING, False, "False"), (RUNNING, False, "True"), (ended(4), False, "True"), (RESTARTING, False, "True"),
     (ended(4), True, "False")],
)  # fmt: skip
def test_what_an_init_container_needs_to_start_is_there_once_one_has_started(
    init: Json, ended_job: bool, ready: str
) -> None:
    spec = pod("OnFailure")
    spec["spec"]["initContainers"] = [{"name": "i"}]
    said = wire({"name": "c", **WAITING}, ended=ended_job, reason="Cancelled" if ended_job else "")
    said.initContainers = [{"name": "i", **init}]
    status = reported_status(spec, said, NOW)
    assert {each["type"]: each["status"] for each in status["conditions"]}["PodReadyToStartContainers"] == ready


def test_a_sidecar_may_run_again_under_any_policy() -> None:
    over = {"terminated": {"exitCode": 0}}
    old = pod(status={"initContainerStatuses": [{"name": "i", "state": over}]}, names=("c",))
    old["spec"]["initContainers"] = [{"name": "i", "restartPolicy": "Always"}]
    said = wire({"name": "c", "state": {"running": {}}})
    said.initContainers = [{"name": "i", "state": {"running": {}}, "restartCount": 1}]
    assert reported_status(old, said, NOW)["initContainerStatuses"][0]["state"] == {"running": {}}


def test_terminal_phase_is_never_left() -> None:
    for old in ("Failed", "Succeeded"):
        assert reported_status(pod(status={"phase": old}), wire({"name": "c", **RUNNING}), NOW)["phase"] == old


def test_long_messages_are_cut_to_the_pod_s_share() -> None:
    state = {"terminated": {"exitCode": 1, "message": "x" * 100_000}}
    status = reported_status(pod(names=("a", "b")), wire({"name": "a", "state": state}), NOW)
    assert len(status["containerStatuses"][0]["state"]["terminated"]["message"]) == 6144


def test_addresses_must_be_addresses() -> None:
    assert "hostIP" not in reported_status(pod(), wire({"name": "c", **RUNNING}, hostIP="node-17"), NOW)
    status = reported_status(pod(), wire({"name": "c", **RUNNING}, hostIP="fe80:0:0::1"), NOW)
    assert status["podIPs"] == [{"ip": "fe80::1"}]


def test_rejected_and_final() -> None:
    rejected = rejected_status(pod(), "SlurmRefused", "no such partition", NOW)
    assert (rejected["phase"], rejected["reason"]) == ("Failed", "SlurmRefused")
    ran = {"phase": "Running", "startTime": "2025-01-01T00:00:00Z", "containerStatuses": [{"name": "c", **RUNNING}]}
    final = final_status(pod(status=ran), "NotFound", "gone", NOW)
    assert final["phase"] == "Failed"
    assert final["startTime"] == "2025-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("2026-01-01T00:00:01.999999999Z", "2026-01-01T00:00:01Z"),
        ("2026-01-01T02:00:00+02:00", "2026-01-01T00:00:00Z"),
        ("2026-01-01T00:00:00.1Z", "2026-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00Z", ""),
        ("yesterday", ""),
    ],
)
def test_whole_seconds(text: str, cut: str) -> None:
    assert whole_seconds(text) == cut


states = st.fixed_dictionaries(
    {},
    optional={
        "running": st.fixed_dictionaries({}, optional={"startedAt": st.none() | st.text(max_size=30)}),
        "waiting": st.dictionaries(st.sampled_from(["reason", "message"]), st.text(max_size=5)),
        "terminated": st.fixed_dictionaries({"exitCode": st.integers(0, 255)}),
    },
)
container_status = st.fixed_dictionaries(
    {"name": st.sampled_from(["a", "b", "z"]), "state": states},
    optional={
        "lastState": states,
        "ready": st.booleans() | st.none(),
        "restartCount": st.integers(0, 3),
        "started": st.booleans() | st.none(),
        "imageID": st.none(),
    },
)


@given(
    st.lists(container_status, max_size=4),
    st.sampled_from(["Always", "OnFailure", "Never"]),
    st.booleans(),
    st.lists(container_status, max_size=2),
)
def test_any_report_settles(said: list[Json], policy: str, over: bool, before: list[Json]) -> None:
    """Whatever is said: the result is complete, writes itself once, and only an ended job makes a pod terminal."""
    start = pod(policy, names=("a", "b"))
    start["status"]["conditions"] = [{"type": "PodScheduled", "status": "True"}]
    first = reported_status(start, wire(*before), NOW)
    first["conditions"] += start["status"]["conditions"]
    current = {**start, "status": first}
    status = reported_status(current, wire(*said, ended=over), NOW)
    assert [entry["name"] for entry in status["containerStatuses"]] == ["a", "b"]
    assert (status["phase"] in ("Succeeded", "Failed")) == over
    status["conditions"] += start["status"]["conditions"]
    again = reported_status({**start, "status": status}, wire(*said, ended=over), "2026-02-02T00:00:00Z")
    assert not patch_needed(status, {key: again[key] for key in again if key != "containerStatuses"})
    if not over:
        assert not patch_needed(status, again)


def test_a_pod_that_no_scheduler_has_placed_is_said_to_be_scheduled_once() -> None:
    """As under a kubelet; the scheduler's own word is left alone."""
    bare = pod("Never")
    said = reported_status(bare, wire(RUNNING), NOW)
    assert [each["status"] for each in said["conditions"] if each["type"] == "PodScheduled"] == ["True"]
    again = reported_status({**bare, "status": said}, wire(RUNNING), NOW)
    assert not [each for each in again["conditions"] if each["type"] == "PodScheduled"]
