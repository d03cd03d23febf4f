"""The parts of a pod that this edge does not carry out yet, refused by name.

Ignoring one silently would be a lie: a pod whose liveness probe never runs looks healthy. Whoever builds a part removes
its line here. Of a securityContext only what asks for more than a batch job has is refused: charts carry the rest as a
matter of course, and every container runs as the site's user without any privilege anyway.
"""

from collections.abc import Iterator

from interlink.core.errors import UnsupportedPod
from interlink.wire.pod import Container, Pod, SecurityContext, VolumeMount

_POD_FIELDS = ("hostAliases", "hostPID", "hostIPC")
_CONTAINER_FIELDS = ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle")


def refuse_unsupported(pod: Pod) -> None:
    """Raise UnsupportedPod for the first field of the pod that would be ignored."""
    if not pod.spec.containers:
        raise UnsupportedPod("the pod has no containers")
    for field in _POD_FIELDS:
        if getattr(pod.spec, field):
            raise UnsupportedPod(f"the pod's {field} is not possible on a batch site")
    for container in pod.spec.initContainers or ():
        if container.restartPolicy not in (None, "", "Always"):
            raise UnsupportedPod(
                f'init container "{container.name}": restartPolicy {container.restartPolicy[:60]!r} is not supported; '
                "it can be Always, which makes it a sidecar, or left out"
            )
    for container in pod.spec.containers:
        if container.restartPolicy:
            raise UnsupportedPod(
                f'container "{container.name}": a restartPolicy of its own is not supported; the pod\'s counts'
            )
    for container in pod.all_containers:
        _refuse_in_container(container, pod.spec.securityContext)
    _refuse_overlapping_sub_paths(pod)


def _refuse_in_container(container: Container, pod_context: SecurityContext | None) -> None:
    """Raise UnsupportedPod for the first field of the container that would be ignored."""
    for field in _CONTAINER_FIELDS:
        if getattr(container, field):
            raise UnsupportedPod(f'container "{container.name}": {field} is not supported yet')
    for mount in container.volumeMounts or ():
        _refuse_in_mount(container.name, mount)
    own, of_pod = container.securityContext or SecurityContext(), pod_context or SecurityContext()
    if own.privileged:
        raise UnsupportedPod(f'container "{container.name}": privileged is not possible on a batch site')
    if (of_pod.runAsUser if own.runAsUser is None else own.runAsUser) == 0:
        raise UnsupportedPod(
            f'container "{container.name}": runAsUser 0 (root) is not possible on a batch site; '
            "containers run as the site's own user"
        )
    if own.capabilities and own.capabilities.add:
        names = ", ".join(own.capabilities.add)
        raise UnsupportedPod(f'container "{container.name}": capabilities cannot be added on a batch site: {names}')


def _refuse_in_mount(container: str, mount: VolumeMount) -> None:
    """Raise UnsupportedPod for a mount whose propagation or unexpanded path would be ignored."""
    if mount.mountPropagation not in (None, "", "None"):
        raise UnsupportedPod(
            f'container "{container}": mountPropagation {mount.mountPropagation} of volume "{mount.name}" '
            "is not possible on a batch site"
        )
    if "$(" in mount.subPathExpr:
        raise UnsupportedPod(
            f'container "{container}": subPathExpr "{mount.subPathExpr}" names a variable that has no value'
        )


def _refuse_overlapping_sub_paths(pod: Pod) -> None:
    """Raise UnsupportedPod where a container could swap what another one's subPath names while it is being mounted.

    That needs a writable volume, and a mount of a folder above the one that the subPath names (CVE-2021-25741). A mount
    that is read-only here counts too: what it lets through is the runtime's to say, not ours.
    """
    writable = {
        str(volume.get("name"))
        for volume in pod.spec.volumes or ()
        if {key for key, value in volume.items() if value is not None} <= {"name", "emptyDir"}
    }
    mounts = [
        (container.name, mount.name, tuple(_segments(mount)))
        for container in pod.all_containers
        for mount in container.volumeMounts or ()
        if mount.name in writable
    ]
    for name, volume, path in mounts:
        for other, other_volume, above in mounts:
            if volume == other_volume and len(above) < len(path) and path[: len(above)] == above:
                raise UnsupportedPod(
                    f'container "{name}": subPath "{"/".join(path)}" of emptyDir "{volume}" is not possible where '
                    f'container "{other}" mounts a folder above it: it could be swapped for another; '
                    "use two volumes, or paths that do not lie in each other"
                )


def _segments(mount: VolumeMount) -> Iterator[str]:
    return filter(None, (mount.subPath or mount.subPathExpr).split("/"))
