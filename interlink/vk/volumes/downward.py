"""The files that a pod's own fields and resources make (downward API). Pure; for ``contents.py`` and ``updates.py``."""

from collections.abc import Iterable, Mapping
from typing import Any

from interlink.vk.downward import field_value, resource_value
from interlink.vk.volumes.trace import digest_of

Json = dict[str, Any]

#: The fields that may change while a pod runs; the API lets volumes show no others that could.
_CHANGING = ("metadata.labels", "metadata.annotations")


def downward_files(pod: Json, items: Iterable[Json], allocatable: Mapping[str, str]) -> dict[str, bytes]:
    """Return the files of a downward API source. Raises NotReadyError."""
    files = {}
    for item in items:
        if item.get("fieldRef"):
            text = field_value(pod, item["fieldRef"].get("fieldPath") or "")
        else:
            text = resource_value(pod, item.get("resourceFieldRef") or {}, "", allocatable)
        files[item["path"]] = text.encode()
    return files


def downward_digest(pod: Json, volume: Json, allocatable: Mapping[str, str]) -> bytes:
    """Return the digest of those of a volume's files that the pod itself makes and changes; b"" for none.

    Raises NotReadyError.
    """
    sources = [source.get("downwardAPI") for source in (volume.get("projected") or {}).get("sources") or ()]
    items = [item for source in [*sources, volume.get("downwardAPI")] if source for item in source.get("items") or ()]
    changing = [item for item in items if _may_change(item)]
    return digest_of(downward_files(pod, changing, allocatable)) if changing else b""


def _may_change(item: Json) -> bool:
    return not item.get("fieldRef") or str(item["fieldRef"].get("fieldPath")).startswith(_CHANGING)
