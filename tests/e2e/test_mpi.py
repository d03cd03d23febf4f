"""mpi-flags: a real MPI program in a container, across two compute nodes."""

import re
import time

import pytest

from tests.e2e.cluster import Cluster, Object, container, terminated
from tests.e2e.site import run_as
from tests.e2e.slurm import Slurm
from tests.e2e.waiting import wait_for

FLAGS, MPI = "slurm-job.vk.io/flags", "slurm-job.vk.io/mpi-flags"
ANNOTATIONS = {FLAGS: "--nodes=2 --ntasks=4 --ntasks-per-node=2", MPI: "--mpi=pmi2"}
#: A task that hears SIGTERM and goes on.
STAY = "trap 'echo told' TERM; echo ready; while :; do sleep 0.1; done"


def ring(*words: str) -> Object:
    """Return a container of the bed's MPI program."""
    greeting = [{"name": "GREETING", "value": "a b'$HOME"}]
    return container("", env=greeting) | {"image": "mpi", "command": ["ring", *words]}


def test_every_rank_on_both_nodes_is_the_container_and_the_status_is_the_programs(cluster: Cluster) -> None:
    cluster.start("ring", containers=[ring("3")], annotations=ANNOTATIONS)
    assert terminated(cluster.wait_phase("ring", "Failed", "Succeeded"))["exitCode"] == 3
    log = cluster.logs("ring")
    ranks = re.findall(r"^rank (\d) of 4 on (\S+): a b'\$HOME$", log, re.MULTILINE)
    assert sorted(rank for rank, _ in ranks) == ["0", "1", "2", "3"]
    assert sorted(host for _, host in ranks) == ["c1", "c1", "edge", "edge"]
    assert "the ring says 7" in log  # 1 and the ranks: the message went around all of them


def test_a_deleted_pods_ranks_are_all_asked_to_end_and_end_with_it(cluster: Cluster) -> None:
    cluster.start("asked", containers=[ring("0", "wait")], annotations=ANNOTATIONS)
    cluster.wait_phase("asked", "Running")
    wait_for("the ring", lambda: cluster.logs("asked").count("rank "), lambda count: count == 4)
    log = cluster.log_of_end("asked", "delete", "pod", "asked", "--wait=false")
    assert sorted(re.findall(r"^rank (\d) was told$", log, re.MULTILINE)) == ["0", "1", "2", "3"]
    cluster.wait_gone("asked")


def test_every_rank_has_its_grace_period_and_its_image_whichever_ends_first(cluster: Cluster) -> None:
    """The last one reads of the image what nobody has read before."""
    slow = "i=$SLURM_LOCALID; sleep $((i * 2)); cat /bin/busybox | wc -c; echo $SLURM_PROCID left; exit 0"
    start_shells(cluster, "slow", f"trap '{slow}' TERM; echo ready; while :; do sleep 0.1; done")
    log = cluster.log_of_end("slow", "delete", "pod", "slow", "--wait=false")
    assert sorted(re.findall(r"^(\d) left$", log, re.MULTILINE)) == ["0", "1", "2", "3"]
    sizes = re.findall(r"^(\d{4,})$", log, re.MULTILINE)
    assert (len(sizes), len(set(sizes))) == (4, 1)
    cluster.wait_gone("slow")


def test_ranks_that_stay_are_killed_on_both_nodes_when_the_grace_period_is_over(cluster: Cluster, slurm: Slurm) -> None:
    start_shells(cluster, "stay", f"{STAY} # {cluster.namespace}")
    began = time.monotonic()
    log = cluster.log_of_end("stay", "delete", "pod", "stay", "--wait=false", "--grace-period=5")
    assert log.count("told") == 4
    assert time.monotonic() - began >= 5
    cluster.wait_gone("stay")
    wait_for("no rank", lambda: processes(slurm, cluster.namespace), lambda left: not any(left.values()), within=20)


@pytest.mark.parametrize("how", ["scancel", "runner", "holder"])
def test_a_job_that_ends_otherwise_leaves_no_rank_on_any_node(cluster: Cluster, slurm: Slurm, how: str) -> None:
    uid = start_shells(cluster, "left", f"{STAY} # {cluster.namespace}")
    # Between its fork and its exec a shell's `sleep` looks like the shell.
    wait_for("two ranks on each node", lambda: processes(slurm, cluster.namespace),
             lambda found: {host: len(pids) for host, pids in found.items()} == {"c1": 2, "edge": 2})  # fmt: skip
    if how == "scancel":
        slurm.cancel(uid)
    else:
        # Of the runner's own processes on its node: the one that has the plan, the one that holds the container.
        word = f"jobs/{uid}/plan.json" if how == "runner" else f"--node .*jobs/{uid}/"
        on = {host: pids for host, pids in processes(slurm, f"^[^ ]*python3 .*{word}").items() if pids}
        host = min(on)
        slurm.bed.site(["kill", "-KILL", on[host][0]], host=host)
    wait_for("no rank", lambda: processes(slurm, cluster.namespace), lambda left: not any(left.values()), within=30)
    cluster.wait_phase("left", "Failed")
    wait_for("no helper", lambda: processes(slurm, f"jobs/{uid}/"), lambda left: not any(left.values()), within=30)


def test_a_preempted_jobs_ranks_have_the_time_that_slurm_gives(cluster: Cluster, slurm: Slurm) -> None:
    """Slurm signals the steps of a job, and of the batch script's own end it says nothing yet."""
    flags = {FLAGS: "--partition=low --no-requeue --ntasks=2", MPI: "--mpi=pmi2"}
    told = "trap 'sleep 2; cat /bin/busybox > /dev/null && echo told; exit 0' TERM; echo ready; "
    start_shells(cluster, "low", told + "while :; do sleep 0.1; done", flags, count=2)
    with cluster.follow("low") as reader:
        run_as(slurm.bed, "user", ["sbatch", "--partition=high", "--exclusive", "--chdir=/tmp", "--output=/dev/null",
                                   "--wrap=sleep 1"])  # fmt: skip
        assert reader.stdout is not None
        assert reader.stdout.read().count("told") == 2
    cluster.wait_phase("low", "Failed", "Succeeded")


def start_shells(cluster: Cluster, name: str, script: str, annotations: Object | None = None, count: int = 4) -> str:
    """Start a pod whose tasks are a shell each, wait until all run it, and return its UID."""
    shell = container(script) | {"image": "mpi"}
    uid: str = cluster.start(name, containers=[shell], annotations=annotations or ANNOTATIONS)["metadata"]["uid"]
    cluster.wait_phase(name, "Running")
    wait_for("the shells", lambda: cluster.logs(name).count("ready"), lambda seen: seen == count)
    return uid


def processes(slurm: Slurm, pattern: str) -> dict[str, list[str]]:
    """Return the ids of the processes on each host of the site whose command line a pattern fits."""
    search = ["sh", "-c", 'pgrep --full -- "$1" | grep --invert-match --line-regexp $$ || true', "sh", pattern]
    return {host: slurm.bed.site(search, host=host).split() for host in ("c1", "edge")}
