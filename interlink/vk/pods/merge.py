"""A v1.PodStatus and what is wanted of it brought together, in the two ways in which the API takes it.

Pure; called by ``writer.py``. Both say the same: conditions are merged by their type, and what is null goes; every
other list is replaced, and what is not wanted stays. Source: the patchStrategy and patchMergeKey of v1.PodStatus'
fields, and sig-api-machinery/strategic-merge-patch.md of kubernetes/community.
"""

from typing import Any

Json = dict[str, Any]

#: Lists that a patch would merge by address, and that are wanted whole.
_ADDRESSES = ("podIPs", "hostIPs")


def replacement(pod: Json, desired: Json) -> Json:
    """Return what is put to pods/status to make it so: the pod without its spec, which no status changes."""
    rest = {key: value for key, value in pod.items() if key != "spec"}
    return {**rest, "status": merged_status(pod.get("status") or {}, desired)}


def merged_status(current: Json, desired: Json) -> Json:
    """Return the status as it will be."""
    status = {**current, **desired}
    if "conditions" in status:
        status["conditions"] = _conditions(current.get("conditions") or [], desired.get("conditions") or [])
    return status


def status_patch(current: Json, desired: Json) -> Json:
    """Return the strategic merge patch that has kube-apiserver make it so."""
    status = dict(desired)
    for key in _ADDRESSES:
        if key in status and current.get(key) and current[key] != status[key]:
            status[key] = [{"$patch": "replace"}, *status[key]]
    return status


def _conditions(current: list[Json], desired: list[Json]) -> list[Json]:
    by_type = {condition["type"]: condition for condition in current}
    for condition in desired:
        kind = condition["type"]
        if condition.get("$patch") == "delete":
            by_type.pop(kind, None)
        else:
            whole = {**by_type.get(kind, {}), **condition}
            by_type[kind] = {key: value for key, value in whole.items() if value is not None}
    return list(by_type.values())
