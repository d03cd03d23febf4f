"""A pod's volumes and their gathered contents → the plan's volumes.

The virtual kubelet sends the contents of ConfigMaps, Secrets, projected and downward API volumes beside the pod, each
container's share with the container: a volume that none mounts comes without contents and is left out. What cannot be
honoured is refused by the volume's name, never left out.
"""

import base64
import binascii
from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from interlink.core.errors import UnsupportedPod
from interlink.core.plan import PlanFile, PlanVolume
from interlink.core.pod.paths import check_label, check_relative
from interlink.wire.decoding import convert
from interlink.wire.messages import RetrievedContainer

T = TypeVar("T")
_DEFAULT_MODE = 0o644
#: Kubernetes mounts this one into every pod; a site that has no way to the cluster gets it empty.
_API_ACCESS = "kube-api-access-"
_KINDS = ("emptyDir", "configMap", "secret", "projected", "downwardAPI")


class _Item(msgspec.Struct):
    """v1.KeyToPath; of a v1.DownwardAPIVolumeFile, whose contents come by its path, only path and mode."""

    path: str
    key: str = ""
    mode: int | None = None


class _Source(msgspec.Struct, rename="camel"):
    """v1.ConfigMapVolumeSource, v1.SecretVolumeSource, v1.ProjectedVolumeSource, v1.DownwardAPIVolumeSource in one."""

    name: str = ""
    secret_name: str = ""
    items: list[_Item] | None = None
    optional: bool | None = None
    default_mode: int | None = None


class _Meta(msgspec.Struct):
    name: str = ""


class _Contents(msgspec.Struct, rename="camel"):
    """v1.ConfigMap, v1.Secret, or what was gathered for a projected volume."""

    metadata: _Meta = msgspec.field(default_factory=_Meta)
    data: dict[str, str] | None = None
    binary_data: dict[str, str] | None = None
    string_data: dict[str, str] | None = None


def plan_volumes(
    volumes: Iterable[Mapping[str, Any]] | None,
    containers: Iterable[RetrievedContainer] | None,
    mounted: Collection[str],
) -> list[PlanVolume]:
    """Return those of the pod's volumes, in its order, that some container mounts (``mounted`` has their names).

    Raises UnsupportedPod for a volume of a type that is not supported, mounted or not, for contents that are missing
    and not optional, and for keys and paths that would leave the volume.
    """
    shares = list(containers or ())
    config_maps = _by_name("ConfigMap", (item for share in shares for item in share.configMaps or ()))
    secrets = _by_name("Secret", (item for share in shares for item in share.secrets or ()))
    projected = _by_name("projected volume", (item for share in shares for item in share.projectedvolumemaps or ()))
    planned = []
    seen: set[str] = set()
    for volume in volumes or ():
        name = check_label("volume", str(volume.get("name", "")))
        if name in seen:
            raise UnsupportedPod(f'two volumes of the pod have the name "{name}"')
        seen.add(name)
        kind, source = _source(name, volume)
        if name not in mounted:
            continue
        if kind == "emptyDir":
            planned.append(PlanVolume(name=name, kind="emptyDir"))
        elif kind == "configMap":
            found = config_maps.get(source.name)
            planned.append(_filled(name, f'ConfigMap "{source.name}"', source, _text_files(found)))
        elif kind == "secret":
            found = secrets.get(source.secret_name)
            planned.append(_filled(name, f'Secret "{source.secret_name}"', source, _secret_files(found)))
        else:
            source.optional = name.startswith(_API_ACCESS)
            found = projected.get(name)
            planned.append(_filled(name, f"its {kind} contents", source, _text_files(found)))
    return planned


def _source(name: str, volume: Mapping[str, Any]) -> tuple[str, _Source]:
    """Return the type of a volume and its source; a volume without any is an emptyDir, as in Kubernetes."""
    kinds = [key for key, value in volume.items() if key != "name" and value is not None] or ["emptyDir"]
    if len(kinds) > 1 or kinds[0] not in _KINDS:
        raise UnsupportedPod(
            f'volume "{name}" is of type {" and ".join(sorted(kinds))}, which this edge cannot bring to the site; '
            f"it can: {', '.join(_KINDS)}"
        )
    return kinds[0], _convert(f'volume "{name}"', volume.get(kinds[0]) or {}, _Source)


def _by_name(what: str, objects: Iterable[dict[str, Any]]) -> dict[str, _Contents]:
    """Return the objects by their name; the containers that share one bring it several times."""
    contents = [_convert(what, item, _Contents) for item in objects]
    return {item.metadata.name: item for item in contents}


def _convert(what: str, value: object, kind: type[T]) -> T:
    """Check a plain object against its type. Raises UnsupportedPod with the field that is wrong."""
    try:
        return convert(value, kind)
    except msgspec.ValidationError as error:
        raise UnsupportedPod(f"{what} is malformed: {error}") from error


def _text_files(contents: _Contents | None) -> dict[str, bytes] | None:
    """Return the files of a ConfigMap: text as UTF-8, ``binaryData`` decoded; None where nothing came."""
    if contents is None:
        return None
    files = {key: text.encode() for key, text in (contents.data or {}).items()}
    return files | {key: _decoded(contents, key, text) for key, text in (contents.binary_data or {}).items()}


def _secret_files(contents: _Contents | None) -> dict[str, bytes] | None:
    """Return the files of a Secret: ``data`` decoded, and over it the plain ``stringData``; None where nothing came."""
    if contents is None:
        return None
    files = {key: _decoded(contents, key, text) for key, text in (contents.data or {}).items()}
    return files | {key: text.encode() for key, text in (contents.string_data or {}).items()}


def _decoded(contents: _Contents, key: str, text: str) -> bytes:
    """Decode base64. Raises UnsupportedPod with the key, never with the value."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise UnsupportedPod(f'key "{key}" of "{contents.metadata.name}" is not valid base64') from None


def _filled(name: str, what: str, source: _Source, contents: dict[str, bytes] | None) -> PlanVolume:
    """Return a volume of files: those that ``items`` choose, else every key."""
    if contents is None:
        if not source.optional:
            raise UnsupportedPod(f'volume "{name}": {what} did not come with the pod, and is not optional')
        contents = {}
    items = [_Item(path=key) for key in contents] if source.items is None else source.items
    files: dict[str, PlanFile] = {}
    for item in items:
        key = item.key or item.path
        if key in contents:
            path = check_relative(f'volume "{name}": path', item.path)
            data = base64.b64encode(contents[key]).decode("ascii")
            files[path] = PlanFile(path=path, data=data, mode=_mode(name, item.mode, source.default_mode))
        elif not source.optional:
            raise UnsupportedPod(f'volume "{name}": {what} has no key "{key}"')
    for path in files:
        for cut in (place for place, letter in enumerate(path) if letter == "/"):
            if path[:cut] in files:
                raise UnsupportedPod(f'volume "{name}": "{path[:cut]}" is a file and a folder at once')
    return PlanVolume(name=name, kind="files", files=list(files.values()))


def _mode(name: str, *modes: int | None) -> int:
    """Return the first mode that is given, else 0644. Raises UnsupportedPod outside 0 to 0777."""
    mode = next((mode for mode in modes if mode is not None), _DEFAULT_MODE)
    if not 0 <= mode <= 0o777:
        raise UnsupportedPod(f'volume "{name}": mode {mode} is not between 0 and 0777 (511)')
    return mode
