"""The test bed after a power cut: it comes back by itself, with everything on it."""

import os
import signal

import pytest

from tests.demo.__main__ import deploy
from tests.e2e.cluster import Cluster
from tests.e2e.slurm import Slurm
from tests.e2e.waiting import wait_for
from tests.testbed import dockerd
from tests.testbed.bed import Bed


def test_everything_comes_back_after_the_docker_daemon_was_killed(bed: Bed, cluster: Cluster, slurm: Slurm) -> None:
    pid = dockerd.daemon(bed.paths).pid()
    if pid is None:
        pytest.skip("this Docker is not the test bed's own: it is not ours to kill")
    os.kill(pid, signal.SIGKILL)
    wait_for("the daemon's end", lambda: dockerd.daemon(bed.paths).pid() is None)
    deploy(bed)
    pod = cluster.start("afterwards", script="echo it works")
    assert cluster.wait_phase("afterwards", "Succeeded", "Failed", within=180)["status"]["phase"] == "Succeeded"
    assert cluster.logs("afterwards") == "it works\n"
    assert len(slurm.jobs(pod["metadata"]["uid"])) == 1
