"""A path that a container shall see, said so that nobody can swap a part of it between the look and the mount.

A place is a root that no pod can move, and plain names below it. ``descend`` opens them one by one without following a
link: what it opens is what was meant, or it fails (the kubelet's answer to CVE-2021-25741). Pure path work; ``site.py``
and ``volumes.py`` make places, ``stage.py`` mounts them.
"""

import errno
import os
import stat
from typing import NamedTuple, Sequence, Tuple

from interlink.runner.files import RunnerError


class Place(NamedTuple):
    """``parts`` lie below ``root``, each in the one before, and none of them is a link."""

    root: str
    parts: Tuple[str, ...] = ()
    read_only: bool = False
    #: Whether nobody who could want to can put another thing in the place of a part.
    settled: bool = True

    @property
    def path(self) -> str:
        """The whole path."""
        return os.path.join(self.root, *self.parts)


def is_below(path: str, folder: str) -> bool:
    """Return whether a resolved path is the folder or lies in it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def parts_below(path: str, folder: str) -> Tuple[str, ...]:
    """Return the names that lead from the folder to the path."""
    return tuple(part for part in path[len(folder.rstrip("/")) :].split("/") if part)


def descend(root: str, parts: Sequence[str], make: int = 0) -> int:
    """Return a descriptor (O_PATH) of what lies there; missing folders are made with the mode ``make``.

    Raises OSError, with ELOOP where a part is a link.
    """
    here = os.open(root, os.O_PATH | os.O_DIRECTORY)
    for number, part in enumerate(parts):
        try:
            below = _open(part, here, make)
            last = number + 1 == len(parts)
            kind = os.fstat(below).st_mode
            if stat.S_ISLNK(kind) or not (last or stat.S_ISDIR(kind)):
                os.close(below)
                code = errno.ELOOP if stat.S_ISLNK(kind) else errno.ENOTDIR
                raise OSError(code, os.strerror(code), os.path.join(root, *parts[: number + 1]))
        finally:
            os.close(here)
        here = below
    return here


def _open(part: str, folder: int, make: int) -> int:
    try:
        return os.open(part, os.O_PATH | os.O_NOFOLLOW, dir_fd=folder)
    except FileNotFoundError:
        if not make:
            raise
        umask = os.umask(0)
        try:
            os.mkdir(part, make, dir_fd=folder)
        except FileExistsError:
            pass  # another container was quicker
        finally:
            os.umask(umask)
        return os.open(part, os.O_PATH | os.O_NOFOLLOW, dir_fd=folder)


def sub_place(place: Place, sub_path: str, volume: str, make: int, settled: bool) -> Place:
    """Return the place of a subPath, whose missing folders are made with the mode ``make`` (0: nothing is made).

    A link in it is followed as long as it stays in the volume. Raises RunnerError.
    """
    path = os.path.realpath(os.path.join(place.path, sub_path))
    if not is_below(path, place.path):
        raise RunnerError("subPath {!r} leads out of volume {}".format(sub_path, volume))
    parts = place.parts + parts_below(path, place.path)
    try:
        os.close(descend(place.root, parts, make))
    except OSError as error:
        raise RunnerError("subPath {!r} of volume {}: {}".format(sub_path, volume, error.strerror)) from error
    return place._replace(parts=parts, settled=settled)
