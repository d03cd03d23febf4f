"""mpi-flags: a real MPI program in a container, across two compute nodes."""

import re

from tests.e2e.cluster import Cluster, Object, container, terminated
from tests.e2e.waiting import wait_for

ANNOTATIONS = {
    "slurm-job.vk.io/flags": "--nodes=2 --ntasks=4 --ntasks-per-node=2",
    "slurm-job.vk.io/mpi-flags": "--mpi=pmi2",
}


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


def test_a_deleted_pods_ranks_are_asked_to_end_and_end_with_it(cluster: Cluster) -> None:
    cluster.start("asked", containers=[ring("0", "wait")], annotations=ANNOTATIONS)
    cluster.wait_phase("asked", "Running")
    wait_for("the ring", lambda: cluster.logs("asked").count("rank "), lambda count: count == 4)
    with cluster.follow("asked") as reader:
        cluster.kubectl("delete", "pod", "asked", "--wait=false")
        assert reader.stdout is not None
        log = reader.stdout.read()
    # The first rank to end on a node may take the others' shared instance of apptainer with it.
    assert re.findall(r"^rank \d was told$", log, re.MULTILINE)
    cluster.wait_gone("asked")
