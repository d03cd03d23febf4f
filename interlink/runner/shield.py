"""Keeps Slurm's signals from the helpers that serve a container its image, so that it can use its grace period.

A container runtime without set-user-id mounts an image by a helper (squashfuse, fuse-overlayfs), which ends at SIGTERM:
what the container has not read by then it can never read (SIGBUS). Where a site tracks processes by their parents
(proctrack/linuxproc, pgid), Slurm sends SIGTERM to all of a job's processes, helpers included, when it cancels or
preempts the job; with proctrack/cgroup only to the runner. Apptainer sets signal masks itself, so that a helper cannot
inherit one from us; ptrace(2) sets it from outside, and whoever made a user namespace may do that to what runs in it.
Called by ``container.py``, and by ``ranks.py`` on each node.
"""

import ctypes
import os
import signal
from typing import TYPE_CHECKING, List, Set

from interlink.runner.enter import process_inside
from interlink.runner.files import say, words
from interlink.runner.processes import LIBC, die_with_parent, running

if TYPE_CHECKING:
    from interlink.runner.guard import Guard
    from interlink.runner.process import Process

# sys/ptrace.h
_DETACH, _SEIZE, _INTERRUPT, _GET_MASK, _SET_MASK = 17, 0x4206, 0x4207, 0x420A, 0x420B
#: waitpid(2): for threads too.
_WALL = 0x40000000
#: What Slurm, or somebody by scancel, may send; suspending and SIGKILL stay.
_KEPT_OUT = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
#: The kernel's side of a file system that a process serves.
DEVICE = "/dev/fuse"
#: How often the helpers are looked for, and for how long, in seconds; they are there before the container's command.
LOOK, PATIENCE = 0.1, 60.0
#: A helper that hangs on its own file is not waited for longer, in seconds.
_LIMIT = 10


class Shield:
    """Shields the helpers of one run of a container, once they are there."""

    def __init__(self, process: "Process", clock: float, guard: "Guard") -> None:
        """Look until the container's own process is there."""
        self.process, self.guard = process, guard
        self.look_at, self.patient_until = clock, clock + PATIENCE
        self.done = False
        self._child = 0

    def step(self, clock: float) -> None:
        """Look, if it is time."""
        if self._child:
            if os.waitpid(self._child, os.WNOHANG)[0]:
                self._forget_child()
        elif not self.done and clock >= self.look_at:
            self.look_at = clock + LOOK
            # In this order: a helper that is not there then does not come any more.
            self.done = process_inside(self.process.top) is not None or clock >= self.patient_until
            if self.done:
                self._begin(helpers(self.process.pid))

    def times(self) -> List[float]:
        """Return when there is something to do."""
        return [] if self.done else [self.look_at]

    def _begin(self, found: List[int]) -> None:
        """Shield them in a process of its own, which may wait for one that hangs."""
        self._child = os.fork() if found else 0
        if found and not self._child:
            try:
                die_with_parent()
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(_LIMIT)
                shield(found)
            finally:
                os._exit(0)
        if self._child:
            self.guard.tell(self._child, alive=True)

    def _forget_child(self) -> None:
        self.guard.tell(self._child, alive=False)
        self._child = 0

    def cancel(self) -> None:
        """Look no more, and let go of a helper that hangs."""
        self.done = True
        if self._child:
            os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)
            self._forget_child()


def helpers(leader: int) -> List[int]:
    """Return the processes of a session that serve a file system, but not its leader, nor what is in the container."""
    members = [pid for pid, process in running().items() if process.session == leader]
    return [pid for pid in members if pid != leader and _serves(pid) and not _is_inside(pid)]


def shield(pids: List[int]) -> None:
    """Block Slurm's signals in all threads of processes; what cannot be done is said in the job's log."""
    for pid in pids:
        try:
            _block_all(pid)
        except OSError as error:
            say("process {}, which serves a container its image, hears Slurm's signals: {}".format(pid, words(error)))


def _block_all(pid: int) -> None:
    """Add to the masks of all threads; one that begins meanwhile has its mask from one that was seen or not."""
    seen: Set[str] = set()
    while True:
        new = set(os.listdir("/proc/{}/task".format(pid))) - seen
        if not new:
            return
        for thread in new:
            try:
                _block(int(thread))
            except ProcessLookupError:
                pass  # it has ended
        seen |= new


def _block(thread: int) -> None:
    """Add to a thread's mask. Raises OSError."""
    mask = ctypes.c_uint64()
    size = ctypes.sizeof(mask)
    _ptrace(_SEIZE, thread, 0, 0)
    try:
        _ptrace(_INTERRUPT, thread, 0, 0)
        os.waitpid(thread, _WALL)
        _ptrace(_GET_MASK, thread, size, ctypes.addressof(mask))
        for number in _KEPT_OUT:
            mask.value |= 1 << (number - 1)
        _ptrace(_SET_MASK, thread, size, ctypes.addressof(mask))
    finally:
        _ptrace(_DETACH, thread, 0, 0)


def _ptrace(request: int, thread: int, address: int, data: int) -> None:
    if LIBC.ptrace(ctypes.c_long(request), ctypes.c_long(thread), ctypes.c_void_p(address), ctypes.c_void_p(data)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, "ptrace: " + os.strerror(number))


def _serves(pid: int) -> bool:
    """Whether a process serves a file system."""
    folder = "/proc/{}/fd".format(pid)
    try:
        return any(_target(os.path.join(folder, name)) == DEVICE for name in os.listdir(folder))
    except OSError:
        return False  # it has ended, or is another user's


def _is_inside(pid: int) -> bool:
    """Whether a process has another root than ours: it is the container's own."""
    try:
        own, ours = os.stat("/proc/{}/root/".format(pid)), os.stat("/")
    except OSError:
        return True
    return (own.st_dev, own.st_ino) != (ours.st_dev, ours.st_ino)


def _target(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
