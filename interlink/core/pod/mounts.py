"""Where a container sees its pod's volumes: mount paths, sub-paths and propagation. Called by ``containers``."""

from collections.abc import Mapping

from interlink.core.errors import UnsupportedPod
from interlink.core.expansion import MissingValueError, expand
from interlink.core.plan import PlanMount
from interlink.core.pod.paths import check_absolute, check_relative
from interlink.wire.pod import VolumeMount

#: v1.MountPropagationMode that each runtime carries out. Under apptainer what the host mounts later below a volume
#: shows up in the container ("mount slave = yes" is its default), never the other way; straight on the host nothing
#: separates the two. Of the others nothing but "None" is known.
_PROPAGATIONS = {
    "apptainer": frozenset({"None", "HostToContainer"}),
    "none": frozenset({"None", "HostToContainer", "Bidirectional"}),
}
_NO_PROPAGATION = frozenset({"None"})


def plan_mount(
    where: str, mount: VolumeMount, volumes: frozenset[str], variables: Mapping[str, str], runtime: str
) -> PlanMount:
    """Return one mount of a container (``where``) with these variables, under a runtime.

    Raises UnsupportedPod for a volume that the pod does not have, for a path that escapes, and for a propagation that
    the runtime cannot give.
    """
    if mount.name not in volumes:
        raise UnsupportedPod(f'{where} mounts volume "{mount.name}", which the pod does not have')
    propagation = mount.mountPropagation or "None"
    if propagation not in _PROPAGATIONS.get(runtime, _NO_PROPAGATION):
        raise UnsupportedPod(
            f'{where}: mountPropagation {propagation[:60]} of volume "{mount.name}" is not possible under {runtime}'
        )
    sub_path = _sub_path(where, mount, variables).rstrip("/")
    if sub_path:
        check_relative(f'{where}: subPath of volume "{mount.name}"', sub_path)
    return PlanMount(
        volume=mount.name,
        mount_path=check_absolute(f"{where}: mountPath", mount.mountPath),
        sub_path=sub_path,
        read_only=mount.readOnly,
        propagation="" if propagation == "None" else propagation,
    )


def _sub_path(where: str, mount: VolumeMount, variables: Mapping[str, str]) -> str:
    """Return subPath, or subPathExpr with the container's variables in it (a peer may have left it to us)."""
    if not mount.subPathExpr:
        return mount.subPath
    try:
        return expand(mount.subPathExpr, variables, strict=True)
    except MissingValueError as error:
        raise UnsupportedPod(f'{where}: subPathExpr "{mount.subPathExpr[:200]}": {error}') from error
