"""Volumes that are paths of the site (hostPath, persistentVolumeClaim), judged on the node that mounts them.

The sidecar has checked the text of the path against the administrator's list; here its links are followed, and what
comes out must be on that list too. Called by ``volumes.py`` at each start of a container that mounts one.
"""

import os
import pwd
import stat
from typing import Any, Dict, List, Optional, Tuple

from interlink.runner.files import RunnerError
from interlink.runner.volumes.places import Place, descend, is_below, parts_below

#: The kernel's own file systems: only a list that names (a part of) one opens it.
KERNELS_OWN = ("/proc", "/sys", "/dev")
#: v1.HostPathType: what the kubelet calls what is expected, and the test for it.
TYPES = {
    "Directory": ("a directory", stat.S_ISDIR),
    "DirectoryOrCreate": ("a directory", stat.S_ISDIR),
    "File": ("a file", stat.S_ISREG),
    "FileOrCreate": ("a file", stat.S_ISREG),
    "Socket": ("a socket file", stat.S_ISSOCK),
    "CharDevice": ("a character device", stat.S_ISCHR),
    "BlockDevice": ("a block device", stat.S_ISBLK),
}


def site_place(volume: Dict[str, Any], protected: List[str]) -> Place:
    """Return the place of a volume of kind ``path``; made where its type says so.

    ``protected`` are folders that no container may see. Raises RunnerError.
    """
    what = _what(volume)
    path = volume["path"]
    if volume.get("claim"):
        path = path.replace("{user}", pwd.getpwuid(os.getuid()).pw_name)
    real = os.path.realpath(path)
    root, read_only = _root(volume, real, what)
    _check_protected(real, protected, what)
    parts = parts_below(real, root)
    if not parts and not os.path.isdir(root):
        root, parts = os.path.dirname(root), (os.path.basename(root),)  # a file or device that is allowed by itself
    kind = volume.get("pathType", "")
    try:
        found = _open(root, parts, kind, 0o700 if volume.get("claim") else 0o755)
    except OSError as error:
        raise RunnerError("{}: {} on {}: {}".format(what, path, os.uname().nodename, error.strerror)) from error
    try:
        mode = os.fstat(found).st_mode
    finally:
        os.close(found)
    if kind in TYPES and not TYPES[kind][1](mode):
        raise RunnerError("{}: {} is not {}".format(what, path, TYPES[kind][0]))
    return Place(root, parts, read_only or bool(volume.get("readOnly")), is_settled(root, parts))


def _what(volume: Dict[str, Any]) -> str:
    """Return the beginning of all that is said of the volume, in the kubelet's words for a hostPath."""
    if volume.get("claim"):
        return 'persistentVolumeClaim "{}"'.format(volume["claim"])
    return "hostPath type check failed"


def _root(volume: Dict[str, Any], real: str, what: str) -> Tuple[str, bool]:
    """Return the allowed folder that the resolved path lies in, the narrowest of them, and whether it is read-only."""
    found = []
    for allowed in volume.get("allowed", ()):
        root = os.path.realpath(allowed["path"])
        if is_below(real, root) and all(is_below(root, own) for own in KERNELS_OWN if is_below(real, own)):
            found.append((root, bool(allowed.get("readOnly"))))
    if not found:
        raise RunnerError(
            "{}: {} leads to {}, which the site's administrator has not allowed".format(what, volume["path"], real)
        )
    return max(found, key=lambda entry: len(entry[0]))


def _check_protected(real: str, protected: List[str], what: str) -> None:
    """Refuse the sidecar's own folders, what lies in them, and what they lie in; by their inodes too (bind mounts)."""
    own = [os.path.realpath(folder) for folder in protected]
    inodes = {_inode(folder) for folder in own} - {None}
    here = real
    while here != "/":
        if _inode(here) in inodes:
            own.append(here)
        here = os.path.dirname(here)
    for folder in own:
        if is_below(real, folder) or is_below(folder, real):
            raise RunnerError("{}: {} would show other pods' files, in {}".format(what, real, folder))


def _inode(path: str) -> "Optional[Tuple[int, int]]":
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _open(root: str, parts: Tuple[str, ...], kind: str, mode: int) -> int:
    """Open the path; ``…OrCreate`` makes what is missing, a file only in a folder that is there. Raises OSError."""
    if kind == "FileOrCreate":
        try:
            return descend(root, parts)
        except FileNotFoundError:
            folder = descend(root, parts[:-1])
            try:
                os.close(os.open(parts[-1], os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o644, dir_fd=folder))
            finally:
                os.close(folder)
    return descend(root, parts, mode if kind == "DirectoryOrCreate" else 0)


def is_settled(root: str, parts: Tuple[str, ...]) -> bool:
    """Return whether only root could put another thing into the place of a part: root's folders, closed to others."""
    path = root
    for part in parts:
        folder = os.stat(path)
        if folder.st_uid != 0 or folder.st_mode & 0o022:
            return False
        path = os.path.join(path, part)
    return True
