"""The annotations and node selectors by which a pod talks to Slurm, in every generation's spelling.

``slurm-job.vk.io/`` is today's prefix, ``slurm-job.knoc.io/`` the one of KNoC and the first interLink. Called by the
other modules of ``core/job`` and by ``core/pod``. Invariant: a name below these prefixes is either read or refused.
"""

import difflib

from interlink.core.errors import UnsupportedPod
from interlink.wire.pod import Pod

PREFIX = "slurm-job.vk.io/"
PREFIXES = (PREFIX, "slurm-job.knoc.io/")

FLAGS = "flags"
MPI_FLAGS = "mpi-flags"
FLAVOR = "flavor"
IMAGE_ROOT = "image-root"
PRE_EXEC = "pre-exec"
CONTAINER_RUNTIME = "container-runtime"
#: sbatch's options that have an annotation, and a node selector, of their own; "tasks" is sbatch's --ntasks.
PLACES = {
    "partition": "partition",
    "account": "account",
    "qos": "qos",
    "reservation": "reservation",
    "constraint": "constraint",
    "nodes": "nodes",
    "tasks": "ntasks",
}
#: Options and mounts of one container runtime; they count where the pod's containers run under it.
RUNTIMES = ("singularity", "enroot")
KNOWN = frozenset(
    {FLAGS, MPI_FLAGS, FLAVOR, IMAGE_ROOT, PRE_EXEC, CONTAINER_RUNTIME, *PLACES}
    | {f"{runtime}-{what}" for runtime in RUNTIMES for what in ("options", "mounts")}
)
#: What today's plugin or its forebears read, and nobody here does, with what to write instead.
_ELSEWHERE = {
    "singularity-commands": "it put words before the runtime's command line; use pre-exec where the site allows it",
    "nfs-mode": "claims are mapped to paths of the site by its administrator",
    "nfs-bridge-pvc": "claims are mapped to paths of the site by its administrator",
}


def annotation(pod: Pod, name: str) -> str | None:
    """Return the value of one of our annotations, None where the pod has none.

    Raises UnsupportedPod where two generations of it say different things.
    """
    annotations = pod.metadata.annotations
    if not annotations:
        return None
    found = {key: annotations[key] for prefix in PREFIXES if (key := prefix + name) in annotations}
    if not found:
        return None
    if len(set(found.values())) > 1:
        raise UnsupportedPod(f"the annotations {' and '.join(found)} say different things; keep one of them")
    return next(iter(found.values()))


def refuse_unknown_annotations(pod: Pod) -> None:
    """Raise UnsupportedPod for the first annotation below our prefixes that nobody reads."""
    for key in pod.metadata.annotations or ():
        prefix = next((prefix for prefix in PREFIXES if key.startswith(prefix)), None)
        name = key.removeprefix(prefix or "")
        if prefix is None or name in KNOWN:
            continue
        if name in _ELSEWHERE:
            raise UnsupportedPod(f"the annotation {key} is not carried out here: {_ELSEWHERE[name]}")
        near = difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.0)[0]
        raise UnsupportedPod(f"the annotation {key[:120]} is unknown; the nearest one is {PREFIX}{near}")
