"""Processes: ending whole sessions, and a guard that does it where the runner itself is killed.

Each container is the leader of a session of its own. The kernel ends the leader with the runner (prctl(2)); what the
leader leaves behind, as the helpers of a container runtime, the guard ends.
"""

import ctypes
import os
import signal
from typing import List, Optional, Set

from interlink.runner.files import remove_tree

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """Ask the kernel to end this process when the runner ends (prctl(2))."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def kill_session(session: int) -> None:
    """End every process of a session, those that were given to init included."""
    for _ in range(5):
        found = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if session_of(pid) == session]
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it ended by itself meanwhile
        if not found:
            return


def session_of(pid: int) -> Optional[int]:
    """Return the session of a living process, None if there is none such."""
    try:
        with open("/proc/{}/stat".format(pid), "rb") as file:  # a process may have any bytes for its name
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] == b"Z" else int(fields[3])


class Guard:
    """A process that outlives the runner's death, to end the containers that it leaves behind."""

    def __init__(self) -> None:
        reading, self.writing = os.pipe()
        if os.fork() == 0:
            self._watch(reading)
        os.close(reading)

    def tell(self, session: int, alive: bool) -> None:
        """Say that a container's session began or has ended."""
        self._say("{}{}\n".format("+" if alive else "-", session).encode())

    def remove_at_end(self, folder: str) -> None:
        """Say that a folder of the job's is to be removed once its containers are gone."""
        self._say(b"/" + os.fsencode(folder).hex().encode() + b"\n")

    def _say(self, line: bytes) -> None:
        try:
            os.write(self.writing, line)
        except BrokenPipeError:
            pass  # somebody ended the guard: the containers still end with the runner, by prctl(2)

    def _watch(self, reading: int) -> None:
        os.setsid()
        os.close(self.writing)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        sessions: Set[int] = set()
        folders: List[str] = []
        with open(reading, encoding="utf-8") as told:
            for line in told:
                if line[0] == "+":
                    sessions.add(int(line[1:]))
                elif line[0] == "/":
                    folders.append(os.fsdecode(bytes.fromhex(line[1:])))
                else:
                    sessions.discard(int(line[1:]))
        for session in sessions:
            kill_session(session)
        for folder in folders:
            remove_tree(folder)
        os._exit(0)
