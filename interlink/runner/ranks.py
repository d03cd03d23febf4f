"""One node's part of a container across a job: its process beside the tasks, and the tasks. Verbs of ``mpi.py``.

The node's process makes the node's container by a program that waits in it, and keeps it until all is over; each task
asks it where to go, and enters. So tasks share what MPI's shared memory and process_vm_readv(2) need, none of them
carries the others' image, and a task is what the launcher started, with nothing between. SIGTERM comes to exactly the
tasks, as a kubelet sends it to a container's first process, by whatever launcher they were started.
"""

import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from typing import Any, Dict, List, NoReturn, Optional, Set, Tuple

from interlink.runner.enter import Entry, become, environment_of, namespace, process_inside
from interlink.runner.files import RunnerError
from interlink.runner.processes import Running, below, die_with_parent, kill_all, kill_session, started
from interlink.runner.runtimes import Launch
from interlink.runner.shield import helpers, shield

#: How the variables begin by which a launcher tells each task who it is (PMI and PMIx; Open MPI; MPICH; Intel MPI;
#: MVAPICH; Slurm).
TOLD = ("PMI", "OMPI_", "PRTE_", "MPI_", "MPICH_", "HYDI_", "I_MPI_", "MV2_", "SLURM_")
#: What the nodes' processes are told by their input, and what they say by their output, a line each.
END = b"end\n"
READY, ASKED, GONE = b"ready", b"asked", b"gone"
#: What a node's guard is told where all goes well.
OVER = b"over\n"
#: struct ucred of socket(7): process, user, group.
CREDENTIALS = struct.Struct("3i")


def node(content: Dict[str, Any]) -> int:
    """Keep this node's container, and end its tasks when told to; return the exit status. Raises OSError, RunnerError.

    The input is over when whoever started this has ended, in whatever way: then nothing of the container is left.
    """
    keeper = _Node(content)
    try:
        keeper.hold()
        return keeper.run()
    except (OSError, RunnerError):
        _say(GONE)
        raise
    finally:
        keeper.end()


def task(content: Dict[str, Any]) -> NoReturn:
    """Become the container on one task, or end as if told, where the end was asked for. Raises OSError, RunnerError."""
    told = {name: value for name, value in os.environ.items() if name.startswith(TOLD)}
    launch = Launch(*content["task"])
    answer = _register(content["socket"])
    if answer["ended"]:
        sys.exit(128 + signal.SIGTERM)
    inside = answer["inside"]
    # A container's variables are those that its runtime gave the program that waits in it, with the pod's as given.
    of_container = {} if inside is None else environment_of(inside)
    environment = {**of_container, **launch.environment, **told}
    become(Entry(launch._replace(environment=environment), inside))


def _register(name: str) -> Dict[str, Any]:
    """Tell this node's process of this task, by its id, and return the answer. Raises OSError, RunnerError."""
    with socket.socket(socket.AF_UNIX) as link:
        try:
            link.connect("\0" + name)
        except ConnectionRefusedError as error:
            raise RunnerError("{} has no process of the pod beside its tasks".format(socket.gethostname())) from error
        _, user, _ = _peer(link)
        if user != os.geteuid():
            raise RunnerError("the process beside the tasks is another user's")
        with link.makefile("rb") as answers:
            answer = answers.readline()
    if not answer:
        raise RunnerError("the process beside the tasks has ended")
    return dict(json.loads(os.fsdecode(answer)))


class _Node:
    """The process beside the tasks of one node."""

    def __init__(self, content: Dict[str, Any]) -> None:
        self.holder: "Optional[subprocess.Popen[bytes]]" = None
        #: The process that waits in the container, and the container's user namespace.
        self.inside: Optional[int] = None
        self.space: Optional[str] = None
        self.ended = False
        #: The tasks: process id and when that began.
        self.tasks: List[Tuple[int, int]] = []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind("\0" + content["socket"])
        self.socket.listen(128)
        self.wakeup, waker = os.pipe()
        for descriptor in (self.wakeup, waker):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(waker)
        self.asked = False
        self.guard = -1
        signal.signal(signal.SIGTERM, self._ask)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        self._holder = content["holder"]
        self.deaf = Launch(*content["task"]).deaf

    def run(self) -> int:
        """Serve until the input is over; return the exit status."""
        self._set_guard()
        _say(READY)
        waiting = select.poll()
        for descriptor in (0, self.socket.fileno(), self.wakeup):
            waiting.register(descriptor, select.POLLIN)
        while True:
            for descriptor, _ in waiting.poll():
                if descriptor == self.wakeup:
                    os.read(self.wakeup, 4096)
                elif descriptor == self.socket.fileno():
                    self._admit()
                elif not os.read(0, 4096):
                    self._tell_guard(OVER)
                    return 0
                else:
                    self._ask_tasks()
            if self.asked:
                self.asked = False
                _say(ASKED)
            if self.holder is not None and self.holder.poll() is not None:
                raise RunnerError("the container on {} has ended before its tasks".format(socket.gethostname()))

    def end(self) -> None:
        """End all that is left of the tasks, and then the container."""
        self.ended = True
        kill_all(self._everything)
        if self.holder is not None:
            kill_session(self.holder.pid)
            self.holder.wait()

    def hold(self) -> None:
        """Make the container, where tasks share one, and find what waits in it. Raises OSError, RunnerError."""
        if self._holder is None:
            return
        launch = Launch(*self._holder)
        # No input of its own ends it but ours.
        self.holder = subprocess.Popen(
            launch.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=launch.environment, cwd=launch.folder,
            start_new_session=True, preexec_fn=die_with_parent,
        )  # fmt: skip
        assert self.holder.stdout is not None
        said = self.holder.stdout.readline()
        self.inside = process_inside(self.holder.pid) if said else None
        if self.inside is None:
            raise RunnerError("the container cannot be made on {}".format(socket.gethostname()))
        self.space = namespace(str(self.inside), "user")
        shield(helpers(self.holder.pid))

    def _set_guard(self) -> None:
        """Have a process that ends the tasks where this one is killed, and says so; srun waits half a minute."""
        reading, self.guard = os.pipe()
        if os.fork() != 0:
            os.close(reading)
            return
        try:
            os.setsid()
            os.close(self.guard)
            self.socket.close()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            with open(reading, "rb") as told:
                lines = told.read().splitlines(True)
            if OVER not in lines:
                _say(GONE)
                self.tasks = [(int(pid), int(began)) for pid, began in map(bytes.split, lines)]
                self.end()
        finally:
            os._exit(0)

    def _tell_guard(self, line: bytes) -> None:
        try:
            os.write(self.guard, line)
        except BrokenPipeError:
            pass  # somebody ended the guard

    def _ask(self, _number: int, _frame: object) -> None:
        self.asked = True

    def _admit(self) -> None:
        """Take a task, and say where its container is; one that comes after the end was asked for does not begin."""
        link, _ = self.socket.accept()
        with link:
            pid, user, _ = _peer(link)
            began = started(pid)
            if user != os.geteuid() or began is None:
                return
            self.tasks.append((pid, began))
            self._tell_guard("{} {}\n".format(pid, began).encode("ascii"))
            answer = {"inside": self.inside, "ended": self.ended}
            link.sendall(json.dumps(answer).encode("ascii") + b"\n")

    def _ask_tasks(self) -> None:
        """Send SIGTERM to each task, once; to the container's own process where its runtime's does not hand it on."""
        self.ended = True
        for pid in self._living():
            inside = process_inside(pid) if self.deaf else None
            try:
                os.kill(inside or pid, signal.SIGTERM)
            except ProcessLookupError:
                pass  # it ended by itself meanwhile

    def _living(self) -> List[int]:
        return [pid for pid, began in self.tasks if started(pid) == began]

    def _everything(self, table: Dict[int, Running]) -> Set[int]:
        """Return the tasks, what they started, and whatever else is in the container's user namespace."""
        entered = [pid for pid in table if self.space is not None and namespace(str(pid), "user") == self.space]
        own = None if self.holder is None else self.holder.pid
        return {pid for pid in below([*self._living(), *entered], table) if pid in table and table[pid].session != own}


def _peer(link: socket.socket) -> Tuple[int, int, int]:
    """Return who is at the other end: process, user, group."""
    raw = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    process, user, group = CREDENTIALS.unpack(raw)
    return process, user, group


def _say(word: bytes) -> None:
    os.write(sys.stdout.fileno(), word + b"\n")
