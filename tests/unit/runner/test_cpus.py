"""CPU limits: each container's share of the job's CPUs, and quotas where the job may divide its cgroup."""

import os
from pathlib import Path
from typing import Any

import pytest

from interlink.runner import cpus
from interlink.runner.cpus import Cpus, own_group, shares
from interlink.runner.guard import Guard
from tests.unit.runner.running import Site, shell

SHOW = "grep Cpus_allowed_list /proc/self/status; nproc"
OURS = sorted(os.sched_getaffinity(0))
#: A job's step in a cgroup that was handed to its user, as Linux 6.12 shows it.
STEP = "system.slice/slurmstepd.scope/job_7/step_batch/user/task_0"

two_cpus = pytest.mark.skipif(len(OURS) < 2, reason="this machine has one CPU")


def plan(*containers: tuple[str, float | None], init: tuple[tuple[str, float, str], ...] = ()) -> dict[str, Any]:
    """Return what matters of a plan: (name, limit) of containers, (name, limit, restart policy) of init containers."""
    return {
        "initContainers": [{"name": n, "cpuLimit": limit, "restartPolicy": policy} for n, limit, policy in init],
        "containers": [{"name": name, "cpuLimit": limit} for name, limit in containers],
    }


def shares_of(plan: dict[str, Any], cpus: list[int]) -> dict[str, list[int]]:
    everyone = [*plan["initContainers"], *plan["containers"]]
    return shares(plan, {item["name"]: item["cpuLimit"] for item in everyone if item["cpuLimit"]}, cpus)


@pytest.mark.parametrize(
    ("given", "job", "wanted"),
    [
        (plan(("a", 1.0), ("b", 2.0)), [4, 5, 8], {"a": [4], "b": [5, 8]}),
        (plan(("a", 1.5), ("b", 0.1), ("c", None)), [0, 1, 2, 3], {"a": [0, 1], "b": [2]}),
        (plan(("a", 2.0), ("b", 2.0)), [0, 1, 2], {"a": [0, 1], "b": [2, 0]}),
        (plan(("a", 3.0), ("b", 8.0)), [0, 1, 2], {}),
        (plan(("a", 1.0), init=(("i", 2.0, ""), ("j", 1.0, ""))), [0, 1, 2], {"i": [0, 1], "j": [0], "a": [0]}),
        (plan(("a", 1.0), init=(("s", 1.0, "Always"), ("i", 2.0, ""))), [0, 1, 2], {"s": [0], "i": [1, 2], "a": [1]}),
    ],
)
def test_containers_that_run_together_get_different_cpus_of_the_job_as_far_as_they_suffice(
    given: dict[str, Any], job: list[int], wanted: dict[str, list[int]]
) -> None:
    assert shares_of(given, job) == wanted


@two_cpus
def test_a_container_sees_as_many_cpus_as_its_limit_says_its_restarts_and_init_containers_too(site: Site) -> None:
    again = f"{SHOW}; [ -e $TMP/once ] || {{ touch $TMP/once; exit 3; }}"
    site.run(
        site.plan(
            shell(again, "first", cpu_limit=0.5, env=[("TMP", str(site.job))]), shell(SHOW, "second", cpu_limit=1.0),
            shell("nproc", "free"), init_containers=[shell("nproc", "init", cpu_limit=1)], restart_policy="OnFailure",
        ),
        SLURM_CPUS_ON_NODE=str(len(OURS)),
    )  # fmt: skip
    first, second, before = site.log("first"), site.log("second"), site.log("first", ".previous")
    assert (first.splitlines()[-1], second.splitlines()[-1]) == ("stdout F 1", "stdout F 1")
    assert first == before != second
    assert (site.log("init"), site.log("free")) == ("stdout F 1\n", f"stdout F {len(OURS)}\n")


@two_cpus
@pytest.mark.parametrize("granted", ["1", ""])
def test_a_job_that_slurm_has_not_bound_to_its_cpus_is_left_alone(site: Site, granted: str) -> None:
    site.run(site.plan(shell("nproc", cpu_limit=0.5)), SLURM_CPUS_ON_NODE=granted)
    assert site.log() == f"stdout F {len(OURS)}\n"


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tree of cgroups around a job's step, with the folder that the kernel makes of a container's."""
    folder = tmp_path / "cgroup" / STEP
    for group, files in ((folder, ("cgroup.subtree_control",)), (folder / "interlink-7-a", ("cpu.max",))):
        group.mkdir(parents=True)
        for name in (*files, "cgroup.procs", "cgroup.type"):
            (group / name).touch()
    (folder / "cgroup.controllers").write_text("cpuset cpu memory pids\n")
    (tmp_path / "own").write_text(f"0::/{STEP}\n")
    monkeypatch.setattr(cpus, "CGROUPS", str(tmp_path / "cgroup"))
    monkeypatch.setattr(cpus, "OWN", str(tmp_path / "own"))
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "64")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(64)))
    return folder


def test_where_the_job_may_divide_its_cgroup_a_container_gets_a_threaded_child_with_a_quota(step: Path) -> None:
    guard = Guard()
    found = Cpus(plan(("a", 1.5), ("b", None), ("c", 64.0)), guard, "7")
    own = step / "interlink-7-a"
    assert (own / "cgroup.type").read_text() == "threaded"
    assert (own / "cpu.max").read_text() == "150000 100000"
    assert (step / "cgroup.subtree_control").read_text() == "+cpu"
    assert found.shares == {}
    found.enter("a")
    assert (own / "cgroup.procs").read_text() == "0"
    found.enter("b")
    assert guard.folders == [str(own)]


@pytest.mark.parametrize("broken", ["cgroup.procs", "cgroup.subtree_control", "cgroup.controllers", "cgroup.type"])
def test_where_it_may_not_the_jobs_cpus_are_shared(step: Path, broken: str) -> None:
    assert own_group() == str(step)
    (step / broken).unlink()
    assert own_group() is None
    assert Cpus(plan(("a", 1.5)), Guard(), "7").shares == {"a": [0, 1]}


def test_a_cgroup_that_refuses_leaves_the_jobs_cpus_to_be_shared(step: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (step / "interlink-7-a" / "cpu.max").unlink()
    found = Cpus(plan(("a", 1.5)), Guard(), "7")
    assert (found.groups, found.shares) == ({}, {"a": [0, 1]})
    assert "no CPU quotas by the job's cgroup" in capfd.readouterr().err


def test_a_pod_across_tasks_is_left_to_slurm(step: Path) -> None:
    found = Cpus({**plan(("a", 1.5)), "mpi": {"launcher": "srun"}}, Guard(), "7")
    assert (found.groups, found.shares) == ({}, {})
    assert (step / "cgroup.subtree_control").read_text() == ""
