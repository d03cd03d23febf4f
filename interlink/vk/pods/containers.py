"""Container statuses made fit for the API: complete, in spec order, whole seconds, never back from an end.

Pure; called by ``status.py`` with what came over the wire and what the API holds.
"""

from typing import Any

from interlink.vk.times import whole_seconds

Json = dict[str, Any]

#: kubelet's limit for the termination messages of one pod, in bytes.
MESSAGES_OF_A_POD = 12 * 1024
_KEPT = ("containerID", "image", "imageID", "lastState", "name", "ready", "restartCount", "started", "state")


def container_statuses(spec: list[Json], wire: list[Json], api: list[Json], policy: str) -> list[Json]:
    """Return one status for each container of the spec, in its order."""
    said = {status.get("name"): status for status in wire}
    known = {status.get("name"): status for status in api}
    limit = MESSAGES_OF_A_POD // max(1, len(spec))
    result = []
    for container in spec:
        old = known.get(container["name"])
        new = _fit(container, said.get(container["name"]) or {}, limit)
        own_policy = container.get("restartPolicy") or policy
        result.append(old if old and _came_back(old, new, own_policy) else new)
    return result


def end_containers(statuses: list[Json], now: str) -> list[Json]:
    """Return the statuses with every container ended, as kubelet does for a pod whose containers it cannot find."""
    ended = []
    for status in statuses:
        state = status.get("state") or {}
        if "terminated" in state:
            ended.append(status)
            continue
        facts: Json = {
            "exitCode": 137,
            "reason": "ContainerStatusUnknown",
            "message": "The container could not be located when the pod was terminated",
            "startedAt": (state.get("running") or {}).get("startedAt"),
            "finishedAt": now,
        }
        ended.append({**status, "state": {"terminated": facts}, "ready": False, "started": False})
    return ended


def _fit(container: Json, said: Json, limit: int) -> Json:
    status = {key: said[key] for key in _KEPT if said.get(key) is not None}
    status["name"] = container["name"]
    status["image"] = status.get("image") or container.get("image") or ""
    status["imageID"] = status.get("imageID") or ""
    status["restartCount"] = int(status.get("restartCount") or 0)
    status["state"] = _fit_state(said.get("state") or {}, limit)
    status["lastState"] = _fit_state(said.get("lastState") or {}, limit, default=False)
    running = "running" in status["state"]
    # An init container is ready once it has succeeded; the plugin says so, and a waiting one never is.
    status["ready"] = "waiting" not in status["state"] and bool(status.get("ready"))
    status["started"] = running and bool(status.get("started", True))
    return status


def _fit_state(state: Json, limit: int, *, default: bool = True) -> Json:
    for kind in ("terminated", "running", "waiting"):
        facts = state.get(kind)
        if facts is None:
            continue
        fit = {key: value for key, value in facts.items() if value is not None}
        for key in ("startedAt", "finishedAt"):
            if key in fit:
                fit[key] = whole_seconds(str(fit[key]))
                if not fit[key]:
                    del fit[key]
        if len(str(fit.get("message") or "")) > limit:
            fit["message"] = str(fit["message"])[-limit:]
        if kind == "terminated":
            fit["exitCode"] = int(fit.get("exitCode") or 0)
        return {kind: fit}
    return {"waiting": {"reason": "ContainerCreating"}} if default else {}


def _came_back(old: Json, new: Json, policy: str) -> bool:
    """Whether the API would refuse the new state: an end that its restart policy makes final was already told."""
    ended = (old.get("state") or {}).get("terminated")
    if ended is None or "terminated" in new["state"]:
        return False
    return policy == "Never" or (policy == "OnFailure" and ended.get("exitCode", 0) == 0)


def never_started(container: Json, words: tuple[str, str]) -> Json:
    """Return the v1.ContainerStatus of a container that waits for ever, for this reason and message."""
    reason, message = words
    return {
        "name": container["name"],
        "image": container.get("image") or "",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"waiting": {"reason": reason, "message": message}},
    }
