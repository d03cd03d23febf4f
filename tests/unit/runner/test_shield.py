"""Which of a container's processes are kept from Slurm's signals: those that serve it its image, and no other."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from interlink.runner import shield
from interlink.runner.guard import Guard
from interlink.runner.process import Process
from interlink.runner.processes import kill_session, started
from interlink.runner.shield import Shield, helpers
from tests.e2e.waiting import wait_for

#: A leader of a session that starts a helper of two threads, which has a device open, and another process.
LEADER = """\
import os, subprocess, sys, threading, time
helper = "import sys, threading, time; f = open(sys.argv[1]); threading.Thread(target=time.sleep, args=(60,)).start(); \
print('up', flush=True); time.sleep(60)"
for words in ([helper, sys.argv[1]], ["import time; print('up', flush=True); time.sleep(60)"]):
    child = subprocess.Popen([sys.executable, "-c", *words], stdout=subprocess.PIPE, start_new_session=False)
    child.stdout.readline()
    print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int, int]]:
    """Start a leader, a helper and another process; return their ids."""
    device = tmp_path / "device"
    device.touch()
    monkeypatch.setattr(shield, "DEVICE", str(device))
    with ExitStack() as stack:
        leader = stack.enter_context(
            subprocess.Popen([sys.executable, "-c", LEADER, str(device)], stdout=subprocess.PIPE, text=True,
                             start_new_session=True)
        )  # fmt: skip
        stack.callback(kill_session, leader.pid)
        assert leader.stdout is not None
        yield leader.pid, int(leader.stdout.readline()), int(leader.stdout.readline())


def blocked(pid: int) -> list[set[int]]:
    """Return the signals that each thread of a process has blocked."""
    found = []
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        (mask,) = (int(line.split()[1], 16) for line in status.read_text().splitlines() if line.startswith("SigBlk"))
        found.append({number for number in range(1, 65) if mask >> (number - 1) & 1})
    return found


def test_only_what_serves_a_file_system_beside_the_leader_is_a_helper(session: tuple[int, int, int]) -> None:
    leader, helper, _other = session
    assert helpers(leader) == [helper]
    assert helpers(helper) == []


def test_a_helper_hears_slurms_signals_no_more_in_any_thread_and_still_dies_of_sigkill(
    session: tuple[int, int, int],
) -> None:
    _, helper, other = session
    shield.shield([helper])
    masks = blocked(helper)
    assert len(masks) >= 2
    assert all({signal.SIGTERM, signal.SIGUSR1} <= mask and signal.SIGTSTP not in mask for mask in masks)
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
        os.kill(helper, number)
    os.kill(other, signal.SIGTERM)
    wait_for("the other's end", lambda: started(other) is None, within=10)
    assert started(helper) is not None
    os.kill(helper, signal.SIGKILL)
    wait_for("the helper's end", lambda: started(helper) is None, within=10)


def step_until(shielded: Shield, true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        shielded.step(time.monotonic())
        time.sleep(0.01)


def test_helpers_are_looked_for_once_the_containers_own_process_is_there(
    session: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    leader, helper, _ = session
    inside: list[int] = []
    monkeypatch.setattr(shield, "process_inside", lambda _top: inside[0] if inside else None)
    guard = Guard()
    shielded = Shield(cast(Process, SimpleNamespace(pid=leader, top=leader)), time.monotonic(), guard)
    shielded.step(time.monotonic())
    assert (shielded.done, len(shielded.times())) == (False, 1)
    inside.append(1)
    shielded.step(time.monotonic() + 1)
    assert len(guard.known) == 1, "the guard takes its process for an orphan, which nobody waits for"
    step_until(shielded, lambda: all(signal.SIGTERM in mask for mask in blocked(helper)) and not guard.known)
    assert (shielded.done, shielded.times()) == (True, [])
    shielded.cancel()


def test_a_helper_that_cannot_be_shielded_is_said_in_the_jobs_log(
    session: tuple[int, int, int], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError(1, "ptrace: Operation not permitted")

    monkeypatch.setattr(shield, "_ptrace", refuse)
    shield.shield([session[1]])
    assert f"process {session[1]}, which serves a container its image, hears Slurm's signals" in capfd.readouterr().err
