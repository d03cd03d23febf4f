"""From the edge's PodStatus to the patch of v1.PodStatus, and whether the API needs it at all.

Pure; called by ``controller.py``. Invariants: a terminal phase is never left, nor taken while something may still
run; what is equal in the API is not sent; foreign conditions and fields are never touched.
"""

import ipaddress
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from interlink.core.pod.support import ignored
from interlink.vk.pods import resize
from interlink.vk.pods.conditions import disruption, pod_conditions, resize_infeasible
from interlink.vk.pods.containers import container_statuses, end_containers, never_started
from interlink.vk.pods.phase import pod_phase
from interlink.vk.pods.record import TERMINAL
from interlink.wire.messages import PodStatus

Json = dict[str, Any]

NOTHING: Mapping[str, Json] = MappingProxyType({})
#: Why an ephemeral container waits for ever; kubectl debug shows the message.
EPHEMERAL = ("NotSupported", ignored({"ephemeralContainers": True})[0])


def reported_status(pod: Json, status: PodStatus, now: str, sent: Mapping[str, Json] = NOTHING) -> Json:
    """Return the v1.PodStatus fields that the edge's word makes of this pod.

    ``sent``: the containers' resources of a create request since which no status was written.
    """
    spec, old = pod["spec"], pod.get("status") or {}
    policy = spec.get("restartPolicy") or "Always"
    init = container_statuses(
        spec.get("initContainers") or [], status.initContainers, old.get("initContainerStatuses") or [], policy
    )
    main = container_statuses(spec["containers"], status.containers, old.get("containerStatuses") or [], policy)
    if status.ended and pod_phase(spec, _by_name(init, main), terminal=True) != "Failed":
        # What never began because an init container failed goes on waiting, as under a kubelet.
        main = end_containers(main, now)
        init = [entry if "terminated" in entry["state"] else end_containers([entry], now)[0] for entry in init]
    phase = pod_phase(spec, _by_name(init, main), terminal=status.ended)
    if phase in TERMINAL and not status.ended:
        phase = "Pending" if old.get("phase") == "Pending" else "Running"
    if status.ended and status.reason and not (pod.get("metadata") or {}).get("deletionTimestamp"):
        # The edge has a reason only for an end that is not the pod's own: what exits 0 on SIGTERM has not succeeded.
        phase = "Failed"
    desired = _allocated(pod, _assemble(pod, phase, init, main, now), now, sent)
    if status.disrupted:
        desired["conditions"].append(disruption(old.get("conditions") or [], status.reason, status.message, now))
    if status.reason or status.message:
        desired |= {"reason": status.reason, "message": status.message}
    return desired | _addresses(status.hostIP)


def final_status(pod: Json, reason: str, message: str, now: str) -> Json:
    """Return the terminal status of a pod of which the edge knows nothing (any more)."""
    spec, old = pod["spec"], pod.get("status") or {}
    policy = spec.get("restartPolicy") or "Always"
    api_init, api_main = old.get("initContainerStatuses") or [], old.get("containerStatuses") or []
    init = end_containers(container_statuses(spec.get("initContainers") or [], api_init, api_init, policy), now)
    main = end_containers(container_statuses(spec["containers"], api_main, api_main, policy), now)
    phase = pod_phase(spec, _by_name(init, main), terminal=True)
    desired = _allocated(pod, _assemble(pod, phase, init, main, now), now, NOTHING)
    return desired | ({"reason": reason, "message": message} if reason else {})


def rejected_status(pod: Json, reason: str, message: str, now: str) -> Json:
    """Return the status of a pod that never ran and never will: Failed, with the words of who refused it."""
    desired = _assemble(pod, "Failed", [], [], now)
    return desired | {"reason": reason, "message": message}


def waiting_status(pod: Json, problems: dict[str, tuple[str, str]], now: str) -> Json:
    """Return the status of a pod that cannot be sent yet; ``problems`` gives some containers' reason and message."""
    spec = pod["spec"]
    main = container_statuses(spec["containers"], [], [], "Always")
    init = container_statuses(spec.get("initContainers") or [], [], [], "Always")
    for entry in (*init, *main):
        reason, message = problems.get(entry["name"], ("PodInitializing" if init else "ContainerCreating", ""))
        entry["state"] = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
    return _assemble(pod, "Pending", init, main, now)


def patch_needed(current: Json, desired: Json) -> bool:
    """Whether the API's status differs from what is wanted, seen through its defaults and dropped fields."""
    for key, wanted in desired.items():
        if key == "conditions":
            held = {condition["type"]: condition for condition in current.get("conditions") or []}
            if any(_condition_differs(held.get(condition["type"]) or {}, condition) for condition in wanted):
                return True
        elif key in ("containerStatuses", "initContainerStatuses"):
            held_list = current.get(key) or []
            if len(held_list) != len(wanted):
                return True
            if any(_differs(held, entry) for held, entry in zip(held_list, wanted, strict=True)):
                return True
        elif key == "observedGeneration":
            if _generation_differs(current, desired):
                return True
        elif not _same(current.get(key), wanted):
            return True
    return False


def _assemble(pod: Json, phase: str, init: list[Json], main: list[Json], now: str) -> Json:
    old = pod.get("status") or {}
    if old.get("phase") in TERMINAL:
        phase = old["phase"]
    desired: Json = {
        "phase": phase,
        "conditions": pod_conditions(pod, phase, _by_name(init, main), now),
        "startTime": old.get("startTime") or now,
    }
    if main:
        desired["containerStatuses"] = main
    if init:
        desired["initContainerStatuses"] = init
    if asked := pod["spec"].get("ephemeralContainers"):
        desired["ephemeralContainerStatuses"] = [never_started(container, EPHEMERAL) for container in asked]
    if (pod.get("metadata") or {}).get("generation"):
        desired["observedGeneration"] = pod["metadata"]["generation"]
    return desired


def _allocated(pod: Json, desired: Json, now: str, sent: Mapping[str, Json]) -> Json:
    """Return the status with what the containers were given, and whether somebody has asked for something else."""
    for key in ("initContainerStatuses", "containerStatuses"):
        if key in desired:
            desired[key] = resize.with_allocation(pod, desired[key], sent)
    statuses = [*desired.get("initContainerStatuses", ()), *desired.get("containerStatuses", ())]
    old = (pod.get("status") or {}).get("conditions") or []
    if resize.is_infeasible(pod["spec"], statuses):
        desired["conditions"].append(resize_infeasible(old, (pod.get("metadata") or {}).get("generation"), now))
    elif any(condition["type"] == resize.PENDING for condition in old):
        desired["conditions"].append({"$patch": "delete", "type": resize.PENDING})
    return desired


def _addresses(address: str) -> Json:
    """Return the address fields: a job shares its compute node's network, so the pod's address is the host's."""
    try:
        address = str(ipaddress.ip_address(address))
    except ValueError:
        return {}
    single = [{"ip": address}]
    return {"hostIP": address, "hostIPs": single, "podIP": address, "podIPs": single}


def _by_name(*lists: list[Json]) -> dict[str, Json]:
    return {status["name"]: status for statuses in lists for status in statuses}


def _condition_differs(held: Json, wanted: Json) -> bool:
    return bool(held) if "$patch" in wanted else _differs(held, wanted)


def _differs(held: Json, wanted: Json) -> bool:
    """Whether they differ; what an older server drops from containers' statuses (``resize``) is no difference."""
    if _generation_differs(held, wanted):
        return True
    dropped = [key for key in resize.FIELDS if held.get(key) is None]
    return any(
        not _same(held.get(key), value)
        for key, value in wanted.items()
        if key != "observedGeneration" and key not in dropped
    )


def _same(held: Any, wanted: Any) -> bool:
    """Whether both say the same; most often they are simply equal, which costs a tenth of the other comparison."""
    return bool(held == wanted or _bare({"": held}) == _bare({"": wanted}))


def _generation_differs(held: Json, wanted: Json) -> bool:
    """Whether the generations differ; an older server drops the field, so its absence is no difference."""
    held_one, wanted_one = held.get("observedGeneration"), wanted.get("observedGeneration")
    return bool(held_one) and bool(wanted_one) and held_one != wanted_one


def _bare(value: Any) -> Any:
    """Return the value without what JSON may write or leave out at will: nulls, empty texts, maps and lists."""
    if isinstance(value, dict):
        kept = {key: _bare(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, "", {}, [])}
    if isinstance(value, list):
        return [_bare(item) for item in value]
    return None if value == "" else value
