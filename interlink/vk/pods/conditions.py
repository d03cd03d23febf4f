"""The pod conditions that a kubelet owns, with their transition times kept while a status does not flip.

Pure; called by ``status.py``. Foreign conditions (readiness gates, the scheduler's PodScheduled) are read, never
written; PodScheduled only where no scheduler has placed the pod, DisruptionTarget only where the site itself took the
pod's node from it, PodResizePending only where somebody has asked for other resources.
"""

from typing import Any

from interlink.vk.pods import resize
from interlink.vk.pods.phase import any_started, has_begun, is_sidecar

Json = dict[str, Any]


def pod_conditions(pod: Json, phase: str, statuses: dict[str, Json], now: str) -> list[Json]:
    """Return the owned conditions for the phase and the container statuses by name."""
    spec = pod["spec"]
    old = {condition["type"]: condition for condition in (pod.get("status") or {}).get("conditions") or []}
    generation = (pod.get("metadata") or {}).get("generation")
    sandbox = phase == "Running" or (phase == "Pending" and any(map(has_begun, statuses.values())))
    containers_ready = _containers_ready(spec, phase, statuses)
    facts = {
        "PodReadyToStartContainers": ("True" if sandbox else "False", "", ""),
        "Initialized": _initialized(spec, phase, statuses),
        "Ready": _ready(spec, containers_ready, old),
        "ContainersReady": containers_ready,
    }
    if "PodScheduled" not in old:
        facts["PodScheduled"] = ("True", "", "")
    return [_condition(kind, fact, old.get(kind), generation, now) for kind, fact in facts.items()]


def disruption(old: list[Json], reason: str, message: str, now: str) -> Json:
    """Return the condition by which a Job's podFailurePolicy knows that the pod did nothing to end."""
    held = next((condition for condition in old if condition["type"] == "DisruptionTarget"), None)
    return _condition("DisruptionTarget", ("True", reason, message), held, None, now)


def resize_infeasible(old: list[Json], generation: int | None, now: str) -> Json:
    """Return the condition by which a user sees that a resize will not happen, and the scheduler does not count it."""
    held = next((condition for condition in old if condition["type"] == resize.PENDING), None)
    return _condition(resize.PENDING, ("True", resize.INFEASIBLE, resize.WORDS), held, generation, now)


Fact = tuple[str, str, str]


def _initialized(spec: Json, phase: str, statuses: dict[str, Json]) -> Fact:
    if phase == "Succeeded":
        return "True", "PodCompleted", ""
    open_ones = [
        container["name"]
        for container in spec.get("initContainers") or []
        if not _is_initialized(container, statuses.get(container["name"]) or {})
    ]
    if open_ones and not any_started(spec, statuses):
        return "False", "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(open_ones)}]"
    return "True", "", ""


def _is_initialized(container: Json, status: Json) -> bool:
    state = status.get("state") or {}
    if is_sidecar(container):
        return "running" in state and bool(status.get("started"))
    return "terminated" in state and (state["terminated"] or {}).get("exitCode", 0) == 0


def _containers_ready(spec: Json, phase: str, statuses: dict[str, Json]) -> Fact:
    if phase == "Succeeded":
        return "False", "PodCompleted", ""
    if phase == "Failed":
        return "False", "PodFailed", ""
    containers = [
        *[container for container in spec.get("initContainers") or [] if is_sidecar(container)],
        *(spec.get("containers") or []),
    ]
    unready = [c["name"] for c in containers if not (statuses.get(c["name"]) or {}).get("ready")]
    if unready:
        return "False", "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"
    return "True", "", ""


def _ready(spec: Json, containers_ready: Fact, old: dict[str, Json]) -> Fact:
    if containers_ready[0] != "True":
        return containers_ready
    gates = [gate["conditionType"] for gate in spec.get("readinessGates") or []]
    closed = [gate for gate in gates if (old.get(gate) or {}).get("status") != "True"]
    if closed:
        said = "; ".join(f'the status of pod readiness gate "{gate}" is not "True"' for gate in closed)
        return "False", "ReadinessGatesNotReady", said
    return containers_ready


def _condition(kind: str, fact: Fact, old: Json | None, generation: int | None, now: str) -> Json:
    status, reason, message = fact
    kept = old is not None and old.get("status") == status and old.get("lastTransitionTime")
    condition: Json = {
        "type": kind,
        "status": status,
        # Strategic merge keeps what is left out: an old reason goes only by a null.
        "reason": reason or None,
        "message": message or None,
        "lastTransitionTime": old["lastTransitionTime"] if old and kept else now,
    }
    if generation:
        condition["observedGeneration"] = generation
    return condition
