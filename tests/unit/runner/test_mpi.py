"""A container across the tasks of its job: what the launcher is given, and what each task becomes."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast

import pytest

from interlink.core.plan import PlanMpi
from interlink.runner import mpi
from interlink.runner.files import RunnerError, read_json
from interlink.runner.processes import running, started
from interlink.runner.runtimes import Launch, Shared
from tests.e2e.waiting import wait_for
from tests.unit.runner.apptainer import Apptainer
from tests.unit.runner.running import Site, shell

#: srun and mpiexec as far as this matters: they note their words and environment, run the rest of their words on two
#: tasks, tell each who it is, and end with the last task's status. srun ends them where it gets SIGTERM.
LAUNCHER = """\
#!/usr/bin/env python3
import json, os, pathlib, signal, subprocess, sys
here = pathlib.Path(__file__)
if "--node" in sys.argv:
    (here.parent / "beside.said").write_text(json.dumps([sys.argv[1:], dict(os.environ)]))
    words = sys.argv[next(i for i, word in enumerate(sys.argv) if "python" in word):]
    beside = subprocess.Popen(words)
    (here.parent / "node.pid").write_text(str(beside.pid))
    sys.exit(beside.wait())
(here.parent / (here.name + ".said")).write_text(json.dumps([sys.argv[1:], dict(os.environ)]))
words = sys.argv[next(i for i, word in enumerate(sys.argv) if "python" in word):]
told = lambda n: {**os.environ, "PMI_RANK": str(n), "SLURM_PROCID": str(n), "SLURM_STEP_ID": "4"}
tasks = [subprocess.Popen(words, env=told(n)) for n in range(2)]
(here.parent / "pids").write_text(" ".join(str(task.pid) for task in tasks))
sys.exit(max(task.wait() for task in tasks))
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("srun", LAUNCHER), ("mpiexec", LAUNCHER)):
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


WAITS = "trap 'echo told; exit 0' TERM; echo $$ ready; while true; do sleep 0.05; done"
STUBBORN = "trap 'echo told' TERM; echo $$ ready; while true; do sleep 0.05; done"


@contextmanager
def spread(site: Site, programs: Path, script: str, launcher: str = "srun", **fields: Any) -> Iterator[Any]:
    """Start the container on both tasks; yield the runner and the tasks' ids."""
    run = PlanMpi(launcher=cast(Literal["srun", "mpiexec"], launcher), executable=str(programs / launcher))
    plan = site.plan(shell(script, mpi=True), mpi=run, **fields)
    log = site.job / "logs" / "main.log"
    with site.start(plan, PATH=f"{programs}:{os.environ['PATH']}") as runner:
        wait_for("both tasks", lambda: log.exists() and site.log().count("ready") == 2, within=20)
        yield runner, [int(pid) for pid in re.findall(r"(\d+) ready", site.log())]


def wait_gone(*pids: int) -> None:
    wait_for("the end", lambda: not [pid for pid in pids if started(pid) is not None], within=20)


def only_child(pid: int, word: str) -> int:
    """Return the process below another that was started with a word."""
    waiting = [pid]
    while waiting:
        table = running()
        for child in (each for each, process in table.items() if process.parent == waiting[0]):
            if word.encode() in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
                return child
            waiting.append(child)
        waiting.pop(0)
    raise AssertionError(f"nothing below {pid} was started with {word}")


@pytest.mark.parametrize("launcher", ["srun", "mpiexec"])
def test_asked_to_end_every_task_hears_it_once_by_whatever_launcher(site: Site, programs: Path, launcher: str) -> None:
    with spread(site, programs, WAITS, launcher) as (runner, tasks):
        runner.terminate()
        runner.wait(30)
    assert site.log().count("told") == 2
    assert site.ends()["main"]["exitCode"] == 0
    wait_gone(*tasks)


def test_tasks_that_stay_are_killed_when_the_grace_period_is_over(site: Site, programs: Path) -> None:
    with spread(site, programs, STUBBORN, termination_grace_period_seconds=3) as (runner, tasks):
        began = time.monotonic()
        runner.terminate()
        runner.wait(30)
    assert site.log().count("told") == 2
    assert (site.ends()["main"]["exitCode"], time.monotonic() - began >= 3) == (137, True)
    wait_gone(*tasks)


@pytest.mark.parametrize("killed", ["runner", "--spread", "srun", "--node"])
def test_whichever_process_is_killed_no_task_outlives_it(site: Site, programs: Path, killed: str) -> None:
    with spread(site, programs, STUBBORN) as (runner, tasks):
        victim = {"runner": runner.pid, "srun": running()[tasks[0]].parent,
                  "--spread": only_child(runner.pid, "--spread"),
                  "--node": int((programs / "node.pid").read_text())}[killed]  # fmt: skip
        os.kill(victim, signal.SIGKILL)
        wait_gone(*tasks)
        runner.wait(30)
    if killed != "runner":
        assert site.ends()["main"]["exitCode"] == 137


def test_a_signal_of_slurms_to_the_jobs_steps_alone_ends_the_pod_in_its_grace_period(
    site: Site, programs: Path
) -> None:
    """So a preempted job's steps hear of it, and its batch script does not."""
    with spread(site, programs, WAITS, termination_grace_period_seconds=20) as (runner, _tasks):
        os.kill(int((programs / "node.pid").read_text()), signal.SIGTERM)
        runner.wait(30)
    assert site.log().count("told") == 2
    assert (site.ends()["main"]["exitCode"], site.last().interrupted) == (0, ["main"])


def test_srun_keeps_one_process_on_each_node_whatever_the_jobs_variables_say(site: Site, programs: Path) -> None:
    plan = site.plan(shell("true", mpi=True), mpi=PlanMpi(executable=str(programs / "srun"), flags=["--mpi=pmi2"]))
    site.run(plan, SLURM_JOB_NUM_NODES="1", SLURM_NTASKS="4", SLURM_CPUS_PER_TASK="3")
    words, environment = said(programs, "beside")
    assert {"--overlap", "--nodes=1", "--ntasks=1", "--ntasks-per-node=1", "--mpi=none"} <= set(words)
    assert not {"SLURM_NTASKS", "SLURM_CPUS_PER_TASK", "--mpi=pmi2"} & {*environment, *words}


def test_a_container_that_a_node_cannot_make_is_its_end_with_the_runtimes_words(
    site: Site, programs: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    runtime = Apptainer(site, programs)
    (programs / "apptainer").write_text("#!/bin/sh\necho FATAL: no such thing >&2; exit 255\n")
    image = tmp_path_factory.mktemp("site") / "image.sif"
    image.touch()
    job = shell("true", mpi=True)
    job.image = str(image)
    site.run(site.plan(job, runtime=runtime.runtime, mpi=PlanMpi(executable=str(programs / "srun"))))
    assert site.ends()["main"]["exitCode"] == 126
    assert "FATAL: no such thing" in site.log()
    assert "the container cannot be made on" in site.log()
    assert site.last().interrupted == []
    assert not (programs / "pids").exists()


def test_a_task_that_comes_after_the_end_was_asked_for_does_not_begin(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(json.dumps({"socket": f"t-{uuid.uuid4()}", "holder": None, "count": 1,
                                               "task": Launch(["echo", "began"], dict(os.environ))}))  # fmt: skip

    def verb(word: str) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "interlink.runner.main", word, str(tmp_path / "file")]
        return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    with verb("--node") as node:
        assert node.stdin is not None
        assert node.stdout is not None
        assert node.stdout.readline() == "ready\n"
        before = verb("--task")
        assert (before.communicate(timeout=20)[0], before.returncode) == ("began\n", 0)
        node.stdin.write("end\n")
        node.stdin.flush()
        wait_for("its refusal", lambda: ended(verb("--task")) == ("", 143), within=20)
    assert ended(verb("--task")) == ("", 126)


def ended(process: subprocess.Popen[str]) -> tuple[str, int]:
    return process.communicate(timeout=20)[0], process.returncode


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
    assert site.ends()["main"]["exitCode"] == 127
    assert "/no/such/program: no such file" in site.log()


def test_a_runtime_that_hides_the_launchers_variables_is_refused_by_name(tmp_path: Path) -> None:
    plan = {"runtime": {"kind": "enroot"}, "folder": str(tmp_path), "mpi": {"launcher": "srun"}}
    with pytest.raises(RunnerError, match="not possible with the runtime enroot"):
        mpi.across_tasks(plan, {"name": "main"}, Shared(None, Launch(["true"], {})))


def test_words_and_variables_of_any_bytes_go_to_the_tasks_by_the_file(tmp_path: Path) -> None:
    plan = {"runtime": {"kind": "none"}, "folder": str(tmp_path), "mpi": {"launcher": "srun"}}
    shared = Shared(None, Launch(["true"], {"A": os.fsdecode(b"\xff")}))
    launch = mpi.across_tasks(plan, {"name": "main"}, shared)
    assert launch.argv[-2:] == ["--spread", str(tmp_path / "mpi-main.json")]
    assert Launch(*read_json(launch.argv[-1])["task"]) == shared.task
