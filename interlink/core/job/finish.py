"""What a pod's annotations change of its plan: GPUs, MPI, the runtime's options and mounts, images' root, pre-exec.

Called by ``sidecars/slurm/submit`` around ``core/pod/build``, which knows nothing of Slurm.
"""

import re

import msgspec

from interlink.core.errors import UnsupportedPod
from interlink.core.job.annotations import IMAGE_ROOT, PRE_EXEC, PREFIX, annotation
from interlink.core.job.gres import maker
from interlink.core.job.mpi import plan_mpi
from interlink.core.job.placement import Placement
from interlink.core.job.resources import asks_for
from interlink.core.job.rules import JobRules
from interlink.core.job.runtime_options import Runtime, runtime_mounts, runtime_options
from interlink.core.plan import Plan, PlanContainer
from interlink.wire.pod import Container, Pod, VolumeMount

#: The annotations' word for a runtime of the plan.
_WORDS: dict[str, Runtime] = {"apptainer": "singularity", "enroot": "enroot"}
_IMAGE_ROOT = re.compile(r"(?:(?:docker|oras|library|shub|https?)://|/)[A-Za-z0-9_.:@/+-]{0,400}")


def with_site_mounts(pod: Pod, runtime: str) -> Pod:
    """Return the pod with the mounts of its annotation as hostPath volumes of every container.

    So what may be mounted is said once, by the site's policy of hostPath volumes.
    """
    word = _WORDS.get(runtime)
    mounts = runtime_mounts(pod, word) if word else []
    if not mounts:
        return pod
    names = [f"{word}-mounts-{number}" for number in range(1, len(mounts) + 1)]
    volumes = [{"name": name, "hostPath": {"path": mount.source}} for name, mount in zip(names, mounts, strict=True)]
    added = [
        VolumeMount(name=name, mountPath=mount.destination, readOnly=mount.read_only)
        for name, mount in zip(names, mounts, strict=True)
    ]

    def mounted(containers: list[Container] | None) -> list[Container]:
        return [
            msgspec.structs.replace(each, volumeMounts=[*(each.volumeMounts or ()), *added])
            for each in containers or ()
        ]

    spec = msgspec.structs.replace(
        pod.spec,
        volumes=[*(pod.spec.volumes or ()), *volumes],
        initContainers=mounted(pod.spec.initContainers),
        containers=mounted(pod.spec.containers),
    )
    return msgspec.structs.replace(pod, spec=spec)


def image_prefix(pod: Pod, prefix: str) -> str:
    """Return what is put before the pod's images: its image-root, else the site's prefix."""
    root = annotation(pod, IMAGE_ROOT)
    if root is None:
        return prefix
    if not _IMAGE_ROOT.fullmatch(root) or ".." in root.split("/"):
        raise UnsupportedPod(
            f"the annotation {PREFIX}{IMAGE_ROOT}: {root[:80]!r} is neither an absolute path nor a registry's address"
        )
    return root


def pre_exec(pod: Pod, rules: JobRules) -> str:
    """Return the pod's own shell text, to the letter, for a namespace whose pods may bring some; "" without."""
    text = annotation(pod, PRE_EXEC)
    if not text:
        return ""
    if not rules.pre_exec & {pod.metadata.namespace, "*"}:
        raise UnsupportedPod(
            f"the annotation {PREFIX}{PRE_EXEC} is not allowed in namespace {pod.metadata.namespace}: it runs on the "
            "compute node, outside any container; the site's administrator can name the namespace in PreExecNamespaces"
        )
    if "\0" in text:
        raise UnsupportedPod(f"the annotation {PREFIX}{PRE_EXEC} has a NUL byte")
    return text


def finish_plan(plan: Plan, pod: Pod, placement: Placement, rules: JobRules) -> Plan:
    """Return the plan with what the pod's annotations and resources say of how containers are started."""
    word = _WORDS.get(plan.runtime.kind)
    options = runtime_options(pod, word, rules.runtime_options) if word else []
    mpi = plan_mpi(pod, rules.mpi)
    if mpi is not None:
        _refuse_beside_tasks(plan.containers)
    gpu = {container.name: _gpu(container, placement, rules) for container in pod.all_containers}

    def finished(container: PlanContainer, tasks: bool) -> PlanContainer:
        return msgspec.structs.replace(container, gpu=gpu[container.name], mpi=tasks)

    return msgspec.structs.replace(
        plan,
        runtime=msgspec.structs.replace(plan.runtime, options=[*plan.runtime.options, *options]),
        mpi=mpi,
        init_containers=[finished(each, tasks=False) for each in plan.init_containers],
        containers=[finished(each, tasks=mpi is not None) for each in plan.containers],
    )


def _refuse_beside_tasks(containers: list[PlanContainer]) -> None:
    """Raise UnsupportedPod for probes and hooks of MPI tasks: those are Slurm's steps, which the runner cannot join."""
    for each in containers:
        if any((each.startup_probe, each.liveness_probe, each.readiness_probe, each.post_start, each.pre_stop)):
            raise UnsupportedPod(
                f'container "{each.name}": probes and hooks are not possible with the annotation {PREFIX}mpi-flags, '
                "which starts the container as the tasks of a job step"
            )


def _gpu(container: Container, placement: Placement, rules: JobRules) -> str:
    """Return whose GPUs the container is shown, "" for none."""
    asked = [name for name in rules.gres.names if maker(name)]
    if not placement.gpus_for_all:
        asked = [name for name in asked if asks_for(container, name)]
    return maker(asked[0]) if asked else ""
