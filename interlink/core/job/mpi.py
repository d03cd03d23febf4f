"""mpi-flags → how a container is started on every task of the allocation: the launcher, and flags that are let through.

Called by ``finish``. A launcher runs on the host, outside any container: a word that it took for a program, or a flag
that names one, would be a way out. So only flags of a known list pass, each with the values that it takes.
"""

import re
from dataclasses import dataclass
from typing import Literal

from interlink.core.errors import UnsupportedPod
from interlink.core.job.annotations import MPI_FLAGS, PREFIX, annotation
from interlink.core.job.flags import split_words
from interlink.core.plan import PlanMpi
from interlink.wire.pod import Pod

#: Flags and how many words follow each where it has no equals sign (srun(1); mpiexec(1) of Open MPI, MPICH and Intel).
SRUN = {
    "--mpi": 1, "--cpu-bind": 1, "--mem-bind": 1, "--gpu-bind": 1, "--distribution": 1, "-m": 1, "--hint": 1,
    "--ntasks": 1, "-n": 1, "--nodes": 1, "-N": 1, "--ntasks-per-node": 1, "--cpus-per-task": 1, "-c": 1,
    "--threads-per-core": 1, "--kill-on-bad-exit": 0, "-K": 0, "--label": 0, "-l": 0, "--exact": 0, "--overcommit": 0,
    "-O": 0, "--unbuffered": 0, "-u": 0,
}  # fmt: skip
MPIEXEC = {
    "-np": 1, "-n": 1, "--np": 1, "-ppn": 1, "-perhost": 1, "--npernode": 1, "-npernode": 1, "--map-by": 1,
    "-map-by": 1, "--bind-to": 1, "-bind-to": 1, "--rank-by": 1, "-rank-by": 1, "--mca": 2, "-mca": 2,
    "--report-bindings": 0, "-report-bindings": 0, "--oversubscribe": 0, "-oversubscribe": 0, "--bynode": 0,
    "-bynode": 0, "--byslot": 0,
    "--nooversubscribe": 0, "--tag-output": 0, "-l": 0, "-v": 0, "-verbose": 0, "--verbose": 0, "-print-rank-map": 0,
}  # fmt: skip
#: Open MPI's parameters choose transports and bindings; others of them name programs, libraries and files.
_MCA = re.compile(
    r"btl|pml|mtl|coll|osc|(btl|oob)_tcp_if_(include|exclude)|hwloc_base_\w+_policy|orte_base_help_aggregate"
)
_VALUE = re.compile(r"[A-Za-z0-9_.,:=^+*@][A-Za-z0-9_.,:=^+*@-]{0,200}")


@dataclass(frozen=True)
class MpiSettings:
    """The site's launcher and where it is on the compute nodes."""

    launcher: Literal["srun", "mpiexec"] = "srun"
    executable: str = ""


def plan_mpi(pod: Pod, settings: MpiSettings) -> PlanMpi | None:
    """Return how the pod's containers are started across its allocation; None where it does not ask for that.

    ``true`` (KNoC's word for "no flags") starts them without flags, ``false`` not at all.
    Raises UnsupportedPod with the name of a flag that is not let through.
    """
    text = annotation(pod, MPI_FLAGS)
    if text is None or text.strip().lower() == "false":
        return None
    where = f"the annotation {PREFIX}{MPI_FLAGS}"
    words = [] if text.strip().lower() == "true" else split_words(where, text)
    return PlanMpi(
        launcher=settings.launcher,
        executable=settings.executable or settings.launcher,
        flags=_flags(where, words, SRUN if settings.launcher == "srun" else MPIEXEC, settings.launcher),
    )


def _flags(where: str, words: list[str], known: dict[str, int], launcher: str) -> list[str]:
    """Return the words if all of them are known flags and their values."""
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name not in known:
            raise UnsupportedPod(f"{where}: {word[:60]!r} is not allowed with {launcher} on this site")
        values = [value] if equals else [next(rest, "") for _ in range(known[name])]
        if equals and (known[name] != 1 or not name.startswith("--")) and name != "--kill-on-bad-exit":
            raise UnsupportedPod(f"{where}: {name} takes no value with an equals sign")
        for each in values:
            if not _VALUE.fullmatch(each):
                raise UnsupportedPod(f"{where}: {each[:60]!r} is no value that {name} can have on this site")
        if known[name] == 2 and not _MCA.fullmatch(values[0]):
            raise UnsupportedPod(f"{where}: {name} {values[0][:60]!r} is not allowed on this site")
    return words
