"""CPU limits of containers, where the site can: a quota in the job's own cgroup, else a share of the job's CPUs.

Made by ``pod.py``, asked by ``container.py`` at each start. Slurm keeps a job to its CPUs; what each of the pod's
containers may take of these is told here. Invariant: a container never gets a CPU that the job has not, and whatever
cannot be had leaves it with all that the job has, never unstarted.

- Where the job may write to its cgroup (version 2, delegated), each container gets a child of it with ``cpu.max``, as
  from a kubelet. It is a threaded one: then processes may stay beside it, and the job's own ``cgroup.procs``, by which
  Slurm finds and kills what belongs to a job, still names all of them (cgroups(7), "Thread mode").
- Elsewhere a container is bound to as many CPUs as its limit says, rounded up (sched_setaffinity(2)), so that programs
  that count them (nproc) start as many threads as they may use. Containers that run together get different ones as far
  as they suffice. Only where Slurm has bound the job: without, nobody knows which CPUs are the job's, and all jobs of
  the node would crowd on the first ones.
"""

import math
import os
from typing import Any, Dict, List, Optional

from interlink.runner.files import say
from interlink.runner.guard import Guard

#: Where the kernel shows cgroups, and where it tells our own.
CGROUPS, OWN = "/sys/fs/cgroup", "/proc/self/cgroup"
#: The kernel's own period of cpu.max and the smallest quota that it takes, in microseconds.
PERIOD, LEAST = 100000, 1000


class Cpus:
    """The shares of one pod's containers, the same over restarts. Pods across tasks (MPI) are left to Slurm."""

    def __init__(self, plan: Dict[str, Any], guard: Guard, job: str) -> None:
        everyone = [*plan.get("initContainers", ()), *plan["containers"]]
        self.cpus = sorted(os.sched_getaffinity(0))
        granted = os.environ.get("SLURM_CPUS_ON_NODE", "")
        most = min(len(self.cpus), int(granted)) if granted.isdigit() else 0
        limits = {spec["name"]: spec["cpuLimit"] for spec in everyone if 0 < (spec.get("cpuLimit") or 0) < most}
        if plan.get("mpi"):
            limits = {}
        self.groups = quotas(limits, guard, job) if limits else {}
        bound = len(self.cpus) == most
        self.shares = shares(plan, limits, self.cpus) if bound and not self.groups else {}

    def enter(self, name: str) -> None:
        """Give this process the container's share; called first of all between fork and exec."""
        try:
            if name in self.groups:
                _write(self.groups[name], "cgroup.procs", "0")
            elif name in self.shares:
                os.sched_setaffinity(0, self.shares[name])
        except OSError:
            pass  # the site has changed the job's CPUs, or its cgroup


def shares(plan: Dict[str, Any], limits: Dict[str, float], cpus: List[int]) -> Dict[str, List[int]]:
    """Return the CPUs of each container whose limit is less than all, different ones for those that run together."""
    found, taken = {}, 0
    for spec in [*plan.get("initContainers", ()), *plan["containers"]]:
        count = math.ceil(limits.get(spec["name"], 0))
        if not 0 < count < len(cpus):
            continue
        found[spec["name"]] = [cpus[(taken + number) % len(cpus)] for number in range(count)]
        runs_alone = spec in plan.get("initContainers", ()) and spec.get("restartPolicy") != "Always"
        taken += 0 if runs_alone else count
    return found


def quotas(limits: Dict[str, float], guard: Guard, job: str) -> Dict[str, str]:
    """Return the cgroup of each container with a limit; none at all where the job may not make them."""
    own = own_group()
    if own is None:
        return {}
    groups = {name: os.path.join(own, "interlink-{}-{}".format(job, name)) for name in limits}
    try:
        for group in groups.values():
            guard.remove_at_end(group)
            os.makedirs(group, exist_ok=True)
            _write(group, "cgroup.type", "threaded")
        _write(own, "cgroup.subtree_control", "+cpu")
        for name, group in groups.items():
            _write(group, "cpu.max", "{} {}".format(max(LEAST, int(limits[name] * PERIOD)), PERIOD))
    except OSError as error:
        say("no CPU quotas by the job's cgroup: {}".format(error))
        return {}
    return groups


def own_group() -> Optional[str]:
    """Return the folder of this process's cgroup (version 2), None where it is not the job's to divide."""
    with open(OWN, encoding="utf-8", errors="surrogateescape") as file:
        paths = [line.rstrip("\n").partition("::")[2] for line in file if line.startswith("0::")]
    if not paths:
        return None
    group = os.path.join(CGROUPS, paths[0].strip("/"))
    try:
        with open(os.path.join(group, "cgroup.controllers"), encoding="ascii") as file:
            controllers = file.read().split()
    except OSError:
        return None
    needed = [group, *(os.path.join(group, name) for name in ("cgroup.procs", "cgroup.subtree_control"))]
    # The root of all has no type, and is nobody's to divide.
    typed = os.path.exists(os.path.join(group, "cgroup.type"))
    return group if "cpu" in controllers and typed and all(os.access(path, os.W_OK) for path in needed) else None


def _write(group: str, name: str, text: str) -> None:
    """Write one of a cgroup's files, in one piece. Raises OSError."""
    descriptor = os.open(os.path.join(group, name), os.O_WRONLY)
    try:
        os.write(descriptor, text.encode("ascii"))
    finally:
        os.close(descriptor)
