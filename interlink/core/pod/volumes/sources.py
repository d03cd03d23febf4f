"""The sources of a pod's volumes (v1.VolumeSource), typed as far as they are carried out. Called by ``plan``."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from interlink.core.errors import UnsupportedPod
from interlink.wire import decoding

T = TypeVar("T")


class Item(msgspec.Struct):
    """v1.KeyToPath; of a v1.DownwardAPIVolumeFile, whose contents come by its path, only path and mode."""

    path: str
    key: str = ""
    mode: int | None = None


class EmptyDir(msgspec.Struct, rename="camel"):
    """v1.EmptyDirVolumeSource."""

    medium: str = ""
    size_limit: str | int | float | None = None


class Keys(msgspec.Struct, rename="camel"):
    """v1.ConfigMapVolumeSource, v1.SecretVolumeSource, v1.DownwardAPIVolumeSource and their projections in one."""

    name: str = ""
    secret_name: str = ""
    items: list[Item] | None = None
    optional: bool | None = None
    default_mode: int | None = None


class Token(msgspec.Struct, rename="camel"):
    """v1.ServiceAccountTokenProjection and v1.ClusterTrustBundleProjection: one file."""

    path: str = ""
    optional: bool | None = None


class Projection(msgspec.Struct, rename="camel"):
    """v1.VolumeProjection: one of these."""

    config_map: Keys | None = None
    secret: Keys | None = None
    downward_api: Keys | None = msgspec.field(default=None, name="downwardAPI")
    service_account_token: Token | None = None
    cluster_trust_bundle: Token | None = None


class Projected(msgspec.Struct, rename="camel"):
    """v1.ProjectedVolumeSource."""

    sources: list[dict[str, Any]] | None = None
    default_mode: int | None = None


class HostPath(msgspec.Struct, rename="camel"):
    """v1.HostPathVolumeSource."""

    path: str = ""
    type: str | None = None


class Claim(msgspec.Struct, rename="camel"):
    """v1.PersistentVolumeClaimVolumeSource."""

    claim_name: str = ""
    read_only: bool | None = None


KINDS: dict[str, type[msgspec.Struct]] = {
    "emptyDir": EmptyDir,
    "configMap": Keys,
    "secret": Keys,
    "projected": Projected,
    "downwardAPI": Keys,
    "hostPath": HostPath,
    "persistentVolumeClaim": Claim,
}


def source_of(name: str, volume: Mapping[str, Any]) -> tuple[str, msgspec.Struct]:
    """Return the type of a volume and its source; a volume without any is an emptyDir, as in Kubernetes."""
    kinds = [key for key, value in volume.items() if key != "name" and value is not None] or ["emptyDir"]
    if len(kinds) > 1 or kinds[0] not in KINDS:
        raise UnsupportedPod(
            f'volume "{name}" is of type {" and ".join(sorted(kinds))}, which this edge cannot bring to the site; '
            f"it can: {', '.join(KINDS)}"
        )
    return kinds[0], convert(f'volume "{name}"', volume.get(kinds[0]) or {}, KINDS[kinds[0]])


def projections(name: str, source: Projected) -> list[Projection]:
    """Return the sources of a projected volume. Raises UnsupportedPod for one of another kind, by its name."""
    found = []
    for entry in source.sources or ():
        kinds = {key for key, value in entry.items() if value is not None}
        unknown = kinds - {"configMap", "secret", "downwardAPI", "serviceAccountToken", "clusterTrustBundle"}
        if unknown or len(kinds) > 1:
            raise UnsupportedPod(
                f'volume "{name}" projects {" and ".join(sorted(kinds))}, which this edge cannot bring to the site'
            )
        found.append(convert(f'volume "{name}"', entry, Projection))
    return found


def convert(what: str, value: object, kind: type[T]) -> T:
    """Check a plain object against its type. Raises UnsupportedPod with the field that is wrong."""
    try:
        return decoding.convert(value, kind)
    except msgspec.ValidationError as error:
        raise UnsupportedPod(f"{what} is malformed: {error}") from error
