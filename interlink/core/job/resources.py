"""What a pod asks of Slurm: cores, memory, local disk and generic resources of its one job.

The rule is the Kubernetes scheduler's (k8s.io/component-helpers/resource): containers are summed, init containers run
one after another before them, sidecar containers beside all that follow, and the pod's overhead comes on top. A limit
counts before a request, because a job that outgrows its allocation is killed, not throttled. A limit of the whole pod
takes the place of that sum, and a request of the whole pod where it is larger (KEP-2837).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from interlink.core.errors import UnsupportedPod
from interlink.core.job.numbers import MOST, MOST_CPUS, MOST_MEMORY, bounded
from interlink.core.pod.demand import containers_demand
from interlink.core.quantity import Amount, parse_amount
from interlink.wire.pod import Container, Pod, ResourceRequirements

_MIB = 1024**2
CPU, MEMORY, DISK = "cpu", "memory", "ephemeral-storage"
_ALWAYS = frozenset({CPU, MEMORY, DISK})


@dataclass(frozen=True)
class JobResources:
    """What the job asks for, and whether any container said so itself: where none did, flags and flavors may."""

    cpus: int
    memory_mib: int
    cpus_said: bool = True
    memory_said: bool = True
    disk_mib: int = 0
    #: Pieces by Kubernetes' name, as ``nvidia.com/gpu``.
    extended: Mapping[str, int] = field(default_factory=dict)


def job_resources(
    pod: Pod, *, default_cpu: str, default_memory: str, extended: frozenset[str] = frozenset()
) -> JobResources:
    """Return what the pod's job asks for; a container that says nothing of a resource counts with the default.

    Cores are rounded up to whole ones, memory and disk to MiB. ``extended`` are the resources that the site has.
    Raises UnsupportedPod for a quantity that is none or that Slurm cannot hold, and by name for another resource.
    """
    for who, resources in _askers(pod):
        _refuse_unknown(who, resources, extended)
    cores = _pod_total(pod, CPU, parse_amount(default_cpu))
    memory = _pod_total(pod, MEMORY, parse_amount(default_memory))
    return JobResources(
        cpus=bounded("the pod's cpu", max(1, math.ceil(cores)), most=MOST_CPUS),
        memory_mib=max(1, _mebibytes("the pod's memory", memory, MOST_MEMORY)),
        cpus_said=any(_amount(who, resources, CPU) for who, resources in _askers(pod)),
        memory_said=any(_amount(who, resources, MEMORY) for who, resources in _askers(pod)),
        disk_mib=_mebibytes("the pod's ephemeral-storage", _pod_total(pod, DISK, 0), MOST),
        extended={name: pieces for name in sorted(_named(pod) & extended) if (pieces := _pieces(pod, name))},
    )


def _named(pod: Pod) -> set[str]:
    """Return the names of all resources that the pod says anything of."""
    named = set(pod.spec.overhead or ())
    for _, resources in _askers(pod):
        named.update(resources.limits or (), resources.requests or ())
    return named


def asks_for(container: Container, resource: str) -> bool:
    """Whether the container asks for any of the resource."""
    return _amount(_named_container(container), container.resources, resource) > 0


def _askers(pod: Pod) -> Iterator[tuple[str, ResourceRequirements]]:
    """Yield everybody who asks for resources, as errors name them."""
    if pod.spec.resources:
        yield "the pod", pod.spec.resources
    for container in pod.all_containers:
        yield _named_container(container), container.resources


def _named_container(container: Container) -> str:
    return f'container "{container.name}"'


def _pod_total(pod: Pod, resource: str, default: Amount) -> Amount:
    """Sum one resource over the pod, as the scheduler does."""
    overhead = parse_amount((pod.spec.overhead or {}).get(resource, 0))
    if overhead < 0:
        raise UnsupportedPod(f"the pod's overhead is a negative amount of {resource}")
    whole = pod.spec.resources or ResourceRequirements()
    if limit := _amount("the pod", ResourceRequirements(limits=whole.limits), resource):
        return limit + overhead
    request = _amount("the pod", whole, resource)
    return max(_containers_total(pod, resource, 0 if request else default), request) + overhead


def _containers_total(pod: Pod, resource: str, default: Amount) -> Amount:
    def amount(container: Container) -> Amount:
        return _amount(_named_container(container), container.resources, resource) or default

    init = ((amount(container), container.restartPolicy == "Always") for container in pod.spec.initContainers or ())
    return containers_demand(init, map(amount, pod.spec.containers))


def _pieces(pod: Pod, resource: str) -> int:
    """Return how many whole pieces of an extended resource the pod asks for."""
    total = _pod_total(pod, resource, 0)
    if total.denominator != 1:
        raise UnsupportedPod(f"the pod asks for {float(total):g} of {resource}, which comes in whole pieces only")
    return bounded(f"the pod's {resource}", int(total), most=MOST)


def _mebibytes(what: str, amount: Amount, most: int) -> int:
    return bounded(f"{what} in MiB", -(-amount // _MIB), most=most)


def _amount(who: str, resources: ResourceRequirements, resource: str) -> Amount:
    """Return the limit, else the request, else 0; zero means "not said", as in Kubernetes."""
    for source in (resources.limits, resources.requests):
        if not source or resource not in source:
            continue
        quantity = parse_amount(source[resource])
        if quantity < 0:
            raise UnsupportedPod(f"{who} asks for a negative amount of {resource}")
        if quantity:
            return quantity
    return 0


def _refuse_unknown(who: str, resources: ResourceRequirements, known: frozenset[str]) -> None:
    """Raise UnsupportedPod for a resource that no job of this site can be given."""
    for source in (resources.limits, resources.requests):
        for resource, value in (source or {}).items():
            if resource not in _ALWAYS and resource not in known and parse_amount(value):
                raise UnsupportedPod(
                    f"{who} asks for {resource} ({value}), which is not mapped on this site; "
                    "remove it, or ask the site's administrator"
                )
