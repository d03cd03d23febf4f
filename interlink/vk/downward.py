"""The downward API: fieldRef and resourceFieldRef of a pod, for environment variables and for volumes.

Pure; called by ``environment.py`` and ``volumes/``. Source of the rules: kubelet's pkg/fieldpath and
component-helpers/resource.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from interlink.core.quantity import QuantityError, parse_quantity
from interlink.vk.gather import NotReadyError

Json = dict[str, Any]

_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']*)'\]")
_PLAIN = {
    "metadata.name": ("metadata", "name"),
    "metadata.namespace": ("metadata", "namespace"),
    "metadata.uid": ("metadata", "uid"),
    "spec.nodeName": ("spec", "nodeName"),
    "spec.serviceAccountName": ("spec", "serviceAccountName"),
    "status.hostIP": ("status", "hostIP"),
    "status.podIP": ("status", "podIP"),
}


def field_value(pod: Json, path: str) -> str:
    """Return what a fieldRef gives; empty where it is not known yet. NotReadyError for a path that does not exist."""
    if path in _PLAIN:
        part, name = _PLAIN[path]
        return str((pod.get(part) or {}).get(name) or "")
    if path in ("status.hostIPs", "status.podIPs"):
        entries = (pod.get("status") or {}).get(path.removeprefix("status.")) or []
        return ",".join(entry["ip"] for entry in entries)
    if path in ("metadata.labels", "metadata.annotations"):
        held = pod["metadata"].get(path.removeprefix("metadata.")) or {}
        return "\n".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in sorted(held.items()))
    match = _SUBSCRIPT.fullmatch(path)
    if match is None:
        raise NotReadyError(f"fieldPath {path} is not supported")
    return str((pod["metadata"].get(match[1]) or {}).get(match[2], ""))


def resource_value(pod: Json, reference: Json, own: str, allocatable: Mapping[str, str]) -> str:
    """Return what a resourceFieldRef gives: the container's amount in units of the divisor, rounded up.

    A limit that is not set is the node's allocatable amount, as in kubelet. Raises NotReadyError.
    """
    name = reference.get("containerName") or own
    containers = [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]
    container = next((entry for entry in containers if entry["name"] == name), None)
    kind, _, resource = str(reference.get("resource") or "").partition(".")
    if container is None or kind not in ("limits", "requests") or not resource:
        raise NotReadyError(f"resource {reference.get('resource')} of container {name} is not supported")
    amount = ((container.get("resources") or {}).get(kind) or {}).get(resource)
    if amount is None:
        amount = allocatable.get(resource, "0") if kind == "limits" else "0"
    try:
        divisor = parse_quantity(reference.get("divisor") or "1") or 1
        return str(math.ceil(parse_quantity(amount) / divisor))
    except QuantityError as error:
        raise NotReadyError(str(error)) from error
