"""What a pod asks for that this edge does not carry out, refused by name, before anything of it is planned.

Ignoring such a thing silently would be a lie: a pod whose sidecar cannot see the others' processes looks healthy. What
holds of a field in itself is in the table of support; what depends on the rest of the pod is here, and what depends on
the site is where the field is read. Of a securityContext only what asks for more than a batch job has is refused:
charts carry the rest as a matter of course, and every container runs as the site's user without any privilege anyway.
"""

from typing import Any

import msgspec

from interlink.core.errors import UnsupportedPod
from interlink.core.pod.support import refused
from interlink.wire.pod import Container, Pod, SecurityContext

#: What only makes sense of a container that runs on; the API server refuses them for other init containers too.
_NOT_FOR_INIT = ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle")


def refuse_unsupported(pod: Pod, written: dict[str, Any] | None = None, runtime: str = "apptainer") -> None:
    """Raise UnsupportedPod for the first field of the pod that would be ignored under a container runtime.

    ``written`` is its v1.PodSpec as plain JSON, with the fields that ``pod`` has no type for.
    """
    if not pod.spec.containers:
        raise UnsupportedPod("the pod has no containers")
    if words := refused(written or msgspec.to_builtins(pod.spec), runtime):
        raise UnsupportedPod(words)
    for container in pod.spec.initContainers or ():
        _refuse_in_init_container(container)
    for container in pod.spec.containers:
        if container.restartPolicy:
            raise UnsupportedPod(
                f'container "{container.name}": a restartPolicy of its own is not supported; the pod\'s counts'
            )
    for container in pod.all_containers:
        _refuse_root(container, pod.spec.securityContext)


def _refuse_in_init_container(container: Container) -> None:
    """Raise UnsupportedPod for what an init container of its kind cannot have."""
    if container.restartPolicy not in (None, "", "Always"):
        raise UnsupportedPod(
            f'init container "{container.name}": restartPolicy {container.restartPolicy[:60]!r} is not supported; '
            "it can be Always, which makes it a sidecar, or left out"
        )
    for field in _NOT_FOR_INIT:
        if getattr(container, field) and not container.restartPolicy:
            raise UnsupportedPod(f'init container "{container.name}" ends before the others start: no {field}')


def _refuse_root(container: Container, pod_context: SecurityContext | None) -> None:
    """Raise UnsupportedPod for a container that wants to be root; the container's word counts before the pod's."""
    own, of_pod = container.securityContext or SecurityContext(), pod_context or SecurityContext()
    if (of_pod.runAsUser if own.runAsUser is None else own.runAsUser) == 0:
        raise UnsupportedPod(
            f'container "{container.name}": runAsUser 0 (root) is not possible on a batch site; '
            "containers run as the site's own user"
        )
