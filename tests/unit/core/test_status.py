"""Slurm's side and the runner's side of a pod, merged."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.core.job.facts import JobFacts
from interlink.core.job.states import ENDS, PHASES, STANDSTILLS, JobPhase
from interlink.core.plan import Report, ReportAsked
from interlink.core.pod.facts import PodFacts
from interlink.core.status import pod_status
from interlink.wire.messages import CLUSTER_ANNOTATION, ContainerEvent, PodStatus
from tests.unit.core.pods import UID, make_pod

POD = PodFacts(
    namespace="ns",
    name="p",
    uid=UID,
    cluster="c",
    node="n",
    containers=(
        ("a", "busybox"),
        ("b", "alpine"),
    ),
)
#: 2026-01-01T00:00:00Z and half a minute later.
START, END = 1767225600.0, 1767225630.0
RUNNING = {"running": {"startedAt": "2026-01-01T00:00:01Z"}}
ENDED = {"terminated": {"exitCode": 3, "reason": "Error", "startedAt": "2026-01-01T00:00:01Z",
                        "finishedAt": "2026-01-01T00:00:02Z"}}  # fmt: skip


def _job(state: str, *flags: str, **fields: Any) -> JobFacts:
    return JobFacts(job_id=12, uid=UID, state=state, flags=frozenset(flags), **fields)


def _report(a: dict[str, Any], b: dict[str, Any], **fields: Any) -> Report:
    def status(name: str, state: dict[str, Any]) -> dict[str, Any]:
        running = "running" in state
        return {"name": name, "image": "docker://x", "imageID": "", "state": state, "lastState": {}, "ready": running,
                "started": running, "restartCount": 2, "containerID": "slurm://12/" + name}  # fmt: skip

    # The runner's order is not the pod's here: the status has the pod's.
    return Report(uid=UID, job_id="12", sequence=1, time="2026-01-01T00:00:20.5Z", host_ip="10.0.0.1",
                  containers=[status("b", b), status("a", a)], **fields)  # fmt: skip


def _merge(job: JobFacts | None = None, report: Report | None = None, job_id: str = "12", **fields: bool) -> PodStatus:
    return pod_status(POD, job_id=job_id, job=job, report=report, **fields)


def _states(status: PodStatus) -> list[dict[str, Any]]:
    return [container["state"] for container in status.containers]


@pytest.mark.parametrize(
    ("job_id", "job", "reason", "words"),
    [
        ("", None, "SlurmPending", "Not yet submitted to Slurm"),
        ("12", None, "SlurmPending", "Submitted as Slurm job 12"),
        ("12", _job("PENDING", reason="Priority"), "SlurmPending", "Pending in Slurm (job 12): jobs of higher"),
        ("12", _job("PENDING", restart_count=1), "SlurmPending", "Requeued in Slurm (job 12)"),
        ("12", _job("CONFIGURING"), "SlurmPending", "its nodes are being started"),
        ("12", _job("RUNNING", "CONFIGURING", nodes="c1"), "SlurmPending", "its nodes are being started"),
        ("12", _job("PENDING", "POWER_UP_NODE"), "SlurmPending", "its nodes are being started"),
        ("12", _job("RUNNING", nodes="c1"), "ContainerCreating", "Slurm job 12 has started on c1"),
        ("12", _job("NODE_FAIL", "COMPLETING", nodes="c1"), "ContainerCreating", "Slurm job 12 is ending"),
    ],
)
def test_before_the_runner_speaks_all_containers_wait_and_say_for_what(
    job_id: str, job: JobFacts | None, reason: str, words: str
) -> None:
    status = _merge(job, job_id=job_id)
    assert [container["name"] for container in status.containers] == ["a", "b"]
    for state in _states(status):
        assert state["waiting"]["reason"] == reason
        assert words in state["waiting"]["message"]
    assert (status.ended, status.JID, status.cluster, status.node) == (False, job_id, "c", "n")


def test_the_runners_word_counts_for_what_happened_in_the_job() -> None:
    status = _merge(_job("RUNNING"), _report(RUNNING, ENDED))
    assert _states(status) == [RUNNING, ENDED]
    assert [container["image"] for container in status.containers] == ["busybox", "alpine"]
    assert [container["ready"] for container in status.containers] == [True, False]
    assert (status.hostIP, status.ended, status.containers[0]["restartCount"]) == ("10.0.0.1", False, 2)


def test_a_report_outruns_slurms_stale_word_but_not_a_requeue() -> None:
    assert _states(_merge(_job("PENDING"), _report(RUNNING, RUNNING))) == [RUNNING, RUNNING]
    requeued = _merge(_job("PENDING", restart_count=1), _report(RUNNING, RUNNING))
    assert all("waiting" in state for state in _states(requeued))
    again = _merge(_job("RUNNING", restart_count=1), _report(RUNNING, RUNNING, restart=1))
    assert _states(again) == [RUNNING, RUNNING]


@pytest.mark.parametrize("job", [_job("RUNNING"), _job("COMPLETED", "COMPLETING"), None])
def test_a_finished_pod_has_not_ended_while_slurm_may_still_run_its_job(job: JobFacts | None) -> None:
    status = _merge(job, _report(ENDED, ENDED, finished=True))
    assert (_states(status), status.ended) == ([ENDED, ENDED], False)


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED"])
def test_an_ordinary_end_is_the_runners_alone(state: str) -> None:
    status = _merge(_job(state, end_time=END), _report(ENDED, ENDED, finished=True))
    assert (_states(status), status.ended, status.reason, status.message) == ([ENDED, ENDED], True, "", "")


@pytest.mark.parametrize(
    ("job", "reason", "message", "code"),
    [
        (_job("CANCELLED"), "Cancelled", "Slurm job 12 was cancelled", 143),
        (_job("CANCELLED", cancelled_by=0), "Cancelled", "Slurm job 12 was cancelled by the site's user 0", 143),
        (_job("TIMEOUT", time_limit_minutes=1), "DeadlineExceeded", "Slurm job 12 reached its time limit of 1 minute",
         137),
        (_job("TIMEOUT", time_limit_minutes=5), "DeadlineExceeded", "Slurm job 12 reached its time limit of 5 minutes",
         137),
        (_job("OUT_OF_MEMORY"), "OOMKilled", "Slurm job 12 ran out of memory", 137),
        (_job("NODE_FAIL", nodes="c1"), "NodeFailure", "Slurm job 12 lost its node c1", 137),
        (_job("PREEMPTED"), "Preempted", "Slurm job 12 was preempted for a job of higher priority", 143),
    ],
)  # fmt: skip
def test_an_end_by_slurm_is_said_and_keeps_what_had_ended(job: JobFacts, reason: str, message: str, code: int) -> None:
    job = msgspec.structs.replace(job, end_time=END)
    status = _merge(job, _report(RUNNING, ENDED))
    assert (status.ended, status.reason, status.message) == (True, reason, message)
    killed, own = _states(status)
    assert own == ENDED
    assert killed["terminated"] == {
        "exitCode": code, "reason": reason, "message": message, "startedAt": "2026-01-01T00:00:01Z",
        "finishedAt": "2026-01-01T00:00:30Z", "containerID": "slurm://12/a",
    }  # fmt: skip
    assert (status.containers[0]["ready"], status.containers[0]["started"]) == (False, False)


def test_a_pod_that_ended_in_order_on_slurms_word_says_whose_word_it_was() -> None:
    status = _merge(_job("CANCELLED"), _report(ENDED, ENDED, finished=True))
    assert (_states(status), status.reason) == ([ENDED, ENDED], "Cancelled")


def test_the_runners_own_reason_stands() -> None:
    report = _report(ENDED, ENDED, finished=True, reason="DeadlineExceeded", message="too long")
    status = _merge(_job("CANCELLED"), report)
    assert (status.reason, status.message) == ("DeadlineExceeded", "too long")


def test_a_container_that_the_kernel_killed_for_memory_says_so() -> None:
    killed = {"terminated": {"exitCode": 137, "reason": "Error"}}
    report = _report(killed, ENDED, finished=True)
    status = _merge(_job("OUT_OF_MEMORY"), report)
    assert [state["terminated"]["reason"] for state in _states(status)] == ["OOMKilled", "Error"]
    assert report.containers[1]["state"]["terminated"]["reason"] == "Error", "the report itself is left as it was"


def test_containers_that_succeeded_after_one_was_killed_for_memory_have_succeeded() -> None:
    # Slurm calls a job OUT_OF_MEMORY once the kernel has killed anything in it, whatever its script's exit status.
    well = {"terminated": {"exitCode": 0, "reason": "Completed"}}
    status = _merge(_job("OUT_OF_MEMORY"), _report(well, well, finished=True))
    assert (_states(status), status.ended, status.reason) == ([well, well], True, "")


@pytest.mark.parametrize("job", [_job("SUSPENDED"), _job("RUNNING", "STOPPED"), _job("STOPPED")])
def test_while_a_job_stands_still_its_containers_run_and_are_not_ready(job: JobFacts) -> None:
    report = _report(RUNNING, ENDED)
    status = _merge(job, report)
    assert _states(status) == [RUNNING, ENDED]
    assert [(c["ready"], c["started"]) for c in status.containers] == [(False, True), (False, False)]
    assert status.event is not None
    assert (status.event.reason, status.event.type) == ("Suspended", "Warning")
    assert "stand still until it is resumed" in status.event.message
    resumed = _merge(_job("RUNNING"), report)
    assert (resumed.containers[0]["ready"], resumed.event) == (True, None)


def test_a_job_that_never_ran_ends_its_containers_without_a_start() -> None:
    (state, _) = _states(_merge(_job("CANCELLED", end_time=END)))
    assert (state["terminated"]["startedAt"], state["terminated"]["finishedAt"]) == (None, "2026-01-01T00:00:30Z")


def test_a_failed_job_without_a_report_shows_where_to_look() -> None:
    status = _merge(_job("FAILED", exit_code=127))
    assert status.reason == "JobFailed"
    assert "failed with exit code 127 before the pod runner could report" in status.message


@pytest.mark.parametrize("exit_code", [137, None])
def test_a_job_whose_runner_was_killed_says_by_which_signal(exit_code: int | None) -> None:
    job = _job("FAILED", reason="RaisedSignal:9(Killed)", exit_code=exit_code)
    assert _merge(job).message.startswith("Slurm job 12 failed by signal 9 before the pod runner could report")


def test_a_last_report_that_may_be_on_its_way_is_waited_for() -> None:
    status = _merge(_job("COMPLETED"), _report(RUNNING, ENDED), settled=False)
    assert (_states(status), status.ended, status.reason) == ([RUNNING, ENDED], False, "")


def test_a_job_that_slurm_has_forgotten_ended_as_its_report_says_or_was_lost() -> None:
    finished = _merge(None, _report(ENDED, ENDED, finished=True), lost=True)
    assert (_states(finished), finished.ended, finished.reason) == ([ENDED, ENDED], True, "")
    lost = _merge(None, _report(RUNNING, ENDED), lost=True)
    assert (lost.ended, lost.reason) == (True, "JobLost")
    assert _states(lost)[0]["terminated"]["finishedAt"] == "2026-01-01T00:00:20Z"
    assert "unknown to Slurm" in lost.message


@given(
    st.none() | st.sampled_from(sorted(PHASES)).map(_job),
    st.none() | st.builds(_report, st.sampled_from([RUNNING, ENDED]), st.just(ENDED), finished=st.booleans()),
    st.booleans(),
    st.booleans(),
)
def test_whatever_comes_together_the_status_is_whole(
    job: JobFacts | None, report: Report | None, lost: bool, settled: bool
) -> None:
    status = _merge(job, report, lost=lost, settled=settled)
    assert [container["name"] for container in status.containers] == ["a", "b"]
    over = lost or (job is not None and job.phase is JobPhase.ENDED)
    assert status.ended == (over and settled)
    for container in status.containers:
        assert len(container["state"]) == 1
        assert not (status.ended and "terminated" not in container["state"])
        stands_still = job is not None and job.state in STANDSTILLS
        assert container["ready"] == ("running" in container["state"] and not stands_still)


def test_every_sentence_can_be_filled() -> None:
    for state in ENDS:
        assert _merge(_job(state)).message.startswith("Slurm job 12 ")


def test_facts_are_what_a_status_repeats_and_survive_their_json() -> None:
    pod = make_pod(annotations={CLUSTER_ANNOTATION: "c"}, nodeName="n", initContainers=[{"name": "i", "image": "x"}])
    facts = PodFacts.of(pod)
    assert facts.containers == (("main", "busybox:1"),)
    assert (facts.cluster, facts.node, facts.init_containers) == ("c", "n", (("i", "x"),))
    assert msgspec.json.decode(msgspec.json.encode(facts), type=PodFacts) == facts


def test_init_containers_are_reported_beside_the_others_in_every_stage() -> None:
    pod = PodFacts(
        namespace="ns", name="p", uid=UID, containers=(("b", "x"),), init_containers=(("a", "y"), ("c", "z"))
    )
    waiting = pod_status(pod, job_id="12", job=_job("PENDING"), report=None)
    report = _report(ENDED, RUNNING)
    report.init_containers = [report.containers.pop()]
    running = pod_status(pod, job_id="12", job=_job("RUNNING"), report=report)
    over = pod_status(pod, job_id="12", job=_job("CANCELLED"), report=report)
    for status in (waiting, running, over):
        assert [container["name"] for container in status.initContainers] == ["a", "c"]
        assert [container["name"] for container in status.containers] == ["b"]
    assert ["waiting" in container["state"] for container in waiting.initContainers] == [True, True]
    assert running.initContainers[0]["state"] == over.initContainers[0]["state"] == ENDED
    assert over.initContainers[1]["state"]["terminated"]["reason"] == "Cancelled"


@given(st.sampled_from(sorted(ENDS)) | st.none(), st.integers(0, 255), st.booleans())
def test_the_exit_code_of_a_container_that_ended_is_kept_whatever_slurm_says(
    state: str | None, code: int, finished: bool
) -> None:
    ended = {"terminated": {**ENDED["terminated"], "exitCode": code}}
    job = None if state is None else _job(state, exit_code=(code + 1) % 256)
    status = _merge(job, _report(ended, RUNNING, finished=finished), lost=job is None)
    assert _states(status)[0]["terminated"]["exitCode"] == code
    assert _states(status)[0]["terminated"]["finishedAt"] == "2026-01-01T00:00:02Z"


@pytest.mark.parametrize("state", sorted(state for state, end in ENDS.items() if not end.ordinary))
def test_no_end_by_slurm_passes_for_a_pod_that_succeeded(state: str) -> None:
    """A killed job may leave a clean last report: the pod says still what became of it."""
    status = _merge(_job(state), _report(ENDED, ENDED, finished=True))
    assert (status.ended, status.reason) == (True, ENDS[state].reason)
    assert status.message.startswith("Slurm job 12 ")
    killed = _merge(_job(state))
    assert all(item["terminated"]["exitCode"] in (137, 143) for item in _states(killed))
    assert all(item["terminated"]["message"] == killed.message for item in _states(killed))


def test_a_container_that_is_killed_keeps_its_restarts_and_its_last_end() -> None:
    report = _report({"waiting": {"reason": "CrashLoopBackOff"}}, RUNNING)
    report.containers[1]["lastState"] = ENDED
    (first, _) = _merge(_job("TIMEOUT"), report).containers
    assert (first["restartCount"], first["lastState"]) == (2, ENDED)
    assert first["state"]["terminated"]["reason"] == "DeadlineExceeded"


def test_a_report_of_another_job_says_nothing_of_this_one() -> None:
    """After a crash the pod may be found in another job than the one that had reported."""
    status = _merge(_job("PENDING"), _report(ENDED, ENDED, finished=True), job_id="13")
    assert all("waiting" in state for state in _states(status))
    lost = _merge(None, _report(ENDED, ENDED, finished=True), job_id="13", lost=True)
    assert (lost.ended, lost.reason) == (True, "JobLost")


@pytest.mark.parametrize("flags", [("REQUEUED",), ("REQUEUE_HOLD",), ("COMPLETING", "REQUEUED")])
def test_a_job_that_is_requeued_waits_again_and_has_not_ended(flags: tuple[str, ...]) -> None:
    job = _job("NODE_FAIL", *flags, restart_count=1, nodes="c1")
    status = _merge(job, _report(RUNNING, ENDED, finished=True))
    assert (status.ended, status.reason, status.hostIP) == (False, "", "")
    assert all(state["waiting"]["message"].startswith("Requeued") for state in _states(status))


def test_a_requeue_counts_as_a_restart_of_what_had_run() -> None:
    report = _report(RUNNING, ENDED)
    report.containers[0]["restartCount"] = 0
    status = _merge(_job("PENDING", reason="BeginTime", restart_count=1), report)
    ran, ended = status.containers
    assert (ran["restartCount"], ended["restartCount"]) == (3, 1)
    assert ended["lastState"] == ENDED
    last = ran["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"], last["startedAt"]) == (137, "Requeued", RUNNING["running"]["startedAt"])
    for container in status.containers:
        assert (container["ready"], container["started"]) == (False, False)
    # The same while the new run has started and its runner has not spoken yet.
    prepares = _merge(_job("RUNNING", restart_count=1, nodes="c2"), report)
    assert [container["restartCount"] for container in prepares.containers] == [3, 1]
    assert _states(prepares)[0]["waiting"]["reason"] == "ContainerCreating"


@pytest.mark.parametrize(
    ("policy", "code", "again"), [("OnFailure", 0, False), ("OnFailure", 1, True), ("Always", 0, True)]
)
def test_a_container_that_had_succeeded_for_good_does_not_wait_again(policy: str, code: int, again: bool) -> None:
    pod = msgspec.structs.replace(POD, restart_policy=policy)
    ended = {"terminated": {"exitCode": code, "reason": "x"}}
    job = _job("PENDING", restart_count=1)
    status = pod_status(pod, job_id="12", job=job, report=_report(RUNNING, ended))
    assert ("waiting" in status.containers[1]["state"]) == again
    assert "waiting" in status.containers[0]["state"]


def test_an_exit_0_on_slurms_own_request_to_end_is_no_success_while_the_job_may_run_again() -> None:
    """A preempted application that saved its state and exited well has not done its work."""
    pod = msgspec.structs.replace(POD, restart_policy="OnFailure")
    well = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": "2026-01-01T00:00:01Z"}}
    report = _report(well, well, finished=True, interrupted=["a"])
    stopping = pod_status(pod, job_id="12", job=_job("RUNNING"), report=report)
    assert _states(stopping) == [RUNNING, well]
    requeued = pod_status(pod, job_id="12", job=_job("PENDING", restart_count=1), report=report)
    assert ("waiting" in _states(requeued)[0], _states(requeued)[1]) == (True, well)
    assert requeued.containers[0]["lastState"] == well
    over = pod_status(pod, job_id="12", job=_job("PREEMPTED"), report=report)
    assert (_states(over), over.ended, over.reason) == ([well, well], True, "Preempted")


#: A job that began at 1000 and has a limit of 20 minutes, until 2200.
LIMITED = {"start_time": 1000.0, "time_limit_minutes": 20}


@pytest.mark.parametrize(
    ("asked", "job", "words"),
    [
        (ReportAsked(at=2090.0), LIMITED, "its time limit of 20 minutes"),
        # A long grace period is warned of so much earlier, however soon the containers then end.
        (ReportAsked(at=1500.0, grace=600.0), LIMITED, "its time limit of 20 minutes"),
        # An administrator shortened the job: what it began with does not count.
        (ReportAsked(at=1020.0, limit_at=9000.0), {"start_time": 1000.0, "time_limit_minutes": 1}, "limit of 1 minute"),
        # Nothing is known of the job but what it said.
        (ReportAsked(at=8990.0, limit_at=9000.0), {}, "was about to reach its time limit"),
    ],
)
@pytest.mark.parametrize("code", [0, 3])
def test_a_pod_that_slurm_warned_of_its_time_limit_is_out_of_time_however_it_ended(
    asked: ReportAsked, job: dict[str, Any], words: str, code: int
) -> None:
    ended = {"terminated": {**ENDED["terminated"], "exitCode": code}}
    report = _report(ended, ended, finished=True, interrupted=["a", "b"], asked=asked)
    status = _merge(_job("COMPLETED", **job), report)
    assert (status.ended, status.reason, _states(status)) == (True, "DeadlineExceeded", [ended, ended])
    assert words in status.message


def test_the_time_limit_is_told_of_a_job_that_slurm_has_forgotten_too() -> None:
    report = _report(ENDED, ENDED, finished=True, asked=ReportAsked(at=8990.0, limit_at=9000.0))
    assert _merge(None, report, lost=True).reason == "DeadlineExceeded"


def test_a_pod_that_slurm_asked_to_end_before_its_time_says_so_unless_it_succeeded() -> None:
    """Somebody sent a signal."""
    asked = ReportAsked(at=1100.0, grace=30.0)
    report = _report(ENDED, ENDED, finished=True, interrupted=["a", "b"], asked=asked)
    status = _merge(_job("FAILED", **LIMITED), report)
    assert (status.ended, status.reason, _states(status)) == (True, "Terminated", [ENDED, ENDED])
    assert "asked job 12 to end" in status.message
    well = {"terminated": {**ENDED["terminated"], "exitCode": 0}}
    report = _report(well, well, finished=True, interrupted=["a", "b"], asked=asked)
    assert _merge(_job("COMPLETED", **LIMITED), report).reason == ""


def test_a_container_that_had_not_started_waits_on_without_a_restart() -> None:
    report = _report({"waiting": {"reason": "CrashLoopBackOff"}}, {"waiting": {"reason": "ContainerCreating"}})
    del report.containers[0]["containerID"]
    ended = {"terminated": {**ENDED["terminated"], "containerID": report.containers[1]["containerID"]}}
    report.containers[1]["lastState"] = ended
    status = _merge(_job("PENDING", restart_count=1), report)
    assert [container["restartCount"] for container in status.containers] == [2, 2]
    assert [container["lastState"] for container in status.containers] == [ended, {}]


def test_a_container_whose_hook_ran_at_a_requeue_counts_as_started() -> None:
    report = _report({"waiting": {"reason": "ContainerCreating"}}, ENDED)
    status = _merge(_job("PENDING", restart_count=1), report)
    begun = status.containers[0]
    assert begun["restartCount"] == 3
    assert begun["lastState"]["terminated"]["containerID"] == "slurm://12/a"


def test_a_report_of_the_new_run_outruns_slurms_word_of_the_requeue() -> None:
    stale = _job("PENDING", "REQUEUED", restart_count=0)
    assert _states(_merge(stale, _report(RUNNING, RUNNING, restart=1))) == [RUNNING, RUNNING]
    assert all("waiting" in state for state in _states(_merge(stale, _report(RUNNING, RUNNING))))


@pytest.mark.parametrize(
    ("state", "disrupted"),
    [("NODE_FAIL", True), ("PREEMPTED", True), ("BOOT_FAIL", True),
     ("TIMEOUT", False), ("CANCELLED", False), ("OUT_OF_MEMORY", False)],
)  # fmt: skip
def test_an_end_by_slurm_is_an_event_and_a_lost_node_a_disruption(state: str, disrupted: bool) -> None:
    status = _merge(_job(state), _report(RUNNING, ENDED))
    assert status.disrupted == disrupted
    assert status.event is not None
    assert (status.event.type, status.event.reason, status.event.message) == ("Warning", status.reason, status.message)
    assert _merge(_job("COMPLETED"), _report(ENDED, ENDED, finished=True)).event is None


def test_a_suspended_job_runs_on_and_says_that_it_stands_still() -> None:
    status = _merge(_job("SUSPENDED"), _report(RUNNING, RUNNING))
    assert _states(status) == [RUNNING, RUNNING]
    assert status.event is not None
    assert "suspended" in status.event.message
    assert _merge(_job("RUNNING"), _report(RUNNING, RUNNING)).event is None


def test_a_job_that_slurm_is_silent_about_keeps_what_its_runner_said() -> None:
    status = _merge(None, _report(RUNNING, ENDED))
    assert (_states(status), status.ended, status.reason) == ([RUNNING, ENDED], False, "")


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"name": ["a"], "state": RUNNING},
        {"name": "a"},
        {"name": "a", "state": None},
        {"name": "a", "state": {}},
        {"name": "a", "state": "running"},
        {"name": "a", "state": {"terminated": None}},
        {"name": "a", "state": {"flying": {}}},
        {"name": "a", "state": {**RUNNING, **ENDED}},
    ],
)
@pytest.mark.parametrize("state", ["RUNNING", "OUT_OF_MEMORY"])
def test_what_is_no_status_in_a_report_spoils_nothing(item: dict[str, Any], state: str) -> None:
    """With a peer, one bad pod turns the answer for all pods into an error."""
    report = _report(RUNNING, ENDED)
    report.containers[1] = item
    first, second = _states(_merge(_job(state), report))
    assert first.keys() == ({"waiting"} if state == "RUNNING" else {"terminated"})
    assert second == ENDED


def test_what_a_report_says_of_containers_that_the_pod_does_not_have_is_left_out() -> None:
    report = _report(RUNNING, ENDED)
    report.containers.append({"name": "intruder", "state": RUNNING})
    assert [container["name"] for container in _merge(_job("RUNNING"), report).containers] == ["a", "b"]


def test_what_the_runner_never_started_goes_on_waiting_after_an_ordinary_end() -> None:
    waiting = {"waiting": {"reason": "PodInitializing"}}
    status = _merge(_job("FAILED"), _report(waiting, ENDED, finished=True))
    assert _states(status) == [waiting, ENDED]
    status = _merge(_job("NODE_FAIL"), _report(waiting, ENDED))
    assert _states(status)[0]["terminated"]["reason"] == "NodeFailure"


def test_what_the_runner_counts_is_passed_on_for_containers_of_the_pod_alone() -> None:
    def event(container: str, key: str = "readiness", count: int = 3) -> ContainerEvent:
        return ContainerEvent(container=container, key=key, reason="Unhealthy", message="no", count=count)

    told = [event("a"), event("stranger"), event("b", count=-1), event("b", "liveness")]
    job = _job("RUNNING", nodes="c1")
    assert _merge(job, _report(RUNNING, RUNNING, container_events=told)).containerEvents == [told[0], told[3]]
    flood = [event("a", str(number)) for number in range(1000)]
    passed = _merge(job, _report(RUNNING, RUNNING, container_events=flood)).containerEvents
    assert passed is not None
    assert len(passed) == 20


def test_a_runner_that_does_not_count_is_no_runner_that_has_counted_nothing() -> None:
    job = _job("RUNNING", nodes="c1")
    assert _merge(job, _report(RUNNING, RUNNING)).containerEvents is None
    assert _merge(job, _report(RUNNING, RUNNING, container_events=[])).containerEvents == []
