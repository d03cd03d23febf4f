"""Which names, paths and words of a pod may become files or variables at the site; the rest is refused by name.

kube-apiserver checks most of this too, but a sidecar's caller need not be one. Called by ``volumes`` and ``build``.
"""

import re

from interlink.core.errors import UnsupportedPod

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_UID = re.compile(r"[0-9A-Za-z][-0-9A-Za-z]{0,62}")
_MAX_SEGMENT_BYTES = 255
#: Half of Linux' PATH_MAX: the other half is left to the folders above.
_MAX_PATH_BYTES = 2048
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: Names that begin so mean something to the container's runtime; it passes them on only where they are identifiers.
_RUNTIMES_OWN = ("APPTAINER", "SINGULARITY", "BASH_", "LD_", "XDG_", "DBUS_", "GLIBC_", "PYTHON")


def check_label(what: str, name: str) -> str:
    """Return ``name`` if it is a DNS label, as names of containers and volumes are; raise UnsupportedPod if not."""
    if not _LABEL.fullmatch(name):
        raise UnsupportedPod(
            f"{what} {name[:80]!r} is no DNS label (lower-case letters, digits and dashes, at most 63)"
        )
    return name


def check_uid(uid: str) -> str:
    """Return the pod's UID if it can name a folder; raise UnsupportedPod if not."""
    if not _UID.fullmatch(uid):
        raise UnsupportedPod(f"the pod's UID {uid[:80]!r} is none: letters, digits and dashes, at most 63")
    return uid


def check_relative(what: str, path: str) -> str:
    """Return a path below a volume if it stays there; raise UnsupportedPod if not.

    A first segment that begins with ``..`` is refused too: those names are the kubelet's own.
    """
    segments = path.split("/")
    if any(segment in ("", ".", "..") for segment in segments) or segments[0].startswith(".."):
        raise UnsupportedPod(
            f'{what} "{path[:200]}" must be a relative path without empty, "." or ".." parts, and not begin with ".."'
        )
    if "\0" in path or any(len(segment.encode(errors="replace")) > _MAX_SEGMENT_BYTES for segment in segments):
        raise UnsupportedPod(f"{what} {path[:80]!r} has a NUL byte or a part of more than {_MAX_SEGMENT_BYTES} bytes")
    if len(path.encode(errors="replace")) > _MAX_PATH_BYTES:
        raise UnsupportedPod(f"{what} {path[:80]!r} is longer than {_MAX_PATH_BYTES} bytes")
    return path


def check_absolute(what: str, path: str) -> str:
    """Return a path inside a container if it is absolute and has no ``..`` part; raise UnsupportedPod if not."""
    if not path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise UnsupportedPod(f'{what} {path[:200]!r} must be an absolute path without ".." parts')
    return path


def check_text(what: str, text: str) -> str:
    """Return text that can be an argument or an environment value; raise UnsupportedPod if it has a NUL byte."""
    if "\0" in text:
        raise UnsupportedPod(f"{what} has a NUL byte, which no process can be given")
    return text


def check_variable(where: str, name: str, value: str) -> None:
    """Raise UnsupportedPod for an environment variable that cannot be given to a container, or to it alone."""
    check_text(f"{where}: variable {name[:60]!r}", name + value)
    if not name or "=" in name:
        raise UnsupportedPod(f'{where}: {name[:60]!r} is no name of a variable (empty, or with "=")')
    if name.startswith(_RUNTIMES_OWN) and not _IDENTIFIER.fullmatch(name):
        raise UnsupportedPod(
            f"{where}: variable {name[:60]!r} would reach the site's container runtime: a name that begins like this "
            "can have letters, digits and underscores only"
        )
