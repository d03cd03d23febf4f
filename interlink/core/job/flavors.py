"""Flavors: the administrator's named sets of what a job asks for, and which of them a pod gets.

Called by ``placement``. The order is that of today's plugin with the node selector, the virtual node and the namespace
in it: the pod's annotation, its node selector, its node's flavor, its namespace's, its GPUs, the default.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from interlink.core.errors import UnsupportedPod
from interlink.core.job.annotations import FLAVOR, PREFIX, annotation
from interlink.core.job.flags import Flags
from interlink.core.job.gres import parse_gres
from interlink.wire.messages import NODE_FLAVOR_ANNOTATION
from interlink.wire.pod import Pod

_GPU = "gpu"


@dataclass(frozen=True, kw_only=True)
class Flavor:
    """One flavor. ``cpus`` and ``memory_mib`` count for the whole pod where no container of it says anything."""

    name: str
    flags: Flags = field(default_factory=dict)
    cpus: int | None = None
    memory_mib: int | None = None
    #: The type of the GPUs (or other GRES) that the pod's own resources ask for.
    gres_type: str = ""
    #: The job's user, as a number; where the namespace has none of its own.
    uid: int | None = None
    #: Labels that choose this flavor where the pod's node selector has them all.
    node_selector: Mapping[str, str] = field(default_factory=dict)
    #: Whose pods may have it; empty: everybody's.
    namespaces: frozenset[str] = frozenset()

    def gpus(self) -> int:
        """Return how many GPUs its flags ask for."""
        gres = parse_gres(f"flavor {self.name}", self.flags["gres"]) if "gres" in self.flags else {}
        return sum(pieces for key, pieces in gres.items() if key.partition(":")[0] == _GPU)


def choose_flavor(
    pod: Pod, flavors: Mapping[str, Flavor], *, default: str, of_namespace: str, gpus: int
) -> Flavor | None:
    """Return the pod's flavor, None where the site has none for it; ``gpus`` is what its containers ask for.

    Raises UnsupportedPod for a flavor that is asked for by name and is not there, or not for this namespace.
    """
    named = annotation(pod, FLAVOR) or (pod.spec.nodeSelector or {}).get(PREFIX + FLAVOR)
    if named:
        return _named(named, pod, flavors)
    mine = [flavor for flavor in flavors.values() if _open_to(flavor, pod)]
    selector = (pod.spec.nodeSelector or {}).items()
    selected = next((each for each in mine if each.node_selector and each.node_selector.items() <= selector), None)
    of_node = pod.annotation(NODE_FLAVOR_ANNOTATION)
    if of_node and not selected:
        return _named(of_node, pod, flavors)
    if selected or of_namespace:
        return selected or flavors[of_namespace]
    with_gpus = [flavor for flavor in mine if flavor.gpus()] if gpus else []
    exact = next((flavor for flavor in with_gpus if flavor.gpus() == gpus), None)
    return exact or next(iter(with_gpus), None) or flavors.get(default)


def _named(name: str, pod: Pod, flavors: Mapping[str, Flavor]) -> Flavor:
    if name not in flavors:
        known = ", ".join(sorted(flavors)) or "none"
        raise UnsupportedPod(f"flavor {name[:60]!r} is not known on this site; there are: {known}")
    if not _open_to(flavors[name], pod):
        raise UnsupportedPod(f"flavor {name!r} is not for pods of namespace {pod.metadata.namespace}")
    return flavors[name]


def _open_to(flavor: Flavor, pod: Pod) -> bool:
    return not flavor.namespaces or pod.metadata.namespace in flavor.namespaces
