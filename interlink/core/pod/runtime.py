"""Which container runtime starts a pod's containers: the site's own, or another of the site's that the pod names.

Called by ``build``. A pod can choose only among what the administrator has given a path.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from interlink.core.errors import UnsupportedPod
from interlink.core.job.annotations import CONTAINER_RUNTIME, PREFIX, annotation
from interlink.core.plan import PlanRuntime
from interlink.wire.pod import Pod

RuntimeKind = Literal["apptainer", "enroot", "podman-hpc", "charliecloud", "none"]
#: The words of annotation and configuration; singularity is apptainer's older name and other half.
RUNTIME_KINDS: dict[str, RuntimeKind] = {
    "apptainer": "apptainer",
    "singularity": "apptainer",
    "enroot": "enroot",
    "podman-hpc": "podman-hpc",
    "charliecloud": "charliecloud",
    "none": "none",
}


@dataclass(frozen=True, kw_only=True)
class RuntimeSettings:
    """One runtime of the site: its program on the compute nodes, and options of every container."""

    executable: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Runtimes:
    """All of them, the kind of pods that name none, and whether pods may run straight on the host."""

    default: RuntimeKind = "apptainer"
    known: Mapping[str, RuntimeSettings] = field(
        default_factory=lambda: {"apptainer": RuntimeSettings(executable="apptainer")}
    )
    allow_host: bool = False
    #: Folder of pulled images, on the compute nodes.
    image_cache: str = ""
    #: Registries (host and port) that may be spoken to by plain HTTP.
    insecure_registries: tuple[str, ...] = ()


def plan_runtime(pod: Pod, runtimes: Runtimes) -> PlanRuntime:
    """Return how the pod's containers are started. Raises UnsupportedPod for a runtime that is not allowed here."""
    word = annotation(pod, CONTAINER_RUNTIME)
    kind = runtimes.default if word is None else RUNTIME_KINDS.get(word)
    if kind == "none":
        if not runtimes.allow_host:
            raise UnsupportedPod(
                f"{PREFIX}{CONTAINER_RUNTIME}: none (straight on the host) is not allowed on this site; "
                "its administrator can set AllowHostRuntime"
            )
        return PlanRuntime(kind="none")
    settings = runtimes.known.get(kind or "")
    if kind is None or settings is None:
        there = ", ".join([*runtimes.known, *(["none"] if runtimes.allow_host else [])])
        raise UnsupportedPod(
            f"{PREFIX}{CONTAINER_RUNTIME}: {str(word)[:60]!r} is unknown on this site; it can be {there}"
        )
    return PlanRuntime(
        kind=kind,
        executable=settings.executable,
        options=list(settings.options),
        image_cache=runtimes.image_cache,
        insecure_registries=list(runtimes.insecure_registries),
    )
