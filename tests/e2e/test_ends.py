"""How a pod ends before its containers do: deleted, cancelled, timed out, refused."""

import pytest

from tests.e2e.cluster import Cluster, Object, container, terminated
from tests.e2e.site import run_as
from tests.e2e.slurm import Slurm
from tests.e2e.waiting import wait_for

FLAGS = "slurm-job.vk.io/flags"
TRAP = "trap 'echo asked to end; exit 0' TERM; echo ready; while true; do sleep 0.1; done"


def test_deletion_asks_the_container_waits_for_the_job_and_then_removes_the_object(
    cluster: Cluster, slurm: Slurm
) -> None:
    uid = cluster.start("deleted", script=TRAP)["metadata"]["uid"]
    wait_for("the container", lambda: "ready" in cluster.logs("deleted") if _running(cluster, "deleted") else False)
    log = cluster.log_of_end("deleted", "delete", "pod", "deleted", "--wait=false")
    assert log.startswith("ready\n")
    assert "asked to end" in log
    cluster.wait_gone("deleted")
    assert slurm.living(uid) == {}


def test_the_object_stays_while_the_job_ignores_its_end_and_grace_is_what_the_pod_says(
    cluster: Cluster, slurm: Slurm
) -> None:
    uid = cluster.start("stubborn", script="trap '' TERM; echo ready; while true; do sleep 0.1; done",
                        terminationGracePeriodSeconds=8)["metadata"]["uid"]  # fmt: skip
    wait_for("the container", lambda: "ready" in cluster.logs("stubborn") if _running(cluster, "stubborn") else False)
    cluster.kubectl("delete", "pod", "stubborn", "--wait=false")
    wait_for("the deletion mark", lambda: cluster.pod("stubborn")["metadata"].get("deletionTimestamp"))
    assert slurm.living(uid)
    cluster.wait_gone("stubborn", within=60)
    assert slurm.living(uid) == {}


def test_a_pending_pod_is_deleted_with_its_job(cluster: Cluster, slurm: Slurm) -> None:
    # The one compute node of this partition has no room for both; of the virtual node each takes less than half.
    flags = {FLAGS: "--partition=low"}
    most = {"requests": {"cpu": "30", "memory": "64Mi"}}
    first = cluster.start("first", containers=[container("sleep 300", resources=most)], annotations=flags)
    cluster.wait_phase("first", "Running")
    second = cluster.start("second", containers=[container("true", resources=most)], annotations=flags)
    waiting = wait_for(
        "the second pod to wait for Slurm", lambda: cluster.waiting("second"),
        lambda seen: seen.get("reason") == "SlurmPending",
    )  # fmt: skip
    assert "job" in waiting["message"].lower()
    jobs = [slurm.living(pod["metadata"]["uid"]) for pod in (first, second)]
    assert [list(job.values()) for job in jobs] == [["RUNNING"], ["PENDING"]]
    for name in ("second", "first"):
        cluster.kubectl("delete", "pod", name, "--wait=false", "--grace-period=2")
        cluster.wait_gone(name)
    assert [slurm.living(pod["metadata"]["uid"]) for pod in (first, second)] == [{}, {}]


def test_a_cancelled_job_says_so(cluster: Cluster, slurm: Slurm) -> None:
    uid = cluster.start("cancelled", script="sleep 300")["metadata"]["uid"]
    cluster.wait_phase("cancelled", "Running")
    slurm.cancel(uid)
    pod = cluster.wait_phase("cancelled", "Failed")
    assert "cancelled" in pod["status"]["message"].lower()
    assert terminated(pod)["exitCode"] != 0


def test_a_job_that_reached_its_time_limit_says_so(cluster: Cluster) -> None:
    cluster.start("late", script="sleep 300", activeDeadlineSeconds=5, terminationGracePeriodSeconds=2)
    pod = cluster.wait_phase("late", "Failed", within=120)
    assert pod["status"]["reason"] == "DeadlineExceeded"
    assert pod["status"]["message"]


def test_a_container_that_ends_well_when_time_is_up_is_no_success(cluster: Cluster) -> None:
    cluster.start("polite", script="trap 'exit 0' TERM; while true; do sleep 0.1; done", activeDeadlineSeconds=15)
    pod = cluster.wait_phase("polite", "Failed", "Succeeded", within=60)
    assert terminated(pod)["exitCode"] == 0
    assert (pod["status"]["phase"], pod["status"]["reason"]) == ("Failed", "DeadlineExceeded")


def test_a_grace_period_given_with_the_deletion_counts_and_a_later_one_may_shorten_it(cluster: Cluster) -> None:
    names = ("hurried", "twice")
    for name in names:
        cluster.start(name, script="trap '' TERM; echo ready; while true; do sleep 0.1; done",
                      terminationGracePeriodSeconds=600)  # fmt: skip
    wait_for(
        "the containers",
        lambda: all(_running(cluster, name) and "ready" in cluster.logs(name) for name in names),
    )
    cluster.kubectl("delete", "pod", "twice", "--wait=false")
    wait_for("the edge to be told", lambda: "Killing" in {event["reason"] for event in cluster.events("twice")})
    cluster.kubectl("delete", "pod", *names, "--wait=false", "--grace-period=3")
    for name in names:
        cluster.wait_gone(name, within=40)


def test_slurms_own_time_limit_says_so(cluster: Cluster, slurm: Slurm) -> None:
    uid = cluster.start("limited", script="sleep 300")["metadata"]["uid"]
    cluster.wait_phase("limited", "Running")
    (job,) = slurm.jobs(uid)
    # The administrator shortens the job: Slurm, not the runner, ends it (limits count in minutes).
    slurm.bed.site(["scontrol", "update", f"JobId={job}", "TimeLimit=1"])
    pod = cluster.wait_phase("limited", "Failed", within=180)
    assert pod["status"]["reason"] == "DeadlineExceeded"
    assert "time limit of 1 minute" in pod["status"]["message"]


def test_a_pod_that_slurm_refuses_shows_slurms_own_words(cluster: Cluster, slurm: Slurm) -> None:
    cluster.start("odd", script="true", annotations={FLAGS: "--constraint=nobody-has-this"})
    pod = cluster.wait_phase("odd", "Failed")
    words = "Invalid feature specification"
    assert words in pod["status"]["message"]
    events = wait_for("the event", lambda: [e for e in cluster.events("odd") if e["reason"] == "FailedCreate"])
    assert events[0]["type"] == "Warning"
    assert words in events[0]["message"]
    # slurmctld keeps a record of what it refused, as FAILED.
    assert slurm.living(pod["metadata"]["uid"]) == {}


def test_a_job_that_never_starts_as_it_is_says_what_to_change_and_a_held_one_how_it_is_released(
    cluster: Cluster, slurm: Slurm
) -> None:
    flags = {FLAGS: "--partition=short --time=60"}
    uid = cluster.start("blocked", script="true", annotations=flags)["metadata"]["uid"]
    waiting = wait_for("Slurm's reason", lambda: _waiting(cluster, "blocked"),
                       lambda seen: seen.get("reason") == "SlurmBlocked")  # fmt: skip
    assert "time limit is longer than the partition allows (PartitionTimeLimit)" in waiting["message"]
    assert "lower activeDeadlineSeconds" in waiting["message"]
    (job,) = slurm.jobs(uid)
    slurm.bed.site(["scontrol", "hold", str(job)])
    waiting = wait_for("the hold", lambda: _waiting(cluster, "blocked"), lambda seen: seen["reason"] == "SlurmHeld")
    assert "held by an administrator (JobHeldAdmin)" in waiting["message"]
    assert cluster.pod("blocked")["status"]["phase"] == "Pending"
    slurm.bed.site(["scontrol", "update", f"JobId={job}", "TimeLimit=5"])
    slurm.bed.site(["scontrol", "release", str(job)])
    cluster.wait_phase("blocked", "Succeeded", within=40)
    events = [(event["reason"], event["type"], event.get("count")) for event in cluster.events("blocked")]
    assert {("SlurmBlocked", "Warning", 1), ("SlurmHeld", "Warning", 1)} <= set(events)


def test_a_preempted_pod_is_requeued_and_runs_again_though_it_exited_well(cluster: Cluster, slurm: Slurm) -> None:
    annotations = {FLAGS: "--partition=low"}
    uid = cluster.start("preempted", script=TRAP, restartPolicy="OnFailure", annotations=annotations)["metadata"]["uid"]
    cluster.wait_phase("preempted", "Running")
    wait_for("the container", lambda: "ready" in cluster.logs("preempted"))
    run_as(slurm.bed, "user", ["sbatch", "--partition=high", "--exclusive", "--chdir=/tmp", "--output=/dev/null",
                               "--wrap=sleep 5"])  # fmt: skip
    wait_for("the requeue", lambda: _waiting(cluster, "preempted").get("message", ""),
             lambda seen: seen.startswith("Requeued in Slurm"), within=60)  # fmt: skip
    found = cluster.pod("preempted")["status"]
    assert (found["phase"], found["containerStatuses"][0]["restartCount"]) == ("Running", 1)
    wait_for("the next run", lambda: "running" in _status(cluster, "preempted")["state"], within=90)
    status = _status(cluster, "preempted")
    assert (status["restartCount"], status["lastState"]["terminated"]["exitCode"]) == (1, 0)
    assert len(slurm.jobs(uid)) == 1


@pytest.mark.parametrize("how", ["cancelled", "signalled", "preempted"])
def test_a_container_has_its_image_to_the_end_when_slurm_signals_all_of_the_jobs_processes(
    cluster: Cluster, slurm: Slurm, how: str
) -> None:
    """The program that serves the image's files hears SIGTERM too, where a site tracks processes by their parents."""
    read = "sleep 1; cat /bin/busybox > /dev/null && echo read; exit 0"
    script = f"trap '{read}' TERM; echo ready; while true; do sleep 0.1; done"
    flags = {FLAGS: "--partition=low --no-requeue"} if how == "preempted" else {}
    uid = cluster.start("reads", script=script, annotations=flags)["metadata"]["uid"]
    cluster.wait_phase("reads", "Running")
    wait_for("the container", lambda: "ready" in cluster.logs("reads"))
    (job,) = slurm.jobs(uid)
    with cluster.follow("reads") as reader:
        if how == "cancelled":
            slurm.bed.site(["scancel", str(job)])
        elif how == "signalled":
            slurm.bed.site(["scancel", "--signal=TERM", "--full", str(job)])
        else:
            run_as(slurm.bed, "user", ["sbatch", "--partition=high", "--exclusive", "--chdir=/tmp",
                                       "--output=/dev/null", "--wrap=sleep 1"])  # fmt: skip
        assert reader.stdout is not None
        log = reader.stdout.read()
    assert "read\n" in log
    assert "Bus error" not in log


def test_a_lost_node_is_a_disruption_of_a_pod_that_runs_once(cluster: Cluster, slurm: Slurm) -> None:
    cluster.start("lost", script="sleep 300", annotations={FLAGS: "--nodelist=c1"})
    cluster.wait_phase("lost", "Running")
    slurm.bed.site(["scontrol", "update", "NodeName=c1", "State=DOWN", "Reason=e2e"])
    try:
        found = cluster.wait_phase("lost", "Failed")["status"]
    finally:
        # A node whose slurmd answers comes back by itself (ReturnToService=2), and is then refused to be resumed.
        if "down" in slurm.bed.site(["sinfo", "--noheader", "--nodes=c1", "--format=%T"]):
            slurm.bed.site(["scontrol", "update", "NodeName=c1", "State=RESUME"])
    assert (found["reason"], "lost its node c1" in found["message"]) == ("NodeFailure", True)
    conditions = {condition["type"]: condition["status"] for condition in found["conditions"]}
    assert conditions["DisruptionTarget"] == "True"
    assert terminated({"status": found})["exitCode"] == 137


def _status(cluster: Cluster, name: str) -> Object:
    statuses = cluster.pod(name).get("status", {}).get("containerStatuses") or [{"state": {}}]
    status: Object = statuses[0]
    return status


def _waiting(cluster: Cluster, name: str) -> Object:
    return dict(_status(cluster, name)["state"].get("waiting") or {})


def _running(cluster: Cluster, name: str) -> bool:
    return bool(cluster.pod(name).get("status", {}).get("phase") == "Running")
