"""The parts of a pod that this edge does not carry out yet, refused by name.

Ignoring one silently would be a lie: a pod whose liveness probe never runs looks healthy. Whoever builds a part removes
its line here.
"""

from interlink.core.errors import UnsupportedPod
from interlink.wire.pod import Container, Pod, VolumeMount

_CONTAINER_FIELDS = ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "restartPolicy")


def refuse_unsupported(pod: Pod) -> None:
    """Raise UnsupportedPod for the first field of the pod that would be ignored."""
    if pod.spec.initContainers:
        names = ", ".join(container.name for container in pod.spec.initContainers)
        raise UnsupportedPod(f"init containers are not supported yet: {names}")
    if not pod.spec.containers:
        raise UnsupportedPod("the pod has no containers")
    for container in pod.spec.containers:
        _refuse_in_container(container)


def _refuse_in_container(container: Container) -> None:
    """Raise UnsupportedPod for the first field of the container that would be ignored."""
    for field in _CONTAINER_FIELDS:
        if getattr(container, field):
            raise UnsupportedPod(f'container "{container.name}": {field} is not supported yet')
    for mount in container.volumeMounts or ():
        _refuse_in_mount(container.name, mount)


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
