"""A pod → the plan that the pod runner carries out inside the job. Called by the sidecar before it submits."""

import posixpath
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from interlink.core.errors import UnsupportedPod
from interlink.core.plan import Plan
from interlink.core.pod.containers import Surroundings, plan_container
from interlink.core.pod.names import plan_names
from interlink.core.pod.paths import check_uid
from interlink.core.pod.registries import registry_credentials
from interlink.core.pod.runtime import Runtimes, plan_runtime
from interlink.core.pod.unsupported import refuse_unsupported
from interlink.core.pod.volumes import VolumePolicy, plan_volumes, refuse_devices
from interlink.wire.messages import RetrievedPodData, address_token
from interlink.wire.pod import Pod, SecurityContext

_GRACE_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class PlanSettings:
    """The administrator's part of a plan; paths are those of the compute nodes."""

    image_prefix: str = "docker://"
    runtimes: Runtimes = field(default_factory=Runtimes)
    volumes: VolumePolicy = field(default_factory=VolumePolicy)


def build_plan(request: RetrievedPodData, *, folder: str, spool: str, settings: PlanSettings) -> Plan:
    """Return the plan of a pod, whose job folder and spool folder are given as absolute paths.

    Raises UnsupportedPod for everything that would not be done as the pod says.
    """
    pod = request.pod
    check_uid(pod.uid)
    runtime = msgspec.structs.replace(
        plan_runtime(pod, settings.runtimes), credentials=registry_credentials(request.imagePullSecrets)
    )
    refuse_unsupported(pod, request.written, runtime.kind)
    everyone = pod.all_containers
    mounted = {mount.name for container in everyone for mount in container.volumeMounts or ()}
    policy = settings.volumes
    volumes = plan_volumes(
        pod.spec.volumes, request.container, mounted, namespace=pod.metadata.namespace, policy=policy
    )
    around = Surroundings(
        volumes=frozenset(volume.name for volume in volumes),
        runtime=runtime.kind,
        image_prefix=settings.image_prefix,
        own_folder=posixpath.commonpath([folder, spool]),
        security=pod.spec.securityContext or SecurityContext(),
    )
    if len({container.name for container in everyone}) < len(everyone):
        raise UnsupportedPod("two containers of the pod have the same name")
    init = [plan_container(item, around) for item in pod.spec.initContainers or ()]
    main = [plan_container(item, around) for item in pod.spec.containers]
    refuse_devices(volumes, runtime.kind, [*init, *main])
    return Plan(
        namespace=pod.metadata.namespace,
        name=pod.metadata.name,
        uid=pod.uid,
        folder=folder,
        spool=spool,
        runtime=runtime,
        restart_policy=_restart_policy(pod),
        termination_grace_period_seconds=grace_seconds(pod),
        active_deadline_seconds=pod.spec.activeDeadlineSeconds,
        volumes=volumes,
        scratch=policy.scratch,
        protected=list(policy.protected),
        names=plan_names(pod, runtime.kind),
        address_token=address_token(pod.uid),
        init_containers=init,
        containers=main,
    )


def grace_seconds(pod: Pod) -> int:
    """Return the pod's terminationGracePeriodSeconds, or what Kubernetes gives where it says none."""
    grace = pod.spec.terminationGracePeriodSeconds
    return _GRACE_SECONDS if grace is None else max(grace, 0)


def _restart_policy(pod: Pod) -> Literal["Always", "OnFailure", "Never"]:
    """Return the pod's restart policy. Raises UnsupportedPod for a word that is none."""
    match pod.spec.restartPolicy or "Always":
        case "Always" | "OnFailure" | "Never" as policy:
            return policy
        case other:
            raise UnsupportedPod(f"restartPolicy {other[:60]!r} is none of Always, OnFailure, Never")
