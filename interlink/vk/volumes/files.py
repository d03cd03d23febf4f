"""From ConfigMaps and Secrets to the files that a volume shows of them. Pure; called by ``contents.py``."""

import base64
from typing import Any

from interlink.vk.gather import NotReadyError, decode_secret

Json = dict[str, Any]


def config_map_files(config_map: Json) -> dict[str, bytes]:
    """Return a ConfigMap's contents as bytes by key."""
    files = {key: value.encode() for key, value in (config_map.get("data") or {}).items()}
    return files | {key: base64.b64decode(value) for key, value in (config_map.get("binaryData") or {}).items()}


def chosen(kind: str, found: Json | None, source: Json, name: str) -> dict[str, bytes]:
    """Return the files that a source takes of an object; NotReadyError where it lacks what must be there."""
    _check(found, source, kind.removesuffix("s"), name)
    if kind == "configmaps":
        return _selected(config_map_files(found or {}), source)
    data = (found or {}).get("data") or {}
    return _selected({key: decode_secret(value) for key, value in data.items()}, source)


def _check(found: Json | None, source: Json, kind: str, name: str) -> None:
    """Raise NotReadyError unless the object is there with all keys that are asked for, or need not be."""
    if found is None:
        if source.get("optional"):
            return
        raise NotReadyError(f'{kind} "{name}" not found')
    keys = {*(found.get("data") or {}), *(found.get("binaryData") or {})}
    missing = [item["key"] for item in source.get("items") or [] if item["key"] not in keys]
    if missing and not source.get("optional"):
        raise NotReadyError(f"references non-existent {kind} key: {missing[0]}")


def _selected(files: dict[str, bytes], source: Json) -> dict[str, bytes]:
    items = source.get("items")
    if not items:
        return files
    return {item["path"]: files[item["key"]] for item in items if item["key"] in files}


def as_map(name: str, files: dict[str, bytes]) -> Json:
    """Return the wire's form of a finished volume: text under ``data``, the rest in base64 under ``binaryData``."""
    entry: Json = {"metadata": {"name": name}, "data": {}, "binaryData": {}}
    for path, content in files.items():
        try:
            entry["data"][path] = content.decode()
        except UnicodeDecodeError:
            entry["binaryData"][path] = base64.b64encode(content).decode()
    return entry
