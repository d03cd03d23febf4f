"""A pod → the plan that the pod runner carries out inside the job. Called by the sidecar before it submits."""

import posixpath
from dataclasses import dataclass
from typing import Literal

from interlink.core.errors import UnsupportedPod
from interlink.core.plan import Plan, PlanContainer, PlanMount, PlanRuntime
from interlink.core.pod.images import image_name, pull_policy
from interlink.core.pod.paths import check_absolute, check_label, check_relative, check_text, check_uid, check_variable
from interlink.core.pod.unsupported import refuse_unsupported
from interlink.core.pod.volumes import plan_volumes
from interlink.wire.messages import RetrievedPodData
from interlink.wire.pod import Container, Pod, VolumeMount

#: "none" runs the pod's containers straight on the host, where the administrator allows it.
HOST_RUNTIME_ANNOTATION = "slurm-job.vk.io/container-runtime"
_GRACE_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class PlanSettings:
    """The administrator's part of a plan; paths are those of the compute nodes."""

    image_prefix: str = "docker://"
    apptainer: str = "apptainer"
    apptainer_options: tuple[str, ...] = ()
    image_cache: str = ""
    allow_host_runtime: bool = False


def build_plan(request: RetrievedPodData, *, folder: str, spool: str, settings: PlanSettings) -> Plan:
    """Return the plan of a pod, whose job folder and spool folder are given as absolute paths.

    Raises UnsupportedPod for everything that would not be done as the pod says.
    """
    pod = request.pod
    check_uid(pod.uid)
    refuse_unsupported(pod)
    mounted = {mount.name for container in pod.spec.containers for mount in container.volumeMounts or ()}
    volumes = plan_volumes(pod.spec.volumes, request.container, mounted)
    known = {volume.name for volume in volumes}
    runtime = _runtime(pod, settings)
    own = posixpath.commonpath([folder, spool])
    containers = [_container(item, known, runtime, settings, own) for item in pod.spec.containers]
    if len({container.name for container in containers}) < len(containers):
        raise UnsupportedPod("two containers of the pod have the same name")
    grace = pod.spec.terminationGracePeriodSeconds
    return Plan(
        namespace=pod.metadata.namespace,
        name=pod.metadata.name,
        uid=pod.uid,
        folder=folder,
        spool=spool,
        runtime=runtime,
        restart_policy=_restart_policy(pod),
        termination_grace_period_seconds=_GRACE_SECONDS if grace is None else max(grace, 0),
        active_deadline_seconds=pod.spec.activeDeadlineSeconds,
        volumes=volumes,
        containers=containers,
    )


def _runtime(pod: Pod, settings: PlanSettings) -> PlanRuntime:
    """Return how the pod's containers are started. Raises UnsupportedPod for a runtime that is not allowed here."""
    kind = pod.annotation(HOST_RUNTIME_ANNOTATION, "apptainer")
    if kind == "none":
        if not settings.allow_host_runtime:
            raise UnsupportedPod(
                f"{HOST_RUNTIME_ANNOTATION}: none (straight on the host) is not allowed on this site; "
                "its administrator can set AllowHostRuntime"
            )
        return PlanRuntime(kind="none")
    if kind not in ("apptainer", "singularity"):
        raise UnsupportedPod(f"{HOST_RUNTIME_ANNOTATION}: {kind[:60]!r} is unknown; it can be apptainer or none")
    return PlanRuntime(
        kind="apptainer",
        executable=settings.apptainer,
        options=list(settings.apptainer_options),
        image_cache=settings.image_cache,
    )


def _restart_policy(pod: Pod) -> Literal["Always", "OnFailure", "Never"]:
    """Return the pod's restart policy. Raises UnsupportedPod for a word that is none."""
    match pod.spec.restartPolicy or "Always":
        case "Always" | "OnFailure" | "Never" as policy:
            return policy
        case other:
            raise UnsupportedPod(f"restartPolicy {other[:60]!r} is none of Always, OnFailure, Never")


def _container(
    container: Container, volumes: set[str], runtime: PlanRuntime, settings: PlanSettings, own: str
) -> PlanContainer:
    """Return one container's part of the plan; ``own`` is the folder of all that is the sidecar's own."""
    name = check_label("container", container.name)
    where = f'container "{name}"'
    for word in (*(container.command or ()), *(container.args or ()), container.workingDir):
        check_text(f"{where}: its command, args or workingDir", word)
    env = [(variable.name, variable.value) for variable in container.env or ()]
    for key, value in env:
        check_variable(where, key, value)
    host = runtime.kind == "none"
    if host and not container.command:
        raise UnsupportedPod(f"{where}: straight on the host there is no image whose command could run; give a command")
    return PlanContainer(
        name=name,
        image=container.image if host else image_name(where, container.image, settings.image_prefix, own),
        pull_policy=pull_policy(where, container),
        command=container.command or None,
        args=container.args or None,
        working_dir=container.workingDir,
        env=env,
        mounts=[_mount(where, mount, volumes) for mount in container.volumeMounts or ()],
    )


def _mount(where: str, mount: VolumeMount, volumes: set[str]) -> PlanMount:
    """Return one mount. Raises UnsupportedPod for a volume that the pod does not have, and for a path that escapes."""
    if mount.name not in volumes:
        raise UnsupportedPod(f'{where} mounts volume "{mount.name}", which the pod does not have')
    sub_path = mount.subPath or mount.subPathExpr
    if sub_path:
        check_relative(f'{where}: subPath of volume "{mount.name}"', sub_path.rstrip("/"))
    return PlanMount(
        volume=mount.name,
        mount_path=check_absolute(f"{where}: mountPath", mount.mountPath),
        sub_path=sub_path.rstrip("/"),
        read_only=mount.readOnly,
    )
