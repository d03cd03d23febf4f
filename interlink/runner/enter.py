"""How a command gets into a running container: a child of ours joins the namespaces of the container's first process.

Used by probes and hooks, and made for exec and attach, which come from a step of the same job: it takes the process id
that the runner started and the container's variables, no more. Joining took 5 ms where apptainer's instances take
130 ms, and works for every runtime with user namespaces. Invariant: no program of the host is ever started with
variables of the container (its LD_PRELOAD would run outside): the child joins first, and what it then executes is the
container's own.
"""

import ctypes
import os
from typing import Dict, List, NamedTuple, NoReturn, Optional

from interlink.runner.files import RunnerError, as_utf8, words
from interlink.runner.processes import LIBC, die_with_parent
from interlink.runner.runtimes import Launch

#: In the order of joining: the user namespace gives the right to join the others.
_NAMESPACES = ("user", "mnt", "ipc", "uts", "net", "cgroup", "pid")
PROC = "/proc"
_FALLBACK_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PR_SET_NO_NEW_PRIVS = 38
#: What apptainer runs inside before the container's own command: it has not all of the container's variables yet.
_BEFORE_THE_COMMAND = b"/.singularity.d/actions/"
#: As a shell and a container runtime say it.
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126


class Entry(NamedTuple):
    """A command, and the process whose namespaces it joins first (None: it starts as ``launch`` says, out here)."""

    launch: Launch
    inside: Optional[int] = None


def entry(pid: Optional[int], argv: List[str], values: Optional[Dict[str, str]] = None) -> Entry:
    """Return how ``argv`` starts inside the container whose process is ``pid`` or below it; None is not known yet.

    It has the first process's variables, with ``values`` (the image's and the pod's) as they were given: the first
    process may have changed them. Raises RunnerError where the container has no process inside (any more), and where
    nobody may join it.
    """
    inside = process_inside(pid)
    if inside is None:
        raise RunnerError("the container has no process to join: it is starting or ending, or its runtime hides it")
    if os.geteuid() != 0 and "user" not in _foreign(inside):
        raise RunnerError(
            "the site's container runtime makes containers without user namespaces (it is installed setuid), which "
            "nobody but root can enter; its administrator can add --userns to SingularityDefaultOptions"
        )
    return Entry(Launch(argv, {**environment_of(inside), **(values or {})}), inside)


def execute(what: Entry) -> NoReturn:
    """Become the command; called in a forked child whose parent waits for it. Never returns."""
    if what.inside is not None:
        try:
            os.sched_setaffinity(0, os.sched_getaffinity(what.inside))  # its share of the job's CPUs (cpus.py)
        except OSError:
            pass  # this step has others
        joined = _join_or_end(what.inside)
        die_with_parent()  # again: the change of credentials forgot it
        if "pid" in joined:
            _go_on_in_a_child()
    _become(what)


def become(what: Entry) -> NoReturn:
    """Become the command in this very process, whose id and parent a launcher of tasks counts on. Never returns.

    The container has no process ids of its own: nobody gets those but a child.
    """
    if what.inside is not None:
        _join_or_end(what.inside)
    _become(what)


def _become(what: Entry) -> NoReturn:
    status = _NOT_EXECUTABLE
    try:
        if what.inside is None and what.launch.folder is not None:
            os.chdir(what.launch.folder)
        os.execvpe(what.launch.argv[0], what.launch.argv, what.launch.environment)  # noqa: S606 - no shell is the point
    except FileNotFoundError:
        status = _NOT_FOUND
        os.write(2, as_utf8("{}: no such file in the container\n".format(what.launch.argv[0])))
    except (OSError, ValueError) as error:
        os.write(2, as_utf8("{}: {}\n".format(what.launch.argv[0], words(error))))
    os._exit(status)


def process_inside(pid: Optional[int]) -> Optional[int]:
    """Return the first process below ``pid``, or itself, that runs a program of a container; None where there is none.

    A container's file system may be FUSE's, which lets nobody outside look into it: that tells it apart as well.
    """
    if pid is None:
        return None
    tree = _children() if os.path.exists("{}/{}".format(PROC, pid)) else {}
    #: Each with the mount namespace in which its parent prepares, empty where that is out here.
    waiting = [(pid, "")]
    while waiting:
        candidate, prepared = waiting.pop(0)
        space = namespace(str(candidate), "mnt") or ""
        is_inside = space != namespace("self", "mnt") and _has_other_root(candidate)
        if is_inside and space == prepared:
            continue  # its parent will become the command; this is a helper, as apptainer's and images' scripts have
        if is_inside and _runs_what_is_inside(candidate) and not _is_before_the_command(candidate):
            return candidate
        waiting += [(child, space if is_inside else "") for child in tree.get(candidate, ())]
    return None


def environment_of(pid: int) -> Dict[str, str]:
    """Return the environment that a process began with. Raises RunnerError where it has ended."""
    try:
        with open("/proc/{}/environ".format(pid), "rb") as file:
            pairs = [pair.partition(b"=") for pair in file.read().split(b"\0") if b"=" in pair]
    except OSError as error:
        raise RunnerError("the container's process has ended") from error
    found = {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}
    found.setdefault("PATH", _FALLBACK_PATH)
    return found


def _join_or_end(pid: int) -> List[str]:
    """Join a container, and return which namespaces of it were not ours; say why not, and end, where that fails."""
    try:
        return _join(pid)
    except OSError as error:
        os.write(2, as_utf8("the container cannot be joined: {}\n".format(words(error))))
        os._exit(_NOT_EXECUTABLE)


def _join(pid: int) -> List[str]:
    """Join a process's namespaces, root and working folder. Raises OSError."""
    foreign = _foreign(pid)
    spaces = [(name, os.open("/proc/{}/ns/{}".format(pid, name), os.O_RDONLY)) for name in foreign]
    # O_PATH: a FUSE file system lets nobody open a folder who has not joined yet.
    root, folder = (os.open("/proc/{}/{}".format(pid, name), os.O_PATH) for name in ("root", "cwd"))
    for name, space in spaces:
        if LIBC.setns(space, 0) != 0:
            number = ctypes.get_errno()
            raise OSError(number, "cannot join the container's {} namespace: {}".format(name, os.strerror(number)))
    os.chdir(root)
    os.chroot(".")
    os.chdir(folder)
    LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)  # as the container's own processes: nothing set-user-id
    return foreign


def _go_on_in_a_child() -> None:
    """Return in a child, and end with it: only children get the process ids of a namespace that was joined."""
    child = os.fork()
    if child != 0:
        _, status = os.waitpid(child, 0)
        os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
    die_with_parent()


def _foreign(pid: int) -> List[str]:
    """Return the namespaces of a process that are not ours; none for one that has ended."""
    found = [(name, namespace(str(pid), name)) for name in _NAMESPACES]
    return [name for name, space in found if space is not None and space != namespace("self", name)]


def namespace(pid: str, name: str) -> Optional[str]:
    """Return which namespace of a kind a process ("self": this one) is in, None where it has ended."""
    try:
        return os.readlink("{}/{}/ns/{}".format(PROC, pid, name))
    except OSError:
        return None


def _has_other_root(pid: int) -> bool:
    """Whether a process has the container's root: a runtime's own helpers still have the host's."""
    try:
        own = os.stat("{}/{}/root/".format(PROC, pid))
    except PermissionError:
        return namespace(str(pid), "mnt") is not None  # the process is ours, its root is not
    except OSError:
        return False
    return not _is_same(own, os.stat("/"))


def _runs_what_is_inside(pid: int) -> bool:
    """Whether a process executes a file that is there inside, and not a runtime's own program that entered first."""
    try:
        root, path = (os.readlink("{}/{}/{}".format(PROC, pid, name)) for name in ("root", "exe"))
        own = os.stat("{}/{}/exe".format(PROC, pid))
    except PermissionError:
        return True
    except OSError:
        return False
    inside = path[len(root) :] if root != "/" and path.startswith(root + "/") else path  # chroot: its root is a folder
    try:
        return _is_same(own, os.stat("{}/{}/root{}".format(PROC, pid, inside)))
    except PermissionError:
        # It runs what can be seen out here: a program on a volume, or the runtime's, maybe a copy without a name.
        nameless = path == "/" or path.startswith("/memfd:")
        return not nameless and not (os.path.exists(path) and _is_same(own, os.stat(path)))
    except OSError:
        return False


def _is_same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


def _is_before_the_command(pid: int) -> bool:
    """Whether a process inside only prepares for the container's command; the kernel shows no words during an exec."""
    try:
        with open("{}/{}/cmdline".format(PROC, pid), "rb") as file:
            line = file.read().split(b"\0")
    except OSError:
        return True
    return line == [b""] or any(word.startswith(_BEFORE_THE_COMMAND) for word in line[:2])


def _children() -> Dict[int, List[int]]:
    """Return every process's children, eldest first, from one look at /proc."""
    found: Dict[int, List[int]] = {}
    for pid in sorted(map(int, filter(str.isdigit, os.listdir(PROC)))):
        try:
            with open("{}/{}/stat".format(PROC, pid), "rb") as file:
                parent = int(file.read().rpartition(b")")[2].split()[1])
        except OSError:
            continue  # it has ended meanwhile
        found.setdefault(parent, []).append(pid)
    return found
