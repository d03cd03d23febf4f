"""One attempt of a handler of a probe or hook, beside the runner's loop: a child with a pipe and a time-out.

Started by ``probes.py`` and by a container's hooks. Each is a forked child of the runner, which is one thread: an exec
joins the container (``enter.py``), the others use the network themselves. None outlives the runner or its time-out.
"""

import json
import os
import signal
import sys
from typing import Any, Callable, Dict, List, Optional, Tuple

from interlink.runner.enter import Entry, execute
from interlink.runner.files import RunnerError, as_utf8, words
from interlink.runner.guard import Guard
from interlink.runner.handlers import Outcome, attempt, too_late
from interlink.runner.processes import die_with_parent, kill_session

#: What is kept of an exec probe's output (maxRespBodyLength of the kubelet's exec prober), in bytes.
_MOST_OUTPUT = 10 * 1024

#: How a command is started inside the container that a handler belongs to. Raises RunnerError.
Enter = Callable[[List[str]], Entry]


class Action:
    """An attempt under way. ``fd`` gets readable when there is something to take; then call ``poll``.

    ``late``: what there is to say of one that has not ended at its ``deadline``.
    """

    def __init__(self, pid: int, fd: int, deadline: float, late: str, guard: Guard) -> None:
        #: ``fd`` is negative once the attempt has closed its end; its own end is told by SIGCHLD.
        self.pid, self.fd, self.deadline, self.guard = pid, fd, deadline, guard
        self.output = b""
        self.late = late
        self.outcome: Optional[Outcome] = None
        os.set_blocking(fd, False)
        guard.tell(pid, alive=True)

    def poll(self, clock: float) -> Optional[Outcome]:
        """Return the outcome once there is one. At the time-out the attempt is ended and has failed."""
        if self.outcome is None:
            self._read()
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                self._close()
                self.outcome = self._judged(status)
            elif clock >= self.deadline:
                self._kill(self.late)
        return self.outcome

    def cancel(self) -> None:
        """End the attempt; its outcome does not count any more."""
        if self.outcome is None:
            self._kill("cancelled")

    def _kill(self, words: str) -> None:
        kill_session(self.pid)
        os.waitpid(self.pid, 0)
        self._close()
        self.outcome = Outcome(False, words)

    def _close(self) -> None:
        self._read()
        self._close_pipe()
        self.guard.tell(self.pid, alive=False)

    def _close_pipe(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _read(self) -> None:
        while self.fd >= 0:
            try:
                data = os.read(self.fd, 65536)
            except BlockingIOError:
                return
            if not data:
                self._close_pipe()
                return
            self.output = (self.output + data)[:_MOST_OUTPUT]

    def _judged(self, status: int) -> Outcome:
        raise NotImplementedError


class Command(Action):
    """A command inside the container: exit status 0 is success, its output the message."""

    def _judged(self, status: int) -> Outcome:
        return Outcome(status == 0, os.fsdecode(self.output).strip())


class Call(Action):
    """A forked child that writes its outcome as JSON."""

    def _judged(self, status: int) -> Outcome:
        try:
            success, message, warning = json.loads(os.fsdecode(self.output))
        except ValueError:
            return Outcome(False, "the attempt ended without a word (status {})".format(status))
        return Outcome(bool(success), str(message), bool(warning))


class Failed(Action):
    """An attempt that could not even begin."""

    def __init__(self, clock: float, message: str) -> None:
        self.fd, self.deadline = -1, clock
        self.outcome = Outcome(False, message)


def start(handler: Dict[str, Any], clock: float, timeout: float, enter: Enter, guard: Guard) -> Action:
    """Begin one attempt of a plan's handler, which is to end within ``timeout`` seconds."""
    deadline, late = clock + timeout, "" if timeout == float("inf") else too_late(handler, timeout)
    try:
        if handler["kind"] == "exec":
            return _start_command(enter(handler["command"]), deadline, late, guard)
        return _start_call(handler, deadline, late, guard)
    except (OSError, ValueError, RunnerError) as error:
        return Failed(clock, words(error))


def _fork(child: Callable[[int], None]) -> Tuple[int, int]:
    """Run ``child`` with the writing end of a pipe in a new process; return its id and the reading end."""
    reading, writing = os.pipe()
    sys.stderr.flush()
    parent, pid = os.getpid(), os.fork()
    if pid == 0:
        try:
            _be_a_child(parent, writing)
            child(writing)
        finally:
            os._exit(0)
    os.close(writing)
    return pid, reading


def _start_command(entry: Entry, deadline: float, late: str, guard: Guard) -> Action:
    def child(writing: int) -> None:
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (writing, 1), (writing, 2)):
            os.dup2(source, target)
        execute(entry)

    pid, reading = _fork(child)
    return Command(pid, reading, deadline, late, guard)


def _start_call(handler: Dict[str, Any], deadline: float, late: str, guard: Guard) -> Action:
    def child(writing: int) -> None:
        os.write(writing, as_utf8(json.dumps(attempt(handler), ensure_ascii=False))[:_MOST_OUTPUT])

    pid, reading = _fork(child)
    return Call(pid, reading, deadline, late, guard)


def _be_a_child(parent: int, writing: int) -> None:
    """Let go of what is the runner's: its signals, its session, its files but one, and a life beyond its end.

    Above all of the guard's pipe: it tells the runner's end by being closed everywhere.
    """
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    die_with_parent()
    if os.getppid() != parent:
        os._exit(1)
    os.setsid()
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor > 2 and descriptor != writing:
            try:
                os.close(descriptor)
            except OSError:
                pass  # it was the listing's own
