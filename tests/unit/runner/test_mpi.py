"""A container across the tasks of its job: what the launcher is given, and what each task becomes."""

import json
import os
import signal
from pathlib import Path

import pytest

from interlink.core.plan import PlanMpi
from interlink.runner import mpi
from interlink.runner.files import RunnerError
from interlink.runner.runtimes import Launch
from tests.e2e.waiting import wait_for
from tests.unit.runner.running import Site, shell

#: srun and mpiexec as far as this matters: they note their words and environment, run the rest of their words on two
#: tasks, tell each who it is, and end with the last task's status. srun ends them where it gets SIGTERM.
LAUNCHER = """\
#!/usr/bin/env python3
import json, os, pathlib, signal, subprocess, sys
here = pathlib.Path(__file__)
(here.parent / (here.name + ".said")).write_text(json.dumps([sys.argv[1:], dict(os.environ)]))
words = sys.argv[next(i for i, word in enumerate(sys.argv) if "python" in word):]
told = lambda n: {**os.environ, "PMI_RANK": str(n), "SLURM_PROCID": str(n), "SLURM_STEP_ID": "4"}
tasks = [subprocess.Popen(words, env=told(n)) for n in range(2)]
(here.parent / "pids").write_text(" ".join(str(task.pid) for task in tasks))
sys.exit(max(task.wait() for task in tasks))
"""
SCANCEL = """\
#!/bin/sh
echo "$@" > "${0%/*}/scancel.said"
kill -TERM $(cat "${0%/*}/pids")
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("srun", LAUNCHER), ("mpiexec", LAUNCHER), ("scancel", SCANCEL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def said(programs: Path, name: str) -> tuple[list[str], dict[str, str]]:
    words, environment = json.loads((programs / f"{name}.said").read_text())
    return words, environment


def test_every_task_is_the_container_with_its_environment_and_its_rank(site: Site, programs: Path) -> None:
    odd = [("ODD", "a b;$HOME\n'\""), ("SLURM_TASK_PROLOG", "/bin/false"), ("LD_AUDIT", "")]
    job = shell('echo "$PMI_RANK [$ODD] $SLURM_TASK_PROLOG"; exit "$PMI_RANK"', env=odd, mpi=True)
    plan = site.plan(job, mpi=PlanMpi(executable=str(programs / "srun"), flags=["--mpi=pmi2"]))
    site.run(plan, SLURM_CPUS_PER_TASK="3")
    words, environment = said(programs, "srun")
    ours = ["--overlap", "--mem=0", "--export=ALL", "--cpus-per-task=3", "--mpi=pmi2"]
    assert words[: len(ours)] == ours
    assert not {"ODD", "SLURM_TASK_PROLOG", "LD_AUDIT"} & environment.keys()
    assert "a b" not in " ".join(words)
    assert site.ends()["main"]["exitCode"] == 1
    log = site.log()
    assert "0 [a b;$HOME" in log
    assert "1 [a b;$HOME" in log
    assert (site.job / "mpi-main.json").stat().st_mode & 0o777 == 0o600


def test_sigterm_reaches_the_tasks_of_srun_by_their_step(site: Site, programs: Path) -> None:
    script = "trap 'echo told; exit 0' TERM; echo ready; while true; do sleep 0.05; done"
    plan = site.plan(shell(script, mpi=True), mpi=PlanMpi(executable=str(programs / "srun")))
    process = site.start(plan, job="9")
    log = site.job / "logs" / "main.log"
    wait_for("both tasks", lambda: log.exists() and site.log().count("ready") == 2, within=20)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert (programs / "scancel.said").read_text() == "--signal=TERM 9.4\n"
    assert site.log().count("told") == 2
    assert site.ends()["main"]["exitCode"] == 0


@pytest.mark.parametrize(
    ("flags", "count"), [([], ["-n", "6"]), (["-np", "2"], []), (["--np=2"], []), (["--bind-to", "core"], ["-n", "6"])]
)
def test_mpiexec_starts_as_many_tasks_as_the_job_has_unless_the_flags_say(
    flags: list[str], count: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "6")
    words = mpi.command({"launcher": "mpiexec", "executable": "", "flags": flags}, ["task"])
    assert words == ["mpiexec", *count, *flags, "task"]


def test_a_program_that_is_not_there_is_the_containers_end_with_a_reason(site: Site, programs: Path) -> None:
    gone = shell("true", mpi=True)
    gone.command = ["/no/such/program"]
    site.run(site.plan(gone, mpi=PlanMpi(executable=str(programs / "srun"))))
    assert site.ends()["main"]["exitCode"] == 126
    assert "/no/such/program: No such file or directory" in site.log()


def test_a_runtime_that_hides_the_launchers_variables_is_refused_by_name(tmp_path: Path) -> None:
    plan = {"runtime": {"kind": "enroot"}, "folder": str(tmp_path), "mpi": {"launcher": "srun"}}
    with pytest.raises(RunnerError, match="not possible with the runtime enroot"):
        mpi.across_tasks(plan, {"name": "main"}, Launch(["true"], {}))


def test_a_start_forgets_the_step_of_the_one_before(tmp_path: Path) -> None:
    plan = {"runtime": {"kind": "none"}, "folder": str(tmp_path), "mpi": {"launcher": "srun"}}
    (tmp_path / "mpi-main.json.step").write_text("1.2")
    launch = mpi.across_tasks(plan, {"name": "main"}, Launch(["true"], {"A": os.fsdecode(b"\xff")}))
    assert not (tmp_path / "mpi-main.json.step").exists()
    assert launch.argv[-2:] == ["--spread", str(tmp_path / "mpi-main.json")]
