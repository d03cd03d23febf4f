"""Binds of places that others could swap: made by descriptor, in a mount namespace of the container's own.

A runtime takes paths, and looks them up when it mounts: by then another pod could have put a link there. So the
container's process enters a user and mount namespace first, mounts each place by an opened descriptor below a private
tmpfs, and the runtime binds from there. Needs user namespaces; the runtime's own nest in them (user_namespaces(7)).
"""

import ctypes
import os
import stat
from typing import List, Optional

from interlink.runner.files import as_utf8, words
from interlink.runner.processes import LIBC
from interlink.runner.volumes.places import Place, descend

# linux/sched.h, linux/mount.h
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_BIND, MS_REC = 0x1000, 0x4000


class Stage:
    """The staged places of one start of one container."""

    def __init__(self, folder: str) -> None:
        #: An empty folder; what is mounted over it only the container's own processes see.
        self.folder = folder
        self._places: List[Place] = []
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)

    def add(self, place: Place) -> str:
        """Return the path where the place will be, once ``enter`` was called."""
        self._places.append(place)
        return os.path.join(self.folder, str(len(self._places) - 1))

    def enter(self) -> None:
        """Enter the namespaces and mount: in the container's process, between fork and exec. Raises OSError."""
        try:
            enter_namespaces()
            _mount("tmpfs", self.folder, "tmpfs", 0, "mode=0700,size=1m")
            for number, place in enumerate(self._places):
                self._bind(place, os.path.join(self.folder, str(number)))
        except OSError as error:
            os.write(self._writing, as_utf8(words(error)))
            raise

    def fault(self) -> str:
        """Return why ``enter`` failed, in the runner; empty if it did not."""
        try:
            return os.fsdecode(os.read(self._reading, 4096))
        except BlockingIOError:
            return ""

    def close(self) -> None:
        """Let go of the pipe, in the runner."""
        os.close(self._writing)
        os.close(self._reading)

    @staticmethod
    def _bind(place: Place, target: str) -> None:
        source = descend(place.root, place.parts)
        if stat.S_ISDIR(os.fstat(source).st_mode):
            os.mkdir(target)
        else:
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        # Recursive: what is mounted below belongs to it, and an unprivileged bind may not uncover what lies there.
        _mount("/proc/self/fd/{}".format(source), target, None, MS_BIND | MS_REC, None)
        os.close(source)


def enter_namespaces() -> None:
    """Enter a user and a mount namespace in which this user stays who it is. Raises OSError."""
    user, group = os.getuid(), os.getgid()
    if LIBC.unshare(CLONE_NEWUSER | CLONE_NEWNS):
        _fail("user namespaces")
    for name, text in (("setgroups", "deny"), ("uid_map", "{0} {0} 1"), ("gid_map", "{1} {1} 1")):
        with open("/proc/self/" + name, "w", encoding="ascii") as file:
            file.write(text.format(user, group))


def can_stage() -> bool:
    """Return whether this node lets an ordinary user have namespaces: tried, in a process of its own."""
    child = os.fork()
    if child == 0:
        try:
            enter_namespaces()
            os._exit(0)
        except OSError:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def _mount(source: str, target: str, kind: "Optional[str]", flags: int, data: "Optional[str]") -> None:
    """mount(2). Raises OSError."""
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    if LIBC.mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3]):
        _fail(target)


def _fail(what: str) -> None:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number), what)
