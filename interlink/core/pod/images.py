"""A container's image as the runtime takes it, and when it is pulled. Called by ``build``.

A path is judged by its text here; whether it is an image file the runner sees on the node (``runner/images/``).
"""

import posixpath
from typing import Literal

from interlink.core.errors import UnsupportedPod
from interlink.wire.pod import Container

#: Where an image may come from. ``instance://`` is not among them: it would enter another pod's container.
_SCHEMES = frozenset({"docker", "oras", "library", "shub", "http", "https"})
_KERNELS_OWN = ("/proc/", "/sys/", "/dev/")


def image_name(where: str, image: str, prefix: str, own: str) -> str:
    """Return the image as the runtime takes it: a path or an address as it is, any other name behind ``prefix``.

    Raises UnsupportedPod for a name that would be an option or another pod's container, and for a path that would show
    a container the sidecar's folder (``own``: jobs, reports, cached images, runner) or the kernel's own file systems.
    """
    name = image.strip()
    if not name or name.startswith("-") or any(ord(letter) <= 32 for letter in name):
        raise UnsupportedPod(f"{where}: {image[:200]!r} is no image name")
    if not name.startswith("/") and "://" in name:
        scheme = name.split("://", 1)[0]
        if scheme not in _SCHEMES:
            raise UnsupportedPod(f'{where}: images cannot come from "{scheme[:60]}://"')
    elif not name.startswith("/"):
        name = prefix + name
    if ".." in name.split("/"):
        raise UnsupportedPod(f'{where}: image "{name[:200]}" has a ".." part')
    if not name.startswith("/"):
        return name
    path = posixpath.normpath("/" + name.lstrip("/"))
    below = path.rstrip("/") + "/"
    if own.startswith(below) or below.startswith((own.rstrip("/") + "/", *_KERNELS_OWN)):
        raise UnsupportedPod(f'{where}: image "{name[:200]}" would open the site\'s own folders to the container')
    return path


def pull_policy(where: str, container: Container) -> Literal["Always", "IfNotPresent", "Never"]:
    """Return the pull policy; not given, it is Always for ``:latest`` and for no tag, as Kubernetes defaults it."""
    match container.imagePullPolicy:
        case "Always" | "IfNotPresent" | "Never" as policy:
            return policy
        case "":
            last = container.image.rsplit("/", 1)[-1]
            pinned = "@" in last or (":" in last and not last.endswith(":latest"))
            return "IfNotPresent" if pinned or container.image.startswith("/") else "Always"
        case other:
            raise UnsupportedPod(f"{where}: imagePullPolicy {other[:60]!r} is none of Always, IfNotPresent, Never")
