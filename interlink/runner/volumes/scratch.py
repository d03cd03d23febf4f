"""Folders of the job's own on a node's file system (/dev/shm, a local scratch), gone with the job whatever kills it.

The runner removes its folder at its end, the guard after a runner that was killed, and where the guard was killed too,
the next job of the same user does: a folder whose lock nobody holds belongs to nobody.
"""

import fcntl
import os
import tempfile
from typing import TYPE_CHECKING

from interlink.runner.files import remove_tree

if TYPE_CHECKING:
    from interlink.runner.guard import Guard

#: With the node's name: nodes that share a folder do not always see each other's locks.
PREFIX = "interlink-{}-".format(os.uname().nodename)


class Scratch:
    """One such folder, of mode 0700. The constructor raises OSError."""

    def __init__(self, parent: str, guard: "Guard") -> None:
        sweep(parent)
        self._lock = -1
        while self._lock < 0:
            self.folder = tempfile.mkdtemp(prefix=PREFIX, dir=parent)
            self._lock = _locked(self.folder)
        guard.remove_at_end(self.folder)

    def remove(self) -> None:
        """Remove it with all in it."""
        remove_tree(self.folder)
        os.close(self._lock)


def _locked(folder: str) -> int:
    """Return the descriptor that holds the folder's lock, -1 where another job swept it away before we had it."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return -1
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError:
        return lock  # a file system without locks: then nobody sweeps there either
    if os.fstat(lock).st_nlink:
        return lock
    os.close(lock)
    return -1


def sweep(parent: str) -> None:
    """Remove what killed jobs of this user have left in ``parent``."""
    for name in os.listdir(parent):
        path = os.path.join(parent, name)
        if not name.startswith(PREFIX):
            continue
        try:
            found = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue  # another user's, or gone by now
        try:
            if os.fstat(found).st_uid == os.getuid():
                fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove_tree(path)
        except OSError:
            pass  # its job lives, or the file system has no locks
        finally:
            os.close(found)
