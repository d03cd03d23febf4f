"""A pod's volumes and their gathered contents → the plan's volumes.

The contents come with the containers, each container's share: a volume that none mounts comes without contents and is
left out. What cannot be honoured is refused by the volume's name, never left out.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from interlink.core.errors import UnsupportedPod
from interlink.core.plan import PlanVolume
from interlink.core.pod.paths import check_label
from interlink.core.pod.volumes.contents import Gathered
from interlink.core.pod.volumes.files import keys_volume, projected_volume
from interlink.core.pod.volumes.policy import VolumePolicy, claim, host_path
from interlink.core.pod.volumes.sources import Claim, EmptyDir, HostPath, Keys, Projected, source_of
from interlink.core.quantity import QuantityError, parse_quantity
from interlink.wire.messages import RetrievedContainer
from interlink.wire.pod import Pod

_OF_FILES = ("configMap", "secret", "projected", "downwardAPI")


def plan_volumes(
    volumes: Iterable[Mapping[str, Any]] | None,
    containers: Iterable[RetrievedContainer] | None,
    mounted: Collection[str],
    *,
    namespace: str = "default",
    policy: VolumePolicy | None = None,
) -> list[PlanVolume]:
    """Return those of the pod's volumes, in its order, that some container mounts (``mounted`` has their names).

    Raises UnsupportedPod for a volume of a type that is not supported, mounted or not, for contents that are missing
    and not optional, for keys and paths that would leave the volume, and for paths that the policy does not open.
    """
    gathered = Gathered(containers)
    planned = []
    seen: set[str] = set()
    for volume in volumes or ():
        name = check_label("volume", str(volume.get("name", "")))
        if name in seen:
            raise UnsupportedPod(f'two volumes of the pod have the name "{name}"')
        seen.add(name)
        kind, source = source_of(name, volume)
        match source:
            case _ if name not in mounted:
                continue
            case EmptyDir():
                planned.append(_empty_dir(name, source))
            case HostPath():
                planned.append(host_path(name, source, policy or VolumePolicy()))
            case Claim():
                planned.append(claim(name, source, namespace, policy or VolumePolicy()))
            case Projected():
                planned.append(projected_volume(name, source, gathered.projected.get(name)))
            case Keys():
                planned.append(_keys(name, kind, source, gathered))
    return planned


def plan_contents(pod: Pod, containers: Iterable[RetrievedContainer] | None) -> list[PlanVolume]:
    """Return the newest contents of a running pod's volumes, as far as they came. Raises UnsupportedPod."""
    mounted = {mount.name for container in pod.all_containers for mount in container.volumeMounts or ()}
    volumes = [volume for volume in pod.spec.volumes or () if any(volume.get(kind) is not None for kind in _OF_FILES)]
    return plan_volumes(volumes, containers, mounted)


def _keys(name: str, kind: str, source: Keys, gathered: Gathered) -> PlanVolume:
    """Return a ConfigMap, Secret or downward API volume."""
    if kind == "secret":
        what, found = f'Secret "{source.secret_name}"', gathered.secrets.get(source.secret_name)
        contents = None if found is None else found.secret_files()
    elif kind == "configMap":
        what, found = f'ConfigMap "{source.name}"', gathered.config_maps.get(source.name)
        contents = None if found is None else found.text_files()
    else:
        what, found = "its downwardAPI contents", gathered.projected.get(name)
        contents = None if found is None else found.text_files()
    volume = keys_volume(name, what, source, contents)
    volume.immutable = found is not None and bool(found.immutable)
    return volume


def _empty_dir(name: str, source: EmptyDir) -> PlanVolume:
    """Return an emptyDir. Raises UnsupportedPod for another medium than disk and memory, and for a bad limit."""
    if source.medium not in ("", "Memory"):
        raise UnsupportedPod(f'volume "{name}": an emptyDir of medium {source.medium[:60]!r} is not possible here')
    try:
        limit = parse_quantity(source.size_limit or 0)
    except QuantityError as error:
        raise UnsupportedPod(f'volume "{name}": sizeLimit: {error}') from error
    if limit < 0:
        raise UnsupportedPod(f'volume "{name}": its sizeLimit is negative')
    return PlanVolume(
        name=name,
        kind="emptyDir",
        medium=source.medium,
        size_limit=-(-limit.numerator // limit.denominator) or None,
        size_text=str(source.size_limit) if limit else "",
    )
