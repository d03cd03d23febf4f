"""What a pod's limits come to on real Slurm: shares of the job's CPUs, and a job that Slurm kills for its memory."""

from collections.abc import Iterator

import pytest

from tests.e2e.sidecar import Json, Sidecar, own_sidecar, small_pod, state_of
from tests.e2e.site import setting
from tests.testbed.bed import Bed


@pytest.fixture(scope="module")
def sidecar(bed: Bed) -> Iterator[Sidecar]:
    with own_sidecar(bed, ImagePrefix=f"docker://{bed.registry_address}/") as sidecar:
        yield sidecar


def log(bed: Bed, sidecar: Sidecar, pod: Json, container: str) -> str:
    """Return what a container printed, without times and streams."""
    text = bed.site(["cat", f"{sidecar.data}/jobs/{pod['metadata']['uid']}/logs/{container}.log"])
    return "".join(line.split(" ", 3)[3] for line in text.splitlines(keepends=True))


@pytest.mark.parametrize("runtime", ["none", "apptainer"])
def test_nproc_in_a_container_is_its_cpu_limit_and_containers_have_cpus_of_their_own(
    bed: Bed, sidecar: Sidecar, runtime: str
) -> None:
    # Slurm binds no job here: only one that has all of the machine's CPUs is known to have them.
    cpus = int(bed.site(["nproc"]))
    assert cpus > 1
    pod = small_pod("")
    pod["metadata"]["annotations"]["slurm-job.vk.io/container-runtime"] = runtime
    show = ["sh", "-c", "grep Cpus_allowed: /proc/self/status; nproc; sleep 1"]
    names = {"first": "500m", "second": "1", "all": str(cpus)}
    pod["spec"]["containers"] = [
        {"name": name, "image": "busybox", "command": show, "resources": {"limits": {"cpu": cpu, "memory": "64Mi"}}}
        for name, cpu in names.items()
    ]
    assert sidecar.create(pod)[0] == 200
    assert sidecar.wait_ended(pod)["ended"]
    seen = {name: log(bed, sidecar, pod, name).splitlines() for name in names}
    assert {name: lines[-1] for name, lines in seen.items()} == {"first": "1", "second": "1", "all": str(cpus)}
    assert seen["first"][0] != seen["second"][0]


def test_a_job_that_slurm_kills_for_its_memory_is_oom_killed(bed: Bed, sidecar: Sidecar) -> None:
    eat = "import time; x = bytearray(600 << 20); x[::4096] = b'1' * len(x[::4096]); time.sleep(60)"
    pod = small_pod(f'python3 -c "{eat}"')
    # More than the job may have, and no limit of the container's own, which the runner would look after.
    pod["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1", "memory": "64Mi"}}
    with setting(bed, "JobAcctGatherParams", "OverMemoryKill"):
        assert sidecar.create_once_slurm_answers(pod)[0] == 200
        status = sidecar.wait_ended(pod)
    assert (status["reason"], "out of memory" in status["message"]) == ("OOMKilled", True), status
    ended = state_of(status)["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")
