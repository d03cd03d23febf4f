"""A pod's phase from its containers' states: kubelet's own table (getPhase in kubelet_pods.go, 1.34).

One thing is added: a regular container that waits for its next start has been started, so that a requeued pod whose
init containers run once more does not go back from Running to Pending. Pure; called by ``status.py``. Terminal phases
are for ``status.py`` to hold back while something may still run.
"""

from collections import Counter
from typing import Any

Json = dict[str, Any]


def pod_phase(spec: Json, statuses: dict[str, Json], *, terminal: bool) -> str:
    """Return the phase; ``statuses`` are all container statuses by name, ``terminal`` that no restart will follow."""
    policy = spec.get("restartPolicy") or "Always"
    init = spec.get("initContainers") or []
    pending, failed = _initialization(init, statuses)
    if failed and policy == "Never":
        return "Failed"
    counts = _count_sidecars(init, statuses)
    pending += counts.pop("pending", 0)
    for container in spec.get("containers") or []:
        counts.update(_count(statuses.get(container["name"])))
    if (pending and not any_started(spec, statuses)) or counts["waiting"]:
        return "Pending"
    if counts["unknown"]:
        return "Pending"
    if counts["running"]:
        return "Running"
    return _ended(counts, policy, terminal) if counts["stopped"] else "Pending"


def _ended(counts: Counter[str], policy: str, terminal: bool) -> str:
    succeeded = counts["stopped"] == counts["succeeded"]
    if terminal or policy == "Never":
        return "Succeeded" if succeeded else "Failed"
    if policy == "Always":
        return "Running"
    return "Succeeded" if succeeded else "Running"


def _initialization(init: list[Json], statuses: dict[str, Json]) -> tuple[int, int]:
    """Return how many plain init containers are still to end well, and how many failed."""
    pending = failed = 0
    for container in init:
        if is_sidecar(container):
            continue
        status = statuses.get(container["name"]) or {}
        state = status.get("state") or {}
        ended = state.get("terminated") or (
            (status.get("lastState") or {}).get("terminated") if "waiting" in state else None
        )
        if ended is None:
            pending += 1
        elif ended.get("exitCode", 0) != 0:
            failed += 1
    return pending, failed


def _count_sidecars(init: list[Json], statuses: dict[str, Json]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for container in init:
        if not is_sidecar(container):
            continue
        status = statuses.get(container["name"])
        state = (status or {}).get("state") or {}
        if "running" in state:
            counts["running"] += 1
            counts["pending"] += 0 if (status or {}).get("started") else 1
        elif "waiting" in state and not _ended_before(status):
            counts.update(("pending", "waiting"))
        elif not state:
            counts["unknown"] += 1
    return counts


def _count(status: Json | None) -> list[str]:
    state = (status or {}).get("state") or {}
    if "running" in state:
        return ["running"]
    if "terminated" in state:
        return ["stopped", "succeeded"] if (state["terminated"] or {}).get("exitCode", 0) == 0 else ["stopped"]
    if "waiting" in state:
        return ["stopped"] if _ended_before(status) else ["waiting"]
    return ["unknown"]


def _ended_before(status: Json | None) -> bool:
    return bool(((status or {}).get("lastState") or {}).get("terminated"))


def any_started(spec: Json, statuses: dict[str, Json]) -> bool:
    """Whether any regular container was ever started."""
    return any(has_begun(statuses.get(container["name"])) for container in spec.get("containers") or [])


def has_begun(status: Json | None) -> bool:
    """Whether the container was ever started."""
    state = (status or {}).get("state") or {}
    return "running" in state or "terminated" in state or _ended_before(status)


def is_sidecar(container: Json) -> bool:
    """Whether an init container goes on beside the regular ones."""
    return container.get("restartPolicy") == "Always"
