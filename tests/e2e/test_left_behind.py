"""A pod runner that is killed leaves nothing of its containers on the node, whatever they did to outlive it."""

from collections.abc import Iterator

import pytest

from tests.e2e.sidecar import Json, Sidecar, own_sidecar, small_pod, state_of
from tests.e2e.waiting import wait_for
from tests.testbed.bed import Bed

#: Daemons by two forks, in sessions of their own, deaf to SIGTERM, one without the container's environment.
SCRIPT = (
    "trap '' TERM HUP INT; (setsid sh -c '(setsid sleep {0} >/dev/null 2>&1 </dev/null &)' &); "
    "(env -i PATH=/bin:/usr/bin setsid sh -c '(sleep {0} >/dev/null 2>&1 </dev/null &)' &); sleep {0} & sleep {0}"
)


@pytest.fixture(scope="module")
def sidecar(bed: Bed) -> Iterator[Sidecar]:
    with own_sidecar(bed, ImagePrefix=f"docker://{bed.registry_address}/") as sidecar:
        yield sidecar


def stubborn_pod(runtime: str, mark: str) -> Json:
    """Return a pod of four processes that sleep for ``mark`` seconds."""
    pod = small_pod(SCRIPT.format(mark))
    pod["metadata"]["annotations"]["slurm-job.vk.io/container-runtime"] = runtime
    pod["spec"]["containers"][0]["image"] = "busybox"
    return pod


def sleepers(bed: Bed, mark: str) -> int:
    return bed.site(["ps", "-eo", "args"]).split("\n").count(f"sleep {mark}")


@pytest.mark.parametrize("runtime", ["none", "apptainer"])
@pytest.mark.parametrize("which", ["runner", "guard"])
def test_a_killed_runner_leaves_no_container_behind(bed: Bed, sidecar: Sidecar, runtime: str, which: str) -> None:
    mark = str(70_000 + 10 * ["none", "apptainer"].index(runtime) + ["runner", "guard"].index(which))
    pod = stubborn_pod(runtime, mark)
    assert sidecar.create(pod)[0] == 200
    wait_for("all its processes", lambda: sleepers(bed, mark), lambda seen: seen == 4)
    plan = f"jobs/{pod['metadata']['uid']}/plan.json"
    guard, runner = map(int, bed.site(["pgrep", "--full", f"pyz .*{plan}"]).split()[:2])
    wait_for("the container's report", lambda: "running" in state_of(sidecar.status(pod)))
    bed.site(["kill", "-KILL", str(runner if which == "runner" else guard)])
    wait_for("the end of all of them", lambda: sleepers(bed, mark), lambda seen: seen == 0, within=10)
    status = sidecar.wait_ended(pod)
    assert status["reason"] == "JobFailed", status
    assert state_of(status)["terminated"]["exitCode"] == 137


@pytest.mark.parametrize("runtime", ["none", "apptainer"])
def test_a_deleted_pods_daemons_end_with_its_grace_period(bed: Bed, sidecar: Sidecar, runtime: str) -> None:
    mark = str(71_000 + ["none", "apptainer"].index(runtime))
    pod = stubborn_pod(runtime, mark)
    assert sidecar.create(pod)[0] == 200
    wait_for("all its processes", lambda: sleepers(bed, mark), lambda seen: seen == 4)
    assert sidecar.delete(pod) == 200
    status = sidecar.wait_ended(pod)
    assert sleepers(bed, mark) == 0
    assert state_of(status)["terminated"]["exitCode"] == 137
