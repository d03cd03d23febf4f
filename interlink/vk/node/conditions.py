"""The node's conditions: a kubelet's five, and whether InterLink can be reached.

Pure; called by ``controller.py``. The node stays Ready while the virtual kubelet lives, whatever the edge does, until
its walltime is over, or the configuration says otherwise: Kubernetes would evict pods whose jobs run on.
"""

from typing import Any

Json = dict[str, Any]

REACHABLE = "InterLinkReachable"


def node_conditions(reachable: bool | None, words: str, unready: tuple[str, str] | None = None) -> list[Json]:
    """Return type, status, reason and message of each condition.

    ``unready`` is the reason and the message of a node that is not ready.
    """
    edge = {True: "True", False: "False", None: "Unknown"}[reachable]
    reason = {True: "InterLinkAnswers", False: "InterLinkAway", None: "InterLinkNotAsked"}[reachable]
    return [
        _condition("MemoryPressure", "False", "SiteHasMemory", "the batch system allots memory"),
        _condition("DiskPressure", "False", "SiteHasDisk", "the site looks after its disks"),
        _condition("PIDPressure", "False", "SiteHasPIDs", "the site looks after its processes"),
        _condition("NetworkUnavailable", "False", "SiteHasNetwork", "jobs use the site's network"),
        _condition("Ready", "False", *unready)
        if unready
        else _condition("Ready", "True", "VirtualKubeletReady", "the virtual kubelet is running"),
        _condition(REACHABLE, edge, reason, words),
    ]


def dated(wanted: list[Json], held: list[Json], now: str) -> list[Json]:
    """Return the conditions with heartbeat and transition times; the latter changes only when a status flips."""
    old = {condition.get("type"): condition for condition in held}
    result = []
    for condition in wanted:
        known = old.get(condition["type"]) or {}
        kept = known.get("status") == condition["status"] and known.get("lastTransitionTime")
        result.append({**condition, "lastHeartbeatTime": now, "lastTransitionTime": kept or now})
    return result


def conditions_differ(wanted: list[Json], held: list[Json]) -> bool:
    """Whether anything but the heartbeats differs."""
    old = {condition.get("type"): condition for condition in held}
    return any(
        any((old.get(condition["type"]) or {}).get(key) != condition[key] for key in ("status", "reason", "message"))
        for condition in wanted
    )


def _condition(kind: str, status: str, reason: str, message: str) -> Json:
    return {"type": kind, "status": status, "reason": reason, "message": message}
