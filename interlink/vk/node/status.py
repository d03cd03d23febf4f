"""The node's status as it is written: a patch of what differs, or the heartbeat that a kubelet gives now and then.

Pure; called by ``controller.py``.
"""

import importlib.metadata
import ipaddress
import platform
from typing import Any

from interlink.config.nodes import NodeSettings
from interlink.vk.node.capacity import same_capacity
from interlink.vk.node.conditions import conditions_differ, dated
from interlink.vk.node.spec import architecture

Json = dict[str, Any]

#: The Kubernetes release whose kubelet API this node speaks; a version that parses, for those who compare it.
RELEASE = "v1.34.0"


def own_version() -> str:
    """Return this project's version, as the wheel has it."""
    try:
        return importlib.metadata.version("interlink-edge")
    except importlib.metadata.PackageNotFoundError:
        return "0.0.0"


VERSION = own_version()
KUBELET_VERSION = f"{RELEASE}-interlink-{VERSION}"


def node_status(settings: NodeSettings, capacity: dict[str, str], conditions: list[Json]) -> Json:
    """Return the status that the node is to have, without times."""
    return {
        "capacity": capacity,
        "allocatable": capacity,
        "conditions": conditions,
        "addresses": _addresses(settings.address),
        "daemonEndpoints": {"kubeletEndpoint": {"Port": settings.port}},
        "nodeInfo": {
            "architecture": architecture(),
            "bootID": "",
            "containerRuntimeVersion": f"interlink://{VERSION}",
            "kernelVersion": platform.release(),
            "kubeProxyVersion": "",
            "kubeletVersion": KUBELET_VERSION,
            "machineID": "",
            "operatingSystem": "linux",
            "osImage": "InterLink",
            "systemUUID": "",
        },
    }


def status_patch(node: Json, wanted: Json, stale_resources: list[str], now: str, *, heartbeat: bool) -> Json | None:
    """Return the patch of nodes/NAME/status, None where nothing differs and no heartbeat is due."""
    held = node.get("status") or {}
    stale = {name: None for name in stale_resources if name in (held.get("capacity") or {})}
    differs = (
        bool(stale)
        or not same_capacity(held.get("capacity") or {}, wanted["capacity"])
        or not same_capacity(held.get("allocatable") or {}, wanted["allocatable"])
        or conditions_differ(wanted["conditions"], held.get("conditions") or [])
        or (held.get("addresses") or []) != wanted["addresses"]
        or (held.get("daemonEndpoints") or {}) != wanted["daemonEndpoints"]
        or (held.get("nodeInfo") or {}).get("kubeletVersion") != KUBELET_VERSION
    )
    if not differs and not heartbeat:
        return None
    status = dict(wanted)
    status["capacity"] = {**wanted["capacity"], **stale}
    status["allocatable"] = {**wanted["allocatable"], **stale}
    status["conditions"] = dated(wanted["conditions"], held.get("conditions") or [], now)
    # Addresses merge by their type: an old one would stay.
    status["addresses"] = [{"$patch": "replace"}, *wanted["addresses"]]
    return {"status": status}


def _addresses(address: str) -> list[Json]:
    """Return InternalIP only: a Hostname that does not resolve would be tried first by kube-apiserver."""
    try:
        return [{"type": "InternalIP", "address": str(ipaddress.ip_address(address))}]
    except ValueError:
        return []
