"""In-place resize (KEP-1287): what a pod's containers were given, and that they will get nothing else.

Pure; called by ``status.py`` and ``telling.py``. A job keeps the size that it was submitted with, so a resize is what a
kubelet calls infeasible. As with a kubelet, the allocation stands in the containers' statuses (``resources``,
``allocatedResources``), from which the scheduler counts while a resize is infeasible; there it outlives this process.
Sources: pkg/kubelet/allocation (the condition and the event), pkg/kubelet/kubelet_pods.go (the statuses) and
pkg/kubelet/events (the event's message). Servers before 1.33 drop these fields, and know no resize.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from interlink.vk.pods.phase import is_sidecar

Json = dict[str, Any]

PENDING, INFEASIBLE = "PodResizePending", "Infeasible"
WORDS = (
    "In-place pod resize is not supported by this node: a batch job keeps the resources that it was submitted with. "
    "Create the pod anew to give it others"
)
#: The fields of a container's status that say what it was given; a server that drops them is not asked again.
FIELDS = ("resources", "allocatedResources")


def asked(spec: Json) -> dict[str, Json]:
    """Return the v1.ResourceRequirements that each container asks for that can be resized: all but plain init ones."""
    return {container["name"]: container.get("resources") or {} for _, container in _resizable(spec)}


def with_allocation(pod: Json, statuses: list[Json], sent: Mapping[str, Json]) -> list[Json]:
    """Return the containers' statuses with what was allocated.

    That is what the job was asked for, in ``sent``; where that is not known any more, what the API's statuses say.
    """
    wanted, held = asked(pod["spec"]), _held(pod)
    return [
        status | _allocation(sent.get(name, held.get(name, wanted[name]))) if name in wanted else status
        for status in statuses
        for name in (status["name"],)
    ]


def is_infeasible(spec: Json, statuses: list[Json]) -> bool:
    """Whether a container asks for other limits or requests than it was given."""
    given = {status["name"]: status["resources"] for status in statuses if "resources" in status}
    return any(_differ(resources, given[name]) for name, resources in asked(spec).items() if name in given)


def is_news(old: Json, new: Json) -> bool:
    """Whether the second of two statuses tells of a resize that the first one did not tell of."""
    before, after = _condition(old), _condition(new)
    if not after:
        return False
    # Servers that drop a condition's generation tell no second resize from the first one.
    known, generation = before.get("observedGeneration"), after.get("observedGeneration")
    return not before or bool(known and generation and known != generation)


def message(pod: Json) -> str:
    """Return the message of the event ResizeInfeasible: the sizes that were asked for, and why it is none of them."""
    summary: Json = {}
    for kind, container in _resizable(pod["spec"]):
        entry = {"name": container["name"], "resources": container.get("resources") or {}}
        summary.setdefault(kind, []).append(entry)
    summary |= {"generation": pod["metadata"].get("generation") or 0, "error": WORDS}
    return f"Pod resize {INFEASIBLE}: {json.dumps(summary, separators=(',', ':'))}"


def _resizable(spec: Json) -> Iterator[tuple[str, Json]]:
    for container in spec.get("initContainers") or []:
        if is_sidecar(container):
            yield "initContainers", container
    for container in spec["containers"]:
        yield "containers", container


def _held(pod: Json) -> dict[str, Json]:
    """Return what the API's statuses say was allocated."""
    old = pod.get("status") or {}
    everyone = [*(old.get("initContainerStatuses") or []), *(old.get("containerStatuses") or [])]
    return {status["name"]: status["resources"] for status in everyone if status.get("resources") is not None}


def _allocation(resources: Json) -> Json:
    requests = resources.get("requests")
    return {"resources": resources} | ({"allocatedResources": requests} if requests else {})


def _differ(one: Json, other: Json) -> bool:
    """Whether two differ in what can be resized; kube-apiserver writes quantities in one way only."""
    return any((one.get(kind) or {}) != (other.get(kind) or {}) for kind in ("limits", "requests"))


def _condition(status: Json) -> Json:
    found = (each for each in status.get("conditions") or [] if each["type"] == PENDING and "$patch" not in each)
    return next(found, {})
