"""A container's environment, resolved to literal names and values, and its command line expanded with it.

Called by ``pods/request.py`` for each container. The order is kubelet's: envFrom, then env in order (each seeing
those before it), then the cluster's service variables where nothing else has the name.
"""

import re
from collections.abc import Mapping
from typing import Any

from interlink.core.expansion import MissingValueError, expand
from interlink.vk.downward import field_value, resource_value
from interlink.vk.gather import NotReadyError, References, decode_secret

Json = dict[str, Any]

#: What kubelet lets be a variable's name since 1.34: printable ASCII without "=".
_NAME = re.compile(r"[\x20-\x3c\x3e-\x7e]+")


class Environment:
    """Resolves the environments of one pod's containers."""

    def __init__(
        self, pod: Json, references: References, allocatable: Mapping[str, str], services: Mapping[str, str]
    ) -> None:
        self.pod = pod
        self.references = references
        self.allocatable = allocatable
        self.services = services

    async def apply(self, container: Json) -> None:
        """Change the container to its literal form: env resolved, envFrom gone, command and args expanded.

        Raises NotReadyError where something mandatory is missing; the container is then unchanged.
        """
        variables = await self._resolve(container)
        mounts = [mount for mount in container.get("volumeMounts") or [] if mount.get("subPathExpr")]
        paths = [_sub_path(mount, variables) for mount in mounts]
        container["env"] = [{"name": name, "value": value} for name, value in variables.items()]
        container.pop("envFrom", None)
        for key in ("command", "args"):
            if container.get(key):
                container[key] = [expand(text, variables) for text in container[key]]
        for mount, path in zip(mounts, paths, strict=True):
            del mount["subPathExpr"]
            mount["subPath"] = path

    async def _resolve(self, container: Json) -> dict[str, str]:
        variables: dict[str, str] = {}
        for source in container.get("envFrom") or []:
            variables.update(await self._source(source))
        for entry in container.get("env") or []:
            if entry.get("valueFrom"):
                value = await self._value_from(entry["valueFrom"], container["name"])
                if value is None:
                    continue
            else:
                value = expand(entry.get("value") or "", {**self.services, **variables})
            variables[entry["name"]] = value
        for name, value in self.services.items():
            variables.setdefault(name, value)
        return variables

    async def _source(self, source: Json) -> dict[str, str]:
        prefix = source.get("prefix") or ""
        if "configMapRef" in source:
            values = await self._config_map_data(source["configMapRef"])
        else:
            values = await self._secret_data(source.get("secretRef") or {})
        return {prefix + key: value for key, value in values.items() if _NAME.fullmatch(prefix + key)}

    async def _value_from(self, source: Json, container: str) -> str | None:
        """Return the value, None where it is optional and not there."""
        if "fieldRef" in source:
            return field_value(self.pod, source["fieldRef"].get("fieldPath") or "")
        if "resourceFieldRef" in source:
            return resource_value(self.pod, source["resourceFieldRef"], container, self.allocatable)
        if "configMapKeyRef" in source:
            reference = source["configMapKeyRef"]
            return _pick(await self._config_map_data(reference), reference, "ConfigMap", self.references.namespace)
        if "secretKeyRef" in source:
            reference = source["secretKeyRef"]
            return _pick(await self._secret_data(reference), reference, "Secret", self.references.namespace)
        raise NotReadyError(f"environment from {', '.join(source)} is not supported on this node")

    async def _config_map_data(self, reference: Json) -> dict[str, str]:
        found = await self.references.config_map(reference.get("name") or "")
        if found is None:
            return _missing(reference, "configmap")
        return found.get("data") or {}

    async def _secret_data(self, reference: Json) -> dict[str, str]:
        found = await self.references.secret(reference.get("name") or "")
        if found is None:
            return _missing(reference, "secret")
        wanted = reference.get("key")
        data = found.get("data") or {}
        try:
            return {
                key: decode_secret(value).decode() for key, value in data.items() if wanted is None or key == wanted
            }
        except UnicodeDecodeError as error:
            raise NotReadyError(
                f'secret "{reference.get("name")}" holds a value that is no UTF-8 text: mount it as a volume'
            ) from error


def _sub_path(mount: Json, variables: Mapping[str, str]) -> str:
    try:
        return expand(mount["subPathExpr"], variables, strict=True)
    except MissingValueError as error:
        raise NotReadyError(f'failed to expand subPathExpr of volumeMount "{mount["name"]}": {error}') from error


def _missing(reference: Json, kind: str) -> dict[str, str]:
    if reference.get("optional"):
        return {}
    raise NotReadyError(f'{kind} "{reference.get("name")}" not found')


def _pick(data: dict[str, str], reference: Json, kind: str, namespace: str) -> str | None:
    key = reference.get("key") or ""
    if key in data:
        return data[key]
    if reference.get("optional"):
        return None
    raise NotReadyError(f"couldn't find key {key} in {kind} {namespace}/{reference.get('name')}")
