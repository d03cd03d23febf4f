"""The processes of the node: who lives, who descends from whom, and the end of all that belong together."""

import ctypes
import os
import signal
from typing import Callable, Dict, Iterable, List, NamedTuple, Optional, Set

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)
PAGE = os.sysconf("SC_PAGE_SIZE")


class Running(NamedTuple):
    """One line of /proc: a living process."""

    parent: int
    session: int
    resident: int


def running() -> Dict[int, Running]:
    """Return all living processes that may be seen, by their ids."""
    table = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/{}/stat".format(name), "rb") as file:
                # A process may have any bytes for its name: what follows is counted from its end.
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] != b"Z":
            table[int(name)] = Running(int(fields[1]), int(fields[3]), int(fields[21]) * PAGE)
    return table


def below(roots: List[int], table: Dict[int, Running]) -> Set[int]:
    """Return these processes and all that descends from them."""
    children: Dict[int, List[int]] = {}
    for pid, process in table.items():
        children.setdefault(process.parent, []).append(pid)
    found, waiting = set(), list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, ())
    return found


def parents_first(pids: Iterable[int], table: Dict[int, Running]) -> List[int]:
    """Return these processes with each behind those that it descends from."""

    def depth(pid: int) -> int:
        steps = 0
        # Bounded, for a table is not read at one moment: an id that was given anew may make a circle in it.
        while pid in table and steps < len(table):
            pid, steps = table[pid].parent, steps + 1
        return steps

    return sorted(pids, key=depth)


def die_with_parent() -> None:
    """Ask the kernel to end this process when the runner ends (prctl(2))."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def kill_session(session: int) -> None:
    """End every process of a session, those that were given to init included."""
    kill_all(lambda table: [pid for pid, process in table.items() if process.session == session])


def kill_descendants() -> None:
    """End all that descends from this process."""
    own = os.getpid()
    kill_all(lambda table: below([own], table) - {own})


def kill_all(chosen: "Callable[[Dict[int, Running]], Iterable[int]]") -> None:
    """End the processes that are chosen of all that live, parents first, and those that they start meanwhile.

    A parent that outlives its child would act on its death: a shell would start the next command, a puller tidy up.
    """
    for _ in range(5):
        table = running()
        found = parents_first(chosen(table), table)
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass  # it ended by itself meanwhile, or it is a set-user-id helper of the runtime
        if not found:
            return


def started(pid: int) -> Optional[int]:
    """Return when a living process began, in the kernel's ticks: with its id it stands for no other process, ever."""
    try:
        with open("/proc/{}/stat".format(pid), "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] == b"Z" else int(fields[19])


def environment(pid: int) -> List[bytes]:
    """Return the variables that a process began with; none where it has ended or is not ours."""
    try:
        with open("/proc/{}/environ".format(pid), "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []
