"""The contents of a pod's volumes, gathered for the edge: ConfigMaps, Secrets, projected and downward API volumes.

Called by ``pods/request.py``. ConfigMap and Secret volumes are sent as whole objects (the edge applies ``items`` and
modes); projected and downwardAPI volumes as one finished map of path to contents each. Tokens come from TokenRequest
and are bound to the pod's UID.
"""

import base64
from collections.abc import Mapping
from typing import Any

from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.errors import NotFoundError
from interlink.vk.downward import field_value, resource_value
from interlink.vk.gather import NotReadyError, References, decode_secret

Json = dict[str, Any]

TOKEN_SECONDS = 3600


class Volumes:
    """Gathers the volumes of one pod."""

    def __init__(self, api: ApiServer, pod: Json, references: References, allocatable: Mapping[str, str]) -> None:
        self.api = api
        self.pod = pod
        self.references = references
        self.allocatable = allocatable
        self.config_maps: dict[str, Json] = {}
        self.secrets: dict[str, Json] = {}
        self.projected: list[Json] = []

    async def gather(self) -> None:
        """Fetch everything. Raises NotReadyError naming the volume, in kubelet's words."""
        for volume in self.pod["spec"].get("volumes") or []:
            try:
                await self._gather_one(volume)
            except NotReadyError as error:
                raise NotReadyError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}') from error

    async def _gather_one(self, volume: Json) -> None:
        if "configMap" in volume:
            source = volume["configMap"]
            found = await self.references.config_map(source.get("name") or "")
            if _check(found, source, "configmap", source.get("name")) and found:
                self.config_maps[source["name"]] = found
        elif "secret" in volume:
            source = volume["secret"]
            found = await self.references.secret(source.get("secretName") or "")
            if _check(found, source, "secret", source.get("secretName")) and found:
                self.secrets[source["secretName"]] = found
        elif "projected" in volume:
            files: dict[str, bytes] = {}
            for source in volume["projected"].get("sources") or []:
                files |= await self._project(source)
            self.projected.append(_as_map(volume["name"], files))
        elif "downwardAPI" in volume:
            self.projected.append(_as_map(volume["name"], self._downward(volume["downwardAPI"])))

    async def _project(self, source: Json) -> dict[str, bytes]:
        if "serviceAccountToken" in source:
            return {source["serviceAccountToken"]["path"]: await self._token(source["serviceAccountToken"])}
        if "downwardAPI" in source:
            return self._downward(source["downwardAPI"])
        if "configMap" in source:
            reference = source["configMap"]
            found = await self.references.config_map(reference.get("name") or "")
            _check(found, reference, "configmap", reference.get("name"))
            return _selected(config_map_files(found or {}), reference)
        if "secret" in source:
            reference = source["secret"]
            found = await self.references.secret(reference.get("name") or "")
            _check(found, reference, "secret", reference.get("name"))
            data = (found or {}).get("data") or {}
            return _selected({key: decode_secret(value) for key, value in data.items()}, reference)
        raise NotReadyError(f"projected source {', '.join(source)} is not supported on this node")

    def _downward(self, source: Json) -> dict[str, bytes]:
        files = {}
        for item in source.get("items") or []:
            if item.get("fieldRef"):
                text = field_value(self.pod, item["fieldRef"].get("fieldPath") or "")
            else:
                text = resource_value(self.pod, item.get("resourceFieldRef") or {}, "", self.allocatable)
            files[item["path"]] = text.encode()
        return files

    async def _token(self, source: Json) -> bytes:
        metadata = self.pod["metadata"]
        account = self.pod["spec"].get("serviceAccountName") or "default"
        spec: Json = {
            "expirationSeconds": source.get("expirationSeconds") or TOKEN_SECONDS,
            "audiences": [source["audience"]] if source.get("audience") else [],
            "boundObjectRef": {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
        }
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts/{account}/token"
        try:
            answer = await self.api.post(path, request)
        except NotFoundError as error:
            raise NotReadyError(f'serviceaccount "{account}" not found') from error
        return str(answer["status"]["token"]).encode()


def config_map_files(config_map: Json) -> dict[str, bytes]:
    """Return a ConfigMap's contents as bytes by key."""
    files = {key: value.encode() for key, value in (config_map.get("data") or {}).items()}
    return files | {key: base64.b64decode(value) for key, value in (config_map.get("binaryData") or {}).items()}


def _check(found: Json | None, source: Json, kind: str, name: Any) -> bool:
    """Return whether the object is there with all keys that are asked for; NotReadyError where it must be."""
    if found is None:
        if source.get("optional"):
            return False
        raise NotReadyError(f'{kind} "{name}" not found')
    keys = {*(found.get("data") or {}), *(found.get("binaryData") or {})}
    missing = [item["key"] for item in source.get("items") or [] if item["key"] not in keys]
    if missing and not source.get("optional"):
        raise NotReadyError(f"references non-existent {kind} key: {missing[0]}")
    return True


def _selected(files: dict[str, bytes], source: Json) -> dict[str, bytes]:
    items = source.get("items")
    if not items:
        return files
    return {item["path"]: files[item["key"]] for item in items if item["key"] in files}


def _as_map(name: str, files: dict[str, bytes]) -> Json:
    """Return the wire's form of a finished volume: text under ``data``, the rest in base64 under ``binaryData``."""
    entry: Json = {"metadata": {"name": name}, "data": {}, "binaryData": {}}
    for path, content in files.items():
        try:
            entry["data"][path] = content.decode()
        except UnicodeDecodeError:
            entry["binaryData"][path] = base64.b64encode(content).decode()
    return entry
