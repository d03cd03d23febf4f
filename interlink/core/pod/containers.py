"""One container of a pod, regular or init → its part of the plan. Called by ``build``."""

from dataclasses import dataclass, field
from typing import Literal

from interlink.core.errors import UnsupportedPod
from interlink.core.plan import PlanContainer
from interlink.core.pod.images import image_name, pull_policy
from interlink.core.pod.mounts import plan_mount
from interlink.core.pod.paths import check_absolute, check_label, check_text, check_variable
from interlink.core.pod.probes import plan_hook, plan_probe
from interlink.core.quantity import parse_quantity
from interlink.wire.pod import Container, SecurityContext


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a container's part of the plan needs to know of its pod and site."""

    #: Names of the pod's volumes that are mounted.
    volumes: frozenset[str]
    #: How containers are started, PlanRuntime.kind; "none" is straight on the host.
    runtime: str
    image_prefix: str
    #: The folder of all that is the sidecar's own, out of which no image may come.
    own_folder: str
    #: The pod's own, below each container's.
    security: SecurityContext = field(default_factory=SecurityContext)


def plan_container(container: Container, around: Surroundings) -> PlanContainer:
    """Return one container's part of the plan. Raises UnsupportedPod for what would not be done as it says."""
    name = check_label("container", container.name)
    where = f'container "{name}"'
    host = around.runtime == "none"
    for word in (*(container.command or ()), *(container.args or ()), container.workingDir):
        check_text(f"{where}: its command, args or workingDir", word)
    env = [(variable.name, variable.value) for variable in container.env or ()]
    for key, value in env:
        check_variable(where, key, value)
    if host and not container.command:
        raise UnsupportedPod(f"{where}: straight on the host there is no image whose command could run; give a command")
    variables = dict(env)
    mounts = [
        plan_mount(where, mount, around.volumes, variables, around.runtime) for mount in container.volumeMounts or ()
    ]
    image = container.image
    own, of_pod = container.securityContext or SecurityContext(), around.security
    return PlanContainer(
        name=name,
        image=image if host else image_name(where, image, around.image_prefix, around.own_folder),
        pull_policy=pull_policy(where, container),
        command=container.command or None,
        args=container.args or None,
        working_dir=container.workingDir,
        env=env,
        mounts=mounts,
        restart_policy="Always" if container.restartPolicy == "Always" else "",
        memory_limit=_memory_limit(where, container),
        cpu_limit=_cpu_limit(where, container),
        startup_probe=plan_probe(container, "startup"),
        liveness_probe=plan_probe(container, "liveness"),
        readiness_probe=plan_probe(container, "readiness"),
        post_start=plan_hook(container, "postStart"),
        pre_stop=plan_hook(container, "preStop"),
        termination_message_path=_message_path(where, container),
        termination_message_policy=_message_policy(where, container),
        stdin=container.stdin,
        stdin_once=container.stdinOnce,
        tty=container.tty,
        run_as_user=of_pod.runAsUser if own.runAsUser is None else own.runAsUser,
        run_as_group=of_pod.runAsGroup if own.runAsGroup is None else own.runAsGroup,
        run_as_non_root=bool(of_pod.runAsNonRoot if own.runAsNonRoot is None else own.runAsNonRoot),
        read_only_root=bool(own.readOnlyRootFilesystem),
    )


def _memory_limit(where: str, container: Container) -> int | None:
    """Return resources.limits.memory in bytes; zero means "not said", as in Kubernetes."""
    limit = parse_quantity((container.resources.limits or {}).get("memory", 0))
    if limit < 0:
        raise UnsupportedPod(f"{where}: its limit of memory is negative")
    return -(-limit.numerator // limit.denominator) or None


def _cpu_limit(where: str, container: Container) -> float | None:
    """Return resources.limits.cpu in cores; zero means "not said", as in Kubernetes."""
    limit = parse_quantity((container.resources.limits or {}).get("cpu", 0))
    if limit < 0:
        raise UnsupportedPod(f"{where}: its limit of cpu is negative")
    return float(limit) or None


def _message_path(where: str, container: Container) -> str:
    """Return where the container writes its last words; an empty text is the API's default."""
    path = container.terminationMessagePath or "/dev/termination-log"
    return check_absolute(f"{where}: terminationMessagePath", path)


def _message_policy(where: str, container: Container) -> Literal["File", "FallbackToLogsOnError"]:
    """Return where last words come from. Raises UnsupportedPod for a word that is no policy."""
    match container.terminationMessagePolicy or "File":
        case "File" | "FallbackToLogsOnError" as policy:
            return policy
        case other:
            raise UnsupportedPod(
                f"{where}: terminationMessagePolicy {other[:60]!r} is neither File nor FallbackToLogsOnError"
            )
