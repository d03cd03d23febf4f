"""What a pod asks of Slurm: cores, memory and time of its one job.

The rule is the Kubernetes scheduler's (k8s.io/component-helpers/resource): containers are summed, init containers run
one after another before them, sidecar containers beside all that follow, and the pod's overhead comes on top. A limit
counts before a request, because a job that outgrows its allocation is killed, not throttled.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

from interlink.core.errors import UnsupportedPod
from interlink.core.quantity import parse_quantity
from interlink.wire.pod import Container, Pod

_MIB = 1024**2
#: Resources that are mapped, or that mean nothing to a batch site and are safely left to it.
_KNOWN = frozenset({"cpu", "memory", "ephemeral-storage"})


@dataclass(frozen=True)
class JobResources:
    """Cores, MiB and minutes of a job; ``time_limit_minutes`` None leaves the partition's own limit."""

    cpus: int
    memory_mib: int
    time_limit_minutes: int | None


def job_resources(pod: Pod, *, default_cpu: str, default_memory: str) -> JobResources:
    """Return what the pod's job asks for; a container that says nothing of a resource counts with the default.

    Cores are rounded up to whole ones, memory to MiB, ``activeDeadlineSeconds`` to minutes.
    Raises UnsupportedPod for a quantity that is none, and by name for a resource that the site does not map.
    """
    for container in (*(pod.spec.initContainers or ()), *pod.spec.containers):
        _refuse_unknown(container)
    cores = _pod_total(pod, "cpu", parse_quantity(default_cpu))
    memory = _pod_total(pod, "memory", parse_quantity(default_memory))
    deadline = pod.spec.activeDeadlineSeconds
    return JobResources(
        cpus=max(1, math.ceil(cores)),
        memory_mib=max(1, math.ceil(memory / _MIB)),
        time_limit_minutes=None if deadline is None else max(1, -(-deadline // 60)),
    )


def _pod_total(pod: Pod, resource: str, default: Fraction) -> Fraction:
    """Sum one resource over the pod, as the scheduler does."""

    def amount(container: Container) -> Fraction:
        return _amount(container, resource) or default

    sidecars = peak = Fraction(0)
    for container in pod.spec.initContainers or ():
        if container.restartPolicy == "Always":
            sidecars += amount(container)
            peak = max(peak, sidecars)
        else:
            peak = max(peak, sidecars + amount(container))
    running = sum((amount(container) for container in pod.spec.containers), sidecars)
    overhead = parse_quantity((pod.spec.overhead or {}).get(resource, 0))
    if overhead < 0:
        raise UnsupportedPod(f"the pod's overhead is a negative amount of {resource}")
    return max(running, peak) + overhead


def _amount(container: Container, resource: str) -> Fraction:
    """Return the container's limit, else its request, else 0; zero means "not said", as in Kubernetes."""
    for source in (container.resources.limits, container.resources.requests):
        quantity = parse_quantity((source or {}).get(resource, 0))
        if quantity < 0:
            raise UnsupportedPod(f'container "{container.name}" asks for a negative amount of {resource}')
        if quantity:
            return quantity
    return Fraction(0)


def _refuse_unknown(container: Container) -> None:
    """Raise UnsupportedPod if the container asks for a resource that no job of this site can be given."""
    for source in (container.resources.limits, container.resources.requests):
        for resource, value in (source or {}).items():
            if resource not in _KNOWN and parse_quantity(value):
                raise UnsupportedPod(
                    f'container "{container.name}" asks for {resource} ({value}), which is not mapped on this site; '
                    "remove it, or ask the site's administrator"
                )
