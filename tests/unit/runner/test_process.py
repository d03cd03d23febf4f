"""Processes of runtimes whose containers are not below them, or do not hear what they hear."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from interlink.runner import process as module
from interlink.runner.crilog import Log
from interlink.runner.guard import Guard
from interlink.runner.process import Process
from interlink.runner.processes import running
from interlink.runner.runtimes import Launch
from interlink.runner.streams import Streams

#: As podman: the container is the child of nobody here, and leads a session of its own.
DAEMON = 'setsid sh -c "echo \\$\\$ > {file}; exec sleep 60" & sleep 60'


def begin(folder: Path, script: str, **fields: object) -> Process:
    (folder / "logs").mkdir()
    log = Log(str(folder / "logs" / "main.log"), 1 << 20, 1)
    log.begin()
    launch = Launch(["sh", "-c", script], dict(os.environ), str(folder), **fields)  # type: ignore[arg-type]
    return Process(launch, Streams(str(folder), {"name": "main"}), log, Guard(), lambda: None)


def wait(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def daemon(tmp_path: Path) -> Process:
    """A container of podman's kind, once its runtime has told of it."""
    file = tmp_path / "pid"
    process = begin(tmp_path, DAEMON.format(file=file), pid_file=str(file))
    assert process.top is None
    wait(lambda: not process.is_over(time.monotonic()) and process.top)
    return process


def test_a_container_that_its_runtime_keeps_elsewhere_is_killed_with_it(daemon: Process) -> None:
    assert daemon.top is not None
    assert daemon.sessions == [daemon.pid, daemon.top]
    daemon.kill()
    wait(lambda: daemon.is_over(time.monotonic()))
    assert daemon.exit_code == 137
    assert daemon.top not in running()


def test_what_a_runtime_leaves_behind_elsewhere_ends_when_it_has_ended(daemon: Process) -> None:
    daemon.popen.kill()
    wait(lambda: daemon.is_over(time.monotonic()))
    assert daemon.top is not None
    assert daemon.top not in running()


@pytest.mark.parametrize("text", ["", "x", "4194304"])
def test_a_pid_file_that_names_no_leader_of_a_session_is_not_believed(tmp_path: Path, text: str) -> None:
    (tmp_path / "pid").write_text(text)
    process = begin(tmp_path, "exec sleep 60", pid_file=str(tmp_path / "pid"))
    assert not process.is_over(time.monotonic())
    assert process.sessions == [process.pid]
    process.kill()
    wait(lambda: process.is_over(time.monotonic()))


def test_a_container_whose_runtime_does_not_hand_sigterm_on_gets_it_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "container").write_text("trap 'exit 5' TERM; echo $$ > pid; while :; do sleep 0.05; done")
    process = begin(tmp_path, "trap 'exit 84' TERM; sh container", deaf=True)
    wait(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    monkeypatch.setattr(module, "process_inside", lambda pid: int((tmp_path / "pid").read_text()))
    process.terminate()
    wait(lambda: process.is_over(time.monotonic()))
    assert process.exit_code == 5
