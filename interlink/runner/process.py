"""The process of one run of a container: started with its streams, listened to, signalled. By ``container.py``."""

import fcntl
import os
import signal
import subprocess
import termios
from typing import Callable, List, Optional

from interlink.runner.crilog import Log
from interlink.runner.enter import process_inside
from interlink.runner.guard import Guard
from interlink.runner.processes import kill_session
from interlink.runner.runtimes import Launch
from interlink.runner.runtimes.host import MOUNTS
from interlink.runner.streams import Streams

#: How long output is read on after a container's process has ended (a grandchild may hold the pipe), in seconds.
DRAIN = 1.0
#: An exit by signal N is shown as 128 + N.
SIGNAL_BASE = 128
KILLED = SIGNAL_BASE + signal.SIGKILL


class Process:
    """A container's process, the leader of a session of its own."""

    def __init__(self, launch: Launch, streams: Streams, log: Log, guard: Guard, prepare: Callable[[], None]) -> None:
        """Start it; ``prepare`` is called in the new process. Raises OSError, ValueError, SubprocessError."""
        self.streams, self.log, self.guard = streams, log, guard
        self.ended_at = 0.0
        #: Whether the runner itself ended it by SIGKILL.
        self.killed = False
        try:
            files = streams.child()
            self.popen = subprocess.Popen(
                launch.argv, stdin=files[0], stdout=files[1], stderr=files[2], env=launch.environment,
                cwd=launch.folder, start_new_session=True, preexec_fn=_prepared(streams.tty, prepare),
            )  # fmt: skip
        except BaseException:
            streams.close()
            raise
        streams.started()
        self.pid = self.popen.pid
        #: What daemons of the container are known by, where it has no process ids of its own that end with it.
        self.mark = "{}={}".format(MOUNTS, launch.environment[MOUNTS]) if MOUNTS in launch.environment else ""
        self._pid_file, self._deaf = launch.pid_file, launch.deaf
        #: The container's first process where it is none of ours: the leader of a session of its own, 0 until known.
        self._elsewhere = 0
        guard.tell(self.pid, alive=True)

    @property
    def exit_code(self) -> int:
        """The exit code, once it is over."""
        code: int = self.popen.returncode
        return code if code >= 0 else SIGNAL_BASE - code

    @property
    def sessions(self) -> List[int]:
        """The sessions that belong to it."""
        return [self.pid, self._elsewhere] if self._elsewhere else [self.pid]

    @property
    def top(self) -> Optional[int]:
        """The process at or below which the container's own is; None while the runtime has not told."""
        return (self._elsewhere or None) if self._pid_file else self.pid

    def sources(self) -> List[int]:
        """Return the descriptors to wait for."""
        return self.streams.sources()

    def read(self, descriptor: int) -> None:
        """Take what one of them has."""
        name = self.streams.outputs.get(descriptor, "")
        data = self.streams.read(descriptor)
        if data:
            self.log.take(name, data)

    def is_over(self, clock: float) -> bool:
        """Return whether the process has ended and what it printed was taken."""
        self.streams.step()
        self._look_elsewhere()
        if self.popen.poll() is None:
            return False
        if not self.ended_at:
            self.ended_at = clock
            # What a container leaves behind (helpers of the runtime, daemons on the host) ends with it.
            self._kill_all()
            if self.mark:
                self.guard.end_orphans(self.mark)
        if self.streams.outputs and clock < self.ended_at + DRAIN:
            return False
        self.streams.close()
        self.log.end()
        self.guard.tell(self.pid, alive=False)
        return True

    def terminate(self) -> None:
        """Ask it to end."""
        inside = process_inside(self.pid) if self._deaf else None
        if inside is None:
            self.popen.terminate()
            return
        try:
            os.kill(inside, signal.SIGTERM)
        except ProcessLookupError:
            pass  # it ended by itself meanwhile

    def kill(self) -> None:
        """End it and all that belongs to it."""
        self.killed = True
        self._look_elsewhere()
        self._kill_all()

    def _kill_all(self) -> None:
        # The container's first: a runtime that sees it end still clears away what it made.
        for session in reversed(self.sessions):
            kill_session(session)

    def _look_elsewhere(self) -> None:
        """Read the id of the container's process once its runtime has written it."""
        if self._pid_file is None or self._elsewhere:
            return
        try:
            with open(self._pid_file, encoding="ascii") as file:
                pid = int(file.read(32))
            leads = os.getsid(pid) == pid
        except (OSError, ValueError, OverflowError):
            return  # not there yet, or not whole, or it has ended
        self._elsewhere = pid if leads and pid else 0


def _prepared(tty: bool, prepare: Callable[[], None]) -> Callable[[], None]:
    """Return what the new process does before its program, its terminal included."""

    def begin() -> None:
        if tty:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        prepare()

    return begin
