"""A container's image as the runtime takes it, and when it is pulled.

Called by ``build``, and for a pod whose images change while it lives by the sidecar's ``update``. A path is judged by
its text here; whether it is an image file the runner sees on the node (``runner/images/``).
"""

import posixpath
from collections.abc import Callable, Mapping
from typing import Literal

from interlink.core.errors import UnsupportedPod
from interlink.core.plan import PlanImage
from interlink.wire.pod import Container, Pod

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


def changed_images(pod: Pod, created: Mapping[str, str], name_of: Callable[[str, str], str]) -> dict[str, PlanImage]:
    """Return the images that are others now than when the pod was created, by container.

    ``created`` are the images of then in the pod's words. ``name_of`` makes of a container's place and its image what
    the runtime takes, and raises UnsupportedPod: the container is told that, as a kubelet does it by InvalidImageName,
    and not the pod, which may have other containers and newer volumes.
    """
    changed = {}
    for container in pod.all_containers:
        if created.get(container.name, container.image) == container.image:
            continue
        try:
            name = name_of(f'container "{container.name}"', container.image)
        except UnsupportedPod as error:
            changed[container.name] = PlanImage(said=container.image, refused=str(error))
        else:
            changed[container.name] = PlanImage(said=container.image, image=name)
    return changed
