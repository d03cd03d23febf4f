"""Volumes of files: which of the gathered contents, under which paths, with which modes. Called by ``plan``."""

import base64
from collections.abc import Iterable, Mapping

from interlink.core.errors import UnsupportedPod
from interlink.core.plan import PlanFile, PlanVolume
from interlink.core.pod.paths import check_relative
from interlink.core.pod.volumes.contents import Object
from interlink.core.pod.volumes.sources import Item, Keys, Projected, projections

_DEFAULT_MODE = 0o644
#: Kubernetes mounts this one into every pod; a site that has no way to the cluster gets it empty.
_API_ACCESS = "kube-api-access-"


def keys_volume(name: str, what: str, source: Keys, contents: dict[str, bytes] | None) -> PlanVolume:
    """Return a volume of one object's keys (``contents`` None: it did not come): those of ``items``, else all."""
    if contents is None:
        if not source.optional:
            raise _missing(name, what)
        contents = {}
    items = source.items or [Item(path=key) for key in contents]
    chosen = []
    for item in items:
        key = item.key or item.path
        if key in contents:
            chosen.append((item.path, contents[key], item.mode))
        elif not source.optional:
            raise UnsupportedPod(f'volume "{name}": {what} has no key "{key}"')
    return _volume(name, chosen, source.default_mode)


def projected_volume(name: str, source: Projected, found: Object | None) -> PlanVolume:
    """Return a projected volume, whose contents came as one map of paths; modes are those of the sources' items."""
    modes: dict[str, int | None] = {}
    needed: set[str] = set()
    for projection in projections(name, source):
        for keys in filter(None, (projection.config_map, projection.secret, projection.downward_api)):
            modes |= {item.path: item.mode for item in keys.items or ()}
            needed |= set() if keys.optional else {item.path for item in keys.items or ()}
        for token in filter(None, (projection.service_account_token, projection.cluster_trust_bundle)):
            needed |= set() if token.optional else {token.path}
    if found is None and not name.startswith(_API_ACCESS):
        raise _missing(name, "its projected contents")
    contents = {} if found is None else found.text_files()
    missing = sorted(needed - set(contents))
    if found is not None and missing:
        raise UnsupportedPod(f'volume "{name}": no contents came for its path "{missing[0]}"')
    return _volume(name, ((path, data, modes.get(path)) for path, data in contents.items()), source.default_mode)


def _missing(name: str, what: str) -> UnsupportedPod:
    return UnsupportedPod(f'volume "{name}": {what} did not come with the pod, and is not optional')


def _volume(name: str, chosen: Iterable[tuple[str, bytes, int | None]], default_mode: int | None) -> PlanVolume:
    files: dict[str, PlanFile] = {}
    for given, data, mode in chosen:
        path = check_relative(f'volume "{name}": path', given)
        files[path] = PlanFile(
            path=path, data=base64.b64encode(data).decode("ascii"), mode=_mode(name, mode, default_mode)
        )
    _refuse_files_in_files(name, files)
    return PlanVolume(name=name, kind="files", files=list(files.values()))


def _refuse_files_in_files(name: str, files: Mapping[str, PlanFile]) -> None:
    for path in files:
        for cut in (place for place, letter in enumerate(path) if letter == "/"):
            if path[:cut] in files:
                raise UnsupportedPod(f'volume "{name}": "{path[:cut]}" is a file and a folder at once')


def _mode(name: str, *modes: int | None) -> int:
    """Return the first mode that is given, else 0644. Raises UnsupportedPod outside 0 to 0777."""
    mode = next((mode for mode in modes if mode is not None), _DEFAULT_MODE)
    if not 0 <= mode <= 0o777:
        raise UnsupportedPod(f'volume "{name}": mode {mode} is not between 0 and 0777 (511)')
    return mode
