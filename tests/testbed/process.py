"""Processes: commands that end, and daemons that are recorded so that they are found and ended again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import CommandError, StoppedError, TestbedError, tail

PROC = Path("/proc")


def run(
    command: Sequence[str | Path],
    *,
    stdin: str | bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = 120,
) -> str:
    """Run a short command and return what it wrote to stdout.

    Raises CommandError for any status but 0, with both outputs; TestbedError after `timeout` seconds.
    """
    argv = [str(word) for word in command]
    data = stdin.encode() if isinstance(stdin, str) else stdin or b""
    try:
        done = subprocess.run(
            argv, input=data, env=_environment(env), cwd=cwd, timeout=timeout, capture_output=True, check=False
        )
    except FileNotFoundError as error:
        raise CommandError(argv, 127, str(error)) from error
    except subprocess.TimeoutExpired as error:
        raise TestbedError(f"{' '.join(argv)}: no end after {timeout:.0f} s") from error
    if done.returncode != 0:
        raise CommandError(argv, done.returncode, (done.stdout + done.stderr).decode(errors="replace"))
    return done.stdout.decode(errors="replace")


def run_logged(
    command: Sequence[str | Path],
    log: Path,
    stop: threading.Event,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> None:
    """Run a long command with both outputs appended to a log file; end it when `stop` is set.

    Raises CommandError with the end of what it wrote, StoppedError when it was given up.
    """
    argv = [str(word) for word in command]
    with log.open("ab") as output:
        start = output.tell()
        output.write(f"+ {' '.join(argv)}\n".encode())
        output.flush()
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=_environment(env), cwd=cwd,
            start_new_session=True,
        )  # fmt: skip
        while child.poll() is None:
            if stop.wait(0.1):
                os.killpg(child.pid, signal.SIGTERM)
                child.wait()
                raise StoppedError(f"{argv[0]} was given up")
    if child.returncode != 0:
        with log.open("rb") as written:
            written.seek(start)
            raise CommandError(argv, child.returncode, tail(written.read().decode(errors="replace")))


def _environment(extra: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if extra is None else {**os.environ, **extra}


@dataclass(frozen=True)
class Daemon:
    """A background process that is known by a record on disk: its pid, its program and when it started."""

    name: str
    folder: Path

    @property
    def record(self) -> Path:
        """The file that remembers the process."""
        return self.folder / f"{self.name}.json"

    def start(self, command: Sequence[str | Path], log: Path) -> None:
        """Start the process in a session of its own, with its outputs appended to the log."""
        argv = [str(word) for word in command]
        self.folder.mkdir(parents=True, exist_ok=True)
        streams = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=streams, setsid=True)
        known = {"pid": pid, "program": argv[0], "started": started_at(pid)}
        partial = self.record.with_suffix(".partial")
        partial.write_text(json.dumps(known))
        partial.rename(self.record)

    def pid(self) -> int | None:
        """Return the pid if the recorded process still lives, None if it is gone or its pid is another's now."""
        try:
            known = json.loads(self.record.read_text())
            pid = int(known["pid"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        same = started_at(pid) == known.get("started") and runs_program(pid, str(known.get("program")))
        return pid if same else None

    def stop(self, within: float = 15) -> bool:
        """End the process (SIGTERM, after `within` seconds SIGKILL); return whether there was one."""
        pid = self.pid()
        if pid is not None:
            end(pid, within)
        self.record.unlink(missing_ok=True)
        return pid is not None


def end(pid: int, within: float = 15) -> None:
    """End a process: SIGTERM, after `within` seconds SIGKILL."""
    words, started = command_line(pid), started_at(pid)

    def lives() -> bool:
        return bool(words) and command_line(pid) == words and started_at(pid) == started

    for number in (signal.SIGTERM, signal.SIGKILL):
        if lives():
            os.kill(pid, number)
        deadline = time.monotonic() + within
        while lives() and time.monotonic() < deadline:
            time.sleep(0.05)


def strays(program: str, argument: str, proc: Path = PROC) -> list[int]:
    """Return the processes that run a program with this very argument, whether or not there is a record of them."""
    pids = [int(entry.name) for entry in proc.iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if runs_program(pid, program, proc) and argument in command_line(pid, proc)]


def started_at(pid: int, proc: Path = PROC) -> int | None:
    """Return a process's start time in clock ticks since boot, None if there is no such process."""
    try:
        stat = (proc / str(pid) / "stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])


def runs_program(pid: int, program: str, proc: Path = PROC) -> bool:
    """Return whether a process was started as this program; a zombie runs nothing."""
    words = command_line(pid, proc)
    return bool(words) and Path(words[0]).name == Path(program).name


def command_line(pid: int, proc: Path = PROC) -> list[str]:
    """Return the words a process was started with: none for a zombie or a process that is gone."""
    try:
        text = (proc / str(pid) / "cmdline").read_bytes()
    except OSError:
        return []
    return [os.fsdecode(word) for word in text.split(b"\0")[:-1]]
