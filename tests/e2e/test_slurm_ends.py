"""What a pod shows when Slurm stops, holds, loses or never starts its job: each state as a Kubernetes user reads it.

On real Slurm 26.05 a node that does not boot by ResumeTimeout ends its jobs as NODE_FAIL; no way was found to have
slurmctld say BOOT_FAIL (tests/unit/core/test_status.py has it from Slurm's documentation).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.sidecar import Json, Sidecar, own_sidecar, small_pod, state_of
from tests.e2e.site import configured
from tests.e2e.slurm import Slurm
from tests.e2e.waiting import wait_for
from tests.testbed.bed import Bed
from tests.testbed.site import SHARED

POLITE = "trap 'exit 0' TERM; while true; do sleep 0.1; done"
#: A node that power saving starts with a program that says yes and does nothing.
CLOUD = (
    "NodeName=cloud1 CPUs=4 RealMemory=4000 TmpDisk=20000 State=CLOUD",
    "PartitionName=cloud Nodes=cloud1 MaxTime=01:00:00 DefaultTime=00:10:00 PreemptMode=OFF State=UP",
)
POWER_SAVING = {
    "SuspendProgram": "/bin/true", "ResumeProgram": "/bin/true", "SuspendTime": "600", "ResumeTimeout": "10",
    "SuspendExcNodes": "edge,c1",
}  # fmt: skip


@pytest.fixture(scope="module")
def sidecar(bed: Bed) -> Iterator[Sidecar]:
    # Jobs of other nodes write where those get, too.
    with own_sidecar(bed, DataRootFolder=f"{SHARED}/e2e-slurm-ends") as sidecar:
        yield sidecar
    bed.site(["rm", "--recursive", "--force", f"{SHARED}/e2e-slurm-ends"])


def flagged(script: str, flags: str, **spec: object) -> Json:
    """Return a small pod with flags of its own."""
    pod = small_pod(script, **spec)
    pod["metadata"]["annotations"]["slurm-job.vk.io/flags"] = flags
    return pod


def created(sidecar: Sidecar, slurm: Slurm, pod: Json) -> int:
    """Have the pod's job made; return its id."""
    code, answer = sidecar.create_once_slurm_answers(pod)
    assert code == 200, answer
    (job,) = slurm.jobs(pod["metadata"]["uid"])
    return job


def started(sidecar: Sidecar, slurm: Slurm, pod: Json) -> int:
    """Have the pod's job made and its container running; return the job's id."""
    job = created(sidecar, slurm, pod)
    wait_for("the container", lambda: "running" in state_of(sidecar.status(pod)))
    return job


def seen(sidecar: Sidecar, pod: Json, what: str, good: Callable[[Json], bool]) -> Json:
    """Wait until the pod's status is good."""
    return wait_for(what, lambda: sidecar.status(pod), good, within=40)


@contextmanager
def lost(bed: Bed, node: str) -> Iterator[None]:
    """Let the controller lose a node for a while."""
    bed.site(["scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=e2e"])
    try:
        yield
    finally:
        # A node whose slurmd answers comes back by itself (ReturnToService=2), and is then refused to be resumed.
        if "down" in bed.site(["sinfo", "--noheader", f"--nodes={node}", "--format=%T"]):
            bed.site(["scontrol", "update", f"NodeName={node}", "State=RESUME"])


def test_a_job_that_cannot_end_by_its_deadline_any_more_is_ended_by_slurm_before_it_starts(
    sidecar: Sidecar, slurm: Slurm
) -> None:
    pod = flagged("true", "--nodelist=edge --hold --time=1 --deadline=now+75seconds")
    created(sidecar, slurm, pod)
    waiting = seen(sidecar, pod, "the hold", lambda s: state_of(s).get("waiting", {}).get("reason") == "SlurmHeld")
    assert not waiting["ended"]
    status = sidecar.wait_ended(pod)
    assert (status["reason"], "before its deadline" in status["message"]) == ("DeadlineExceeded", True)
    ended = state_of(status)["terminated"]
    assert (ended["reason"], ended["startedAt"]) == ("DeadlineExceeded", None)


def test_a_suspended_pod_runs_unready_with_an_event_and_goes_on_where_it_stood(
    bed: Bed, sidecar: Sidecar, slurm: Slurm
) -> None:
    pod = flagged(sidecar.until_let_go("exit 4"), "--nodelist=edge")
    job = started(sidecar, slurm, pod)
    bed.site(["scontrol", "suspend", str(job)])
    still = seen(sidecar, pod, "the standstill", lambda s: bool(s["event"]))
    assert (still["event"]["reason"], still["event"]["type"]) == ("Suspended", "Warning")
    assert ("running" in state_of(still), still["containers"][0]["ready"], still["ended"]) == (True, False, False)
    bed.site(["scontrol", "resume", str(job)])
    seen(sidecar, pod, "it to be ready", lambda s: bool(s["containers"][0]["ready"]) and not s["event"])
    sidecar.let_go()
    assert state_of(sidecar.wait_ended(pod))["terminated"]["exitCode"] == 4


def test_a_suspended_pod_can_be_deleted(bed: Bed, sidecar: Sidecar, slurm: Slurm) -> None:
    pod = flagged(POLITE, "--nodelist=edge")
    job = started(sidecar, slurm, pod)
    bed.site(["scontrol", "suspend", str(job)])
    seen(sidecar, pod, "the standstill", lambda s: bool(s["event"]))
    assert sidecar.delete(pod) == 200
    status = sidecar.wait_ended(pod)
    assert (status["reason"], state_of(status)["terminated"]["exitCode"]) == ("Cancelled", 143)
    assert slurm.living(pod["metadata"]["uid"]) == {}


def test_a_pod_that_is_requeued_and_held_waits_for_its_release_and_counts_a_restart(
    bed: Bed, sidecar: Sidecar, slurm: Slurm
) -> None:
    pod = flagged(POLITE, "--nodelist=edge", restartPolicy="OnFailure")
    job = started(sidecar, slurm, pod)
    bed.site(["scontrol", "requeuehold", str(job)])
    held = seen(sidecar, pod, "the hold", lambda s: state_of(s).get("waiting", {}).get("reason") == "SlurmHeld")
    assert state_of(held)["waiting"]["message"].startswith(f"Requeued and held in Slurm (job {job})")
    assert "scontrol release" in state_of(held)["waiting"]["message"]
    assert (held["event"]["reason"], held["event"]["type"]) == ("SlurmHeld", "Warning")
    (container,) = held["containers"]
    # It exits 0 when asked, or is killed before; neither is its success.
    assert container["restartCount"] == 1
    assert container["lastState"]["terminated"]["exitCode"] in (0, 137)
    bed.site(["scontrol", "release", str(job)])
    again = seen(sidecar, pod, "the next run", lambda s: "running" in state_of(s))
    assert (again["containers"][0]["restartCount"], again["event"]) == (1, None)
    assert slurm.jobs(pod["metadata"]["uid"]) == {job: "RUNNING"}
    assert sidecar.delete(pod) == 200
    assert sidecar.wait_ended(pod)["ended"]


def test_a_node_lost_under_a_suspended_pod_is_a_disruption(bed: Bed, sidecar: Sidecar, slurm: Slurm) -> None:
    pod = flagged("sleep 300", "--nodelist=c1")
    job = started(sidecar, slurm, pod)
    bed.site(["scontrol", "suspend", str(job)])
    seen(sidecar, pod, "the standstill", lambda s: bool(s["event"]))
    with lost(bed, "c1"):
        status = sidecar.wait_ended(pod)
    assert (status["reason"], status["disrupted"]) == ("NodeFailure", True)
    assert status["message"] == f"Slurm job {job} lost its node c1"
    ended = state_of(status)["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "NodeFailure")


def test_a_node_lost_while_a_cancelled_job_is_cleared_away_changes_nothing_of_its_end(
    bed: Bed, sidecar: Sidecar, slurm: Slurm
) -> None:
    pod = flagged("trap '' TERM; sleep 300", "--nodelist=c1")
    job = started(sidecar, slurm, pod)
    with frozen_steps(bed, "c1"):
        bed.site(["scancel", str(job)])
        wait_for("its clearing away", lambda: slurm.jobs(pod["metadata"]["uid"]), lambda s: s == {job: "COMPLETING"})
        assert not sidecar.status(pod)["ended"]
        with lost(bed, "c1"):
            status = sidecar.wait_ended(pod)
    assert (status["reason"], state_of(status)["terminated"]["exitCode"]) == ("Cancelled", 143)


@contextmanager
def frozen_steps(bed: Bed, node: str) -> Iterator[None]:
    """Stop what clears jobs away on a node, for a while."""
    bed.site(["pkill", "--signal", "STOP", "--exact", "slurmstepd"], host=node)
    try:
        yield
    finally:
        bed.site(["pkill", "--signal", "CONT", "--exact", "slurmstepd"], host=node)


def test_a_node_that_does_not_boot_is_a_disruption_of_a_pod_that_never_ran_and_another_try_where_it_may(
    bed: Bed, sidecar: Sidecar, slurm: Slurm
) -> None:
    once, again = flagged("true", "--partition=cloud"), flagged("true", "--partition=cloud", restartPolicy="OnFailure")
    with configured(bed, POWER_SAVING, CLOUD):
        job = created(sidecar, slurm, once)
        waits = seen(sidecar, once, "the boot", lambda s: "nodes are being" in state_of(s)["waiting"]["message"])
        created(sidecar, slurm, again)
        assert state_of(waits)["waiting"]["reason"] == "SlurmPending"
        status = sidecar.wait_ended(once)
        requeued = seen(sidecar, again, "the requeue", lambda s: "Requeued" in state_of(s)["waiting"]["message"])
        assert sidecar.delete(again) == 200
        sidecar.wait_ended(again)
    assert (status["reason"], status["disrupted"]) == ("NodeFailure", True)
    assert status["message"] == f"Slurm job {job} lost its node cloud1"
    assert state_of(status)["terminated"]["startedAt"] is None
    # Nothing of it had run: this is no restart.
    assert (requeued["containers"][0]["restartCount"], requeued["ended"]) == (0, False)
