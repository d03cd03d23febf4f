"""The parts of a pod that this edge does not carry out yet, refused by name.

Ignoring one silently would be a lie: a pod whose liveness probe never runs looks healthy. Whoever builds a part removes
its line here. Of a securityContext only what asks for more than a batch job has is refused: charts carry the rest as a
matter of course, and every container runs as the site's user without any privilege anyway.
"""

from interlink.core.errors import UnsupportedPod
from interlink.wire.pod import Container, Pod, SecurityContext

_POD_FIELDS = ("hostAliases", "hostPID", "hostIPC")
#: What only makes sense of a container that runs on; the API server refuses them for other init containers too.
_NOT_FOR_INIT = ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle")


def refuse_unsupported(pod: Pod) -> None:
    """Raise UnsupportedPod for the first field of the pod that would be ignored."""
    if not pod.spec.containers:
        raise UnsupportedPod("the pod has no containers")
    for field in _POD_FIELDS:
        if getattr(pod.spec, field):
            raise UnsupportedPod(f"the pod's {field} is not possible on a batch site")
    for container in pod.spec.initContainers or ():
        _refuse_in_init_container(container)
    for container in pod.spec.containers:
        if container.restartPolicy:
            raise UnsupportedPod(
                f'container "{container.name}": a restartPolicy of its own is not supported; the pod\'s counts'
            )
    for container in pod.all_containers:
        _refuse_in_container(container, pod.spec.securityContext)


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


def _refuse_in_container(container: Container, pod_context: SecurityContext | None) -> None:
    """Raise UnsupportedPod for the first field of the container that would be ignored."""
    own, of_pod = container.securityContext or SecurityContext(), pod_context or SecurityContext()
    if own.privileged:
        raise UnsupportedPod(f'container "{container.name}": privileged is not possible on a batch site')
    if (of_pod.runAsUser if own.runAsUser is None else own.runAsUser) == 0:
        raise UnsupportedPod(
            f'container "{container.name}": runAsUser 0 (root) is not possible on a batch site; '
            "containers run as the site's own user"
        )
    if own.capabilities and own.capabilities.add:
        names = ", ".join(own.capabilities.add)
        raise UnsupportedPod(f'container "{container.name}": capabilities cannot be added on a batch site: {names}')
