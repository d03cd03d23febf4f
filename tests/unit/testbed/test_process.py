"""Processes that are found again, and never confused with others."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from tests.testbed.errors import CommandError, StoppedError
from tests.testbed.process import Daemon, end, run, run_logged, started_at, strays


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return Daemon("sleeper", tmp_path / "pids")


def record(daemon: Daemon, **known: object) -> None:
    daemon.folder.mkdir(exist_ok=True)
    daemon.record.write_text(json.dumps(known))


def test_a_daemon_is_found_and_ended(daemon: Daemon, tmp_path: Path) -> None:
    daemon.start(["sleep", "60"], tmp_path / "log")
    assert daemon.pid() is not None
    assert daemon.stop() is True
    assert daemon.pid() is None
    assert daemon.stop() is False


def test_a_recycled_pid_is_not_hit(daemon: Daemon) -> None:
    own = os.getpid()
    record(daemon, pid=own, program="sleep", started=started_at(own))
    assert daemon.pid() is None
    assert daemon.stop() is False
    assert not daemon.record.exists()


def test_the_same_program_started_later_is_another(daemon: Daemon, tmp_path: Path) -> None:
    daemon.start(["sleep", "60"], tmp_path / "log")
    known = json.loads(daemon.record.read_text())
    record(daemon, **{**known, "started": known["started"] - 1})
    assert daemon.pid() is None
    record(daemon, **known)
    assert daemon.stop() is True


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', "{}"])
def test_a_torn_record_is_no_process(daemon: Daemon, text: str) -> None:
    daemon.folder.mkdir()
    daemon.record.write_text(text)
    assert daemon.pid() is None


def test_a_failed_command_shows_itself_its_status_and_its_output() -> None:
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", "echo out; echo err >&2; exit 4"])
    assert caught.value.status == 4
    assert str(caught.value) == "sh -c 'echo out; echo err >&2; exit 4'\nexit status 4\nout\nerr"


def test_a_command_that_is_not_there_is_a_failed_command() -> None:
    with pytest.raises(CommandError, match="no-such-command"):
        run(["no-such-command"])


def test_a_stopped_command_ends(tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(StoppedError):
        run_logged(["sleep", "60"], tmp_path / "log", stop)


def test_a_stray_is_known_by_its_program_and_argument(daemon: Daemon, tmp_path: Path) -> None:
    daemon.start(["sleep", "61.5"], tmp_path / "log")
    pid = daemon.pid()
    assert strays("/bin/sleep", "61.5") == [pid]
    assert strays("sleep", "61") == strays("cat", "61.5") == []
    assert pid is not None
    end(pid)
    assert strays("sleep", "61.5") == []
