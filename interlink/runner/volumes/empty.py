"""The pod's emptyDirs: where each lives, and whether it holds more than its limit.

On disk they live in the job's folder, or on the node's own scratch where the administrator names one; of medium Memory
in /dev/shm, whose pages count as memory of the job that wrote them.
"""

import os
import re
from typing import TYPE_CHECKING, Any, Dict, List

from interlink.runner.files import RunnerError, words
from interlink.runner.volumes.scratch import Scratch
from interlink.runner.volumes.usage import Usage

if TYPE_CHECKING:
    from interlink.runner.guard import Guard

MEMORY_FOLDER = "/dev/shm"  # noqa: S108 - a folder of our own is made in it
#: The kubelet's words (pkg/kubelet/eviction).
EXCEEDED = 'Usage of EmptyDir volume "{}" exceeds the limit "{}".'


class EmptyDirs:
    """Folders that any container of the pod may write to."""

    def __init__(self, plan: Dict[str, Any], root: str, guard: "Guard") -> None:
        self.root, self._guard = root, guard
        self._scratch: Dict[str, Scratch] = {}
        self._folders: Dict[str, str] = {}
        self._faults: Dict[str, str] = {}
        self._limits: Dict[str, Usage] = {}
        self._texts: Dict[str, str] = {}
        mpi = any(spec.get("mpi") for spec in [*plan.get("initContainers", ()), *plan["containers"]])
        self._several_nodes = mpi and os.environ.get("SLURM_JOB_NUM_NODES", "1") != "1"
        self._memory = {volume["name"] for volume in plan.get("volumes", ()) if volume.get("medium") == "Memory"}
        for volume in plan.get("volumes", ()):
            if volume["kind"] == "emptyDir":
                self._make(volume, plan.get("scratch", ""))

    def folder(self, name: str, spec: Dict[str, Any]) -> str:
        """Return the folder of an emptyDir. Raises RunnerError where this container cannot have it."""
        if name in self._faults:
            raise RunnerError(self._faults[name])
        if name in self._memory and self._several_nodes and spec.get("mpi"):
            raise RunnerError(
                "emptyDir {} is of medium Memory, and container {} runs on several nodes".format(name, spec["name"])
            )
        return self._folders[name]

    def exceeded(self, clock: float) -> str:
        """Return the kubelet's words for the first emptyDir that holds more than it may, else an empty text."""
        for name, usage in self._limits.items():
            if usage.exceeded(clock):
                return EXCEEDED.format(name, self._texts[name])
        return ""

    def remove(self) -> None:
        """Remove those that lie outside the job's folder."""
        for scratch in self._scratch.values():
            scratch.remove()
        self._scratch.clear()

    def _make(self, volume: Dict[str, Any], scratch: str) -> None:
        name, limit = volume["name"], volume.get("sizeLimit")
        try:
            folder = os.path.join(self._parent(volume, scratch), name)
            os.makedirs(folder, exist_ok=True)
            os.chmod(folder, 0o777)  # noqa: S103 - the parents are closed to others
        except (OSError, RunnerError) as error:
            self._faults[name] = "emptyDir {} cannot be made: {}".format(name, words(error))
            return
        self._folders[name] = folder
        if limit is not None:
            self._limits[name], self._texts[name] = Usage(folder, limit), volume.get("sizeText") or str(limit)

    def _parent(self, volume: Dict[str, Any], scratch: str) -> str:
        """Return the folder in which the volume is made. Raises OSError, RunnerError."""
        if volume.get("medium") == "Memory":
            where = MEMORY_FOLDER
        elif scratch and not self._several_nodes:
            where = expanded(scratch)
        else:
            return self.root  # shared by all nodes of the job
        if where not in self._scratch:
            self._scratch[where] = Scratch(where, self._guard)
        return self._scratch[where].folder


def expanded(scratch: str) -> str:
    """Return ScratchFolder with the job's variables in it. Raises RunnerError for one that the job does not have."""
    path = os.path.expandvars(scratch)
    missing: List[str] = re.findall(r"\$\{?(\w+)", path)
    if missing:
        raise RunnerError("ScratchFolder {} names {}, which the job does not have".format(scratch, missing[0]))
    if not os.path.isabs(path):
        raise RunnerError("ScratchFolder {} is {} here, which is no absolute path".format(scratch, path))
    return os.path.realpath(path)
