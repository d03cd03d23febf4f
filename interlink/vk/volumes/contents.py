"""The contents of a pod's volumes, gathered for the edge: ConfigMaps, Secrets, projected and downward API volumes.

Called by ``pods/request.py`` for a new pod and by ``updates.py`` for a running one. ConfigMap and Secret volumes are
sent as whole objects (the edge applies ``items`` and modes); projected and downwardAPI volumes as one finished map of
path to contents each. Rules: kubelet's pkg/volume.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from interlink.vk.apiserver.client import ApiServer
from interlink.vk.gather import NotReadyError, References
from interlink.vk.objects import ObjectKey
from interlink.vk.volumes.downward import downward_digest, downward_files
from interlink.vk.volumes.files import as_map, chosen
from interlink.vk.volumes.tokens import Tokens
from interlink.vk.volumes.trace import Trace, digest_of
from interlink.vk.volumes.trust import TrustBundles, trust_anchors

Json = dict[str, Any]

_OF_FILES = ("configMap", "secret", "projected", "downwardAPI")


@dataclass
class Contents:
    """One volume's contents; ``sources`` are v1.ConfigMap, v1.Secret or the finished map, by the request's field."""

    name: str
    sources: dict[str, Json]
    trace: Trace


class Sources:
    """Where contents come from beside a pod's references: one for the whole node; ``clock`` gives epoch seconds."""

    def __init__(self, api: ApiServer, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.tokens = Tokens(api, clock)
        self.bundles = TrustBundles(api)


class Volumes:
    """Gathers the volumes of one pod."""

    def __init__(self, sources: Sources, pod: Json, references: References, allocatable: Mapping[str, str]) -> None:
        self.sources = sources
        self.pod = pod
        self.references = references
        self.allocatable = allocatable

    async def gather(self) -> list[Contents]:
        """Gather everything for a new pod. Raises NotReadyError naming the first volume that is not ready."""
        return [await self.gather_one(volume, Trace()) for volume in file_volumes(self.pod)]

    async def gather_one(self, volume: Json, trace: Trace, before: Trace | None = None) -> Contents:
        """Gather one volume and fill its trace; ``before`` is the trace of what the pod shows now.

        Raises NotReadyError in kubelet's words; the trace then holds the objects that were looked at. Raises ApiError.
        """
        try:
            if "projected" in volume:
                files = await self._project_all(volume["projected"].get("sources") or (), trace, before or Trace())
                sources = {"projectedvolumesmaps": as_map(volume["name"], files)}
            elif "downwardAPI" in volume:
                files = downward_files(self.pod, volume["downwardAPI"].get("items") or (), self.allocatable)
                sources = {"projectedvolumesmaps": as_map(volume["name"], files)}
            else:
                files, sources = await self._object(volume, trace)
        except NotReadyError as error:
            raise NotReadyError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}') from error
        trace.downward = downward_digest(self.pod, volume, self.allocatable)
        frozen = any(source.get("immutable") for source in sources.values())
        trace.digest = digest_of(files, frozen)
        return Contents(volume["name"], sources, trace)

    async def _object(self, volume: Json, trace: Trace) -> tuple[dict[str, bytes], dict[str, Json]]:
        """Return a ConfigMap or Secret volume's files and the object, which is left out where it may be."""
        kind, name, field = (
            ("configmaps", "name", "configMap") if "configMap" in volume else ("secrets", "secretName", "secret")
        )
        source = volume[field]
        key = self.references.key(kind, source.get(name) or "")
        found = await self.references.get(key)
        trace.note(key, found)
        files = chosen(kind, found, source, key.name)
        return files, {kind: found} if found else {}

    async def _project_all(self, sources: Iterable[Json], trace: Trace, before: Trace) -> dict[str, bytes]:
        """Return a projected volume's files; all of its sources are looked at, and all that is wrong is said."""
        files: dict[str, bytes] = {}
        wrong: list[str] = []
        for source in sources:
            try:
                files |= await self._project(source, trace, before)
            except NotReadyError as error:
                wrong.append(str(error))
        if wrong:
            raise NotReadyError(", ".join(wrong))
        return files

    async def _project(self, source: Json, trace: Trace, before: Trace) -> dict[str, bytes]:
        if "serviceAccountToken" in source:
            token = await self.sources.tokens.get(self.pod, source["serviceAccountToken"])
            trace.renew = min(trace.renew, token.renew)
            return {source["serviceAccountToken"]["path"]: token.text.encode()}
        if "downwardAPI" in source:
            return downward_files(self.pod, source["downwardAPI"].get("items") or (), self.allocatable)
        for field, kind in (("configMap", "configmaps"), ("secret", "secrets")):
            if field in source:
                key = self.references.key(kind, source[field].get("name") or "")
                found = await self._found(key, trace, before)
                return chosen(kind, found, source[field], key.name)
        if "clusterTrustBundle" in source:
            bundle = source["clusterTrustBundle"]
            uid = self.pod["metadata"]["uid"]
            if selected := await self.sources.bundles.key(bundle):
                trace.note(selected, await self.references.get(selected))
            return {bundle["path"]: await trust_anchors(self.sources.bundles, self.references, bundle, uid)}
        if not source:
            # Seen with clusterTrustBundle and Kubernetes 1.36: a kubelet would start the pod without the file.
            raise NotReadyError("kube-apiserver has removed a projected source that its feature gates do not let in")
        raise NotReadyError(f"projected source {', '.join(source)} is not supported on this node")

    async def _found(self, key: ObjectKey, trace: Trace, before: Trace) -> Json | None:
        """Return an object; one that was immutable is what it was, whatever the API has now."""
        if kept := before.kept.get(key):
            trace.kept[key] = kept
            return kept.load()
        found = await self.references.get(key)
        trace.note(key, found, keep=True)
        return found


def file_volumes(pod: Json) -> list[Json]:
    """Return those of the pod's volumes that show files of Kubernetes."""
    return [volume for volume in pod["spec"].get("volumes") or () if any(kind in volume for kind in _OF_FILES)]
