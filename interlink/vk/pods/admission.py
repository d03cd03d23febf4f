"""Whether this node takes a pod: the kubelet's own checks, for pods that no scheduler has placed; and DaemonSets' pods.

Pure; called by ``entrance.py`` before a pod is sent. Source of the checks, their order, reasons and
words: kubelet's pkg/kubelet/lifecycle/predicate.go. Differs from it in one thing: a pod that the scheduler placed is
not counted again. The site's capacity is another system's word, which may shrink while pods are on their way, and a
batch site lets a pod wait that a node would have to fail.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from interlink.core.pod.demand import containers_demand
from interlink.core.quantity import Amount, parse_amount

Json = dict[str, Any]

CPU, MEMORY, DISK, PODS = "cpu", "memory", "ephemeral-storage", "pods"
_COUNTED = (PODS, CPU, MEMORY, DISK)
_OS, _ARCH = "kubernetes.io/os", "kubernetes.io/arch"
#: A selector of these labels alone says nothing of what kind of node is wanted.
_ANY_NODE = frozenset({_OS, _ARCH, "beta.kubernetes.io/os", "beta.kubernetes.io/arch"})


@dataclass(frozen=True)
class Refusal:
    """Why the node does not take the pod: v1.PodStatus' reason and message."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Demand:
    """What one pod asks of the node: amounts by resource, and host ports as (protocol, address, port)."""

    amounts: Mapping[str, Amount] = field(default_factory=dict)
    ports: frozenset[tuple[str, str, int]] = frozenset()


#: One for all pods: an empty set of its own takes each 200 bytes.
_NO_PORTS: frozenset[tuple[str, str, int]] = frozenset()


def is_placed(pod: Json) -> bool:
    """Whether a scheduler has placed the pod; one that was created with spec.nodeName has no such condition."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(each["type"] == "PodScheduled" and each.get("status") == "True" for each in conditions)


def is_of_daemon_set(pod: Json) -> bool:
    """Whether a DaemonSet has made the pod."""
    owners = pod["metadata"].get("ownerReferences") or []
    return any(owner.get("kind") == "DaemonSet" and owner.get("controller") for owner in owners)


def came_by_chance(pod: Json, node: Json) -> bool:
    """Whether a DaemonSet's pod means every node: it tolerates all taints and names neither ours nor a kind of node."""
    spec = pod["spec"]
    tolerations = spec.get("tolerations") or []
    own = {taint["key"] for taint in _taints(node) if not taint["key"].startswith("node.kubernetes.io/")}
    chosen = {*(spec.get("nodeSelector") or ()), *_wanted_labels(spec)} - _ANY_NODE
    meant = bool(chosen) or any(each.get("key") in own for each in tolerations)
    return not meant and any(not each.get("key") and each.get("operator") == "Exists" for each in tolerations)


def check(pod: Json, node: Json, demand: Demand, used: Demand) -> Refusal | None:
    """Return why the node does not take the pod, None where it does; ``used`` is what its other pods ask for.

    Raises QuantityError for an amount that is none.
    """
    return (
        _check_system(pod, node) or _check_resources(node, demand, used) or _check_predicates(pod, node, demand, used)
    )


def pod_demand(pod: Json) -> Demand:
    """Return what the pod asks for, as the scheduler counts it. Raises QuantityError."""
    spec = pod["spec"]
    names = {PODS}
    containers = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    for part in (*containers, spec):
        names |= set((part.get("resources") or {}).get("requests") or ())
    names |= set(spec.get("overhead") or ())
    amounts: dict[str, Amount] = {name: _total(spec, name) for name in sorted(names)}
    amounts[PODS] = 1
    ports = frozenset(
        (port.get("protocol") or "TCP", port.get("hostIP") or "0.0.0.0", port["hostPort"])  # noqa: S104 - a wildcard
        for container in containers
        for port in container.get("ports") or ()
        if port.get("hostPort")
    )
    return Demand(amounts, ports or _NO_PORTS)


def _total(spec: Json, name: str) -> Amount:
    """Sum one resource over a pod: what it says of the whole of itself, else of its containers, and its overhead."""
    overhead = parse_amount((spec.get("overhead") or {}).get(name, 0))
    of_pod = ((spec.get("resources") or {}).get("requests") or {}).get(name)
    if of_pod is not None:
        return parse_amount(of_pod) + overhead

    def amount(container: Json) -> Amount:
        return parse_amount(((container.get("resources") or {}).get("requests") or {}).get(name, 0))

    init = ((amount(each), each.get("restartPolicy") == "Always") for each in spec.get("initContainers") or ())
    return containers_demand(init, map(amount, spec.get("containers") or ())) + overhead


def _check_system(pod: Json, node: Json) -> Refusal | None:
    metadata, spec = pod["metadata"], pod["spec"]
    system = _labels(node).get(_OS) or "linux"
    if (metadata.get("labels") or {}).get(_OS, system) != system:
        return Refusal(
            "PodOSSelectorNodeLabelDoesNotMatch",
            "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label",
        )
    if (spec.get("os") or {}).get("name", system) != system:
        return Refusal("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS")
    if (spec.get("securityContext") or {}).get("supplementalGroupsPolicy") == "Strict":
        return Refusal(
            "SupplementalGroupsPolicyNotSupported", "SupplementalGroupsPolicy=Strict is not supported in this node"
        )
    return None


def _check_resources(node: Json, demand: Demand, used: Demand) -> Refusal | None:
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    extended = [name for name in demand.amounts if name not in _COUNTED]
    for name in (*_COUNTED, *extended):
        asked = demand.amounts.get(name, 0)
        if not asked or (name not in allocatable and name in extended):
            # One that no node has is not this node's matter (a cluster-level resource); the site refuses it by name.
            continue
        held, capacity = used.amounts.get(name, 0), parse_amount(allocatable.get(name, 0))
        if held + asked > capacity:
            numbers = [_whole(name, amount) for amount in (asked, held, capacity)]
            words = "Node didn't have enough resource: {}, requested: {}, used: {}, capacity: {}"
            return Refusal(f"OutOf{name}", words.format(name, *numbers))
    return None


def _whole(name: str, amount: Amount) -> int:
    """Return an amount as kubelet says it: thousandths of cores, bytes or pieces, rounded up."""
    return int(-(-amount * (1000 if name == CPU else 1) // 1))


def _check_predicates(pod: Json, node: Json, demand: Demand, used: Demand) -> Refusal | None:
    if not _selects(pod["spec"], node):
        return _failed("NodeAffinity", "node(s) didn't match Pod's node affinity/selector")
    wanted = pod["spec"].get("nodeName")
    if wanted and wanted != node["metadata"]["name"]:
        return _failed("NodeName", "node(s) didn't match the requested node name")
    if any(_collide(one, other) for one in demand.ports for other in used.ports):
        return _failed("NodePorts", "node(s) didn't have free ports for the requested pod ports")
    tolerations = pod["spec"].get("tolerations") or []
    for taint in _taints(node):
        if taint.get("effect") == "NoExecute" and not any(_tolerates(each, taint) for each in tolerations):
            return _failed("TaintToleration", "node(s) had taints that the pod didn't tolerate")
    return None


def _failed(predicate: str, words: str) -> Refusal:
    return Refusal(predicate, f"Predicate {predicate} failed: {words}")


def _collide(one: tuple[str, str, int], other: tuple[str, str, int]) -> bool:
    everywhere = "0.0.0.0"  # noqa: S104 - a wildcard
    return (one[0], one[2]) == (other[0], other[2]) and (one[1] == other[1] or everywhere in (one[1], other[1]))


def _tolerates(toleration: Json, taint: Json) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")


def _wanted_labels(spec: Json) -> set[str]:
    """Return the labels that the required node affinity wants of a node; what a node must not have chooses no kind."""
    terms = _required(spec).get("nodeSelectorTerms") or ()
    expressions = [each for term in terms for each in term.get("matchExpressions") or ()]
    return {each["key"] for each in expressions if each.get("operator") not in ("NotIn", "DoesNotExist")}


def _required(spec: Json) -> Json:
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    return affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}


def _selects(spec: Json, node: Json) -> bool:
    """Whether the pod's node selector and required node affinity match the node."""
    labels = _labels(node)
    if any(labels.get(name) != value for name, value in (spec.get("nodeSelector") or {}).items()):
        return False
    required = _required(spec)
    if not required:
        return True
    fields = {"metadata.name": node["metadata"]["name"]}
    return any(_matches(term, labels, fields) for term in required.get("nodeSelectorTerms") or ())


def _matches(term: Json, labels: Mapping[str, str], fields: Mapping[str, str]) -> bool:
    """Whether a v1.NodeSelectorTerm matches; an empty one matches nothing."""
    by_label, by_field = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not by_label and not by_field:
        return False
    return all(_holds(each, labels) for each in by_label) and all(_holds(each, fields) for each in by_field)


def _holds(requirement: Json, facts: Mapping[str, str]) -> bool:
    held = facts.get(requirement["key"])
    values: list[str] = requirement.get("values") or []
    table: dict[str, Callable[[], bool]] = {
        "In": lambda: held in values,
        "NotIn": lambda: held not in values,
        "Exists": lambda: held is not None,
        "DoesNotExist": lambda: held is None,
        "Gt": lambda: _number(held) > _number(values[0]),
        "Lt": lambda: _number(held) < _number(values[0]),
    }
    try:
        return table[requirement.get("operator") or ""]()
    except (KeyError, IndexError, ValueError):
        return False


def _number(text: str | None) -> int:
    return int(text or "")


def _labels(node: Json) -> Mapping[str, str]:
    labels: Mapping[str, str] = node["metadata"].get("labels") or {}
    return labels


def _taints(node: Json) -> list[Json]:
    return (node.get("spec") or {}).get("taints") or []
