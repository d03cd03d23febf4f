"""The guard: the process that Slurm started, and the parent of the runner, which ends what a killed runner leaves.

Each container is the leader of a session of its own, and the kernel ends the leader with the runner (prctl(2)). What
leaves its session and its parents (a daemon that forks twice) comes back to the nearest ancestor that takes in orphans:
to the runner, and after it to its guard. So all that a pod has started descends from one of the two, whatever it does,
and whichever of them is killed, the other one ends it. Only where both are killed at once may a daemon stay, and then
only of a container without process ids of its own.
"""

import os
import signal
import time
from typing import Callable, Dict, List, Set

from interlink.runner.files import remove_tree, say
from interlink.runner.processes import (
    LIBC,
    PR_SET_PDEATHSIG,
    Running,
    below,
    environment,
    kill_all,
    kill_descendants,
)

PR_SET_CHILD_SUBREAPER = 36
#: How the kernel tells the runner that its guard was killed.
GUARD_KILLED = signal.SIGUSR1
#: What Slurm may send to the process that it started, and the guard hands on.
HANDED_ON = (signal.SIGTERM, signal.SIGINT)
#: How long the guard waits for processes that do not die of SIGKILL, because a file system hangs, in seconds.
PATIENCE = 20.0


class Guard:
    """The runner's side of its guard: what it is told, and the runner's own orphans."""

    def __init__(self, writing: int = -1) -> None:
        """``writing`` leads to the guard; there is none in tests."""
        self.writing = writing
        #: Children that somebody waits for: all others are orphans of containers.
        self.known: Set[int] = set()
        self.folders: List[str] = []

    def tell(self, pid: int, alive: bool) -> None:
        """Say that a child of the runner's began, or has ended and was waited for."""
        (self.known.add if alive else self.known.discard)(pid)

    def remove_at_end(self, folder: str) -> None:
        """Say that a folder of the job's is to be removed once its containers are gone."""
        self.folders.append(folder)
        try:
            os.write(self.writing, os.fsencode(folder).hex().encode() + b"\n")
        except OSError:
            pass  # without a guard the runner ends, and removes it

    def reap(self) -> None:
        """Let orphans of containers go that have ended."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None or ended.si_pid in self.known:
                return  # one that somebody waits for is waited for first
            os.waitpid(ended.si_pid, 0)

    def orphans(self, mark: str, table: Dict[int, Running]) -> Set[int]:
        """Return the orphans that began with this variable (NAME=VALUE) in their environment, with all below them."""
        own = os.getpid()
        found = [pid for pid, process in table.items() if process.parent == own and pid not in self.known]
        return below([pid for pid in found if os.fsencode(mark) in environment(pid)], table)

    def end_orphans(self, mark: str) -> None:
        """End these."""
        kill_all(lambda table: self.orphans(mark, table))

    def end_pod(self) -> None:
        """End all containers and then the runner, at once."""
        kill_descendants()
        for folder in self.folders:
            remove_tree(folder)
        os._exit(128 + signal.SIGKILL)


def guarded(run: Callable[[Guard], int]) -> int:
    """Return the exit status of ``run``, which goes on in a child of this process; it stays as the child's guard.

    Both return: the child what ``run`` does, and its guard the same after it. Where the child was killed, the guard
    ends all that it has left, and dies of the same signal.
    """
    reading, writing = os.pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDED_ON)
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)
    guard, runner = os.getpid(), os.fork()
    if runner == 0:
        os.close(reading)
        return run(_begin(guard, Guard(writing)))
    os.close(writing)
    for number in HANDED_ON:
        signal.signal(number, lambda which, _frame: _hand_on(runner, which))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDED_ON)
    with open(reading, encoding="ascii") as told:
        folders = [os.fsdecode(bytes.fromhex(line)) for line in told]
    _, status = os.waitpid(runner, 0)
    for number in HANDED_ON:
        signal.signal(number, signal.SIG_IGN)  # there is nobody left to hand it on to
    _end_descendants()
    for folder in folders:
        remove_tree(folder)
    if os.WIFSIGNALED(status):
        _die_of(os.WTERMSIG(status))
    return os.WEXITSTATUS(status)


def _begin(parent: int, guard: Guard) -> Guard:
    """Be the runner: take in orphans, and end with all below where the guard is killed."""

    def look(_number: int = 0, _frame: object = None) -> None:
        if os.getppid() != parent:
            guard.end_pod()

    signal.signal(GUARD_KILLED, look)
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)
    LIBC.prctl(PR_SET_PDEATHSIG, GUARD_KILLED)
    look()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDED_ON)
    return guard


def _die_of(number: int) -> None:
    """Let Slurm see how the runner ended."""
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _hand_on(runner: int, number: int) -> None:
    try:
        os.kill(runner, number)
    except ProcessLookupError:
        pass  # it has ended, and is about to be waited for


def _end_descendants() -> None:
    """End all that is left below this process, and wait for it: what has lost its parents is our own child."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    deadline = time.monotonic() + PATIENCE
    while True:
        kill_descendants()
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        if time.monotonic() > deadline:
            say("some processes of the pod do not end, not even by SIGKILL; their file system may hang")
            return
        signal.sigtimedwait([signal.SIGCHLD], 0.5)
