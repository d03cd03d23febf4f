"""Memory limits of containers where the site constrains nothing, and the kernel's own kills. Called by ``pod.py``.

A container's memory is what its processes hold of their own (anonymous and shared memory, as a cgroup counts them, each
page once); files that are only mapped do not count. The cheap figure of /proc/PID/stat is looked at first, and the
dear one of /proc/PID/smaps_rollup (Linux 4.14) only where that comes near the limit.
"""

import os
import time
from typing import TYPE_CHECKING, Dict, List, Optional

from interlink.runner.processes import Running, below, running

if TYPE_CHECKING:
    from interlink.runner.container import Container
    from interlink.runner.process import Process

#: The pause between two looks in seconds, and how many times longer than a look it is at least: 2 % of a core at most.
PAUSE, SHARE = 0.5, 50.0
#: From this part of the limit on the dear figure is asked for; the cheap one may be a little behind.
NEAR = 0.8


class Memory:
    """Looks at the containers that have a limit, and ends those that are over it."""

    def __init__(self) -> None:
        self.due = 0.0

    def step(self, clock: float, containers: "List[Container]") -> None:
        """Look, if it is time."""
        limited = [each for each in containers if each.spec.get("memoryLimit") and each.process is not None]
        if clock < self.due or not limited:
            return
        began = time.monotonic()
        table = running()
        for container in limited:
            assert container.process is not None
            limit = container.spec["memoryLimit"]
            members = members_of(container.process, table)
            if sum(table[pid].resident for pid in members) >= NEAR * limit and own_memory(members) > limit:
                container.out_of_memory()
        self.due = clock + max(PAUSE, SHARE * (time.monotonic() - began))


def members_of(process: "Process", table: Dict[int, Running]) -> List[int]:
    """Return the processes of a container: its sessions', its daemons, and all that descends from one of these."""
    sessions = process.sessions
    found = below([pid for pid, each in table.items() if each.session in sessions], table)
    return sorted(found | process.guard.orphans(process.mark, table) if process.mark else found)


def own_memory(pids: List[int]) -> int:
    """Return the bytes of memory that processes hold together, without files that they only map."""
    total = 0
    for pid in pids:
        try:
            with open("/proc/{}/smaps_rollup".format(pid), "rb") as file:
                lines = dict(line.split(b":", 1) for line in file.read().splitlines()[1:])
        except OSError:
            continue  # it has ended, or it is another user's helper of the runtime
        # Linux 5.4 tells the proportional share of memory from that of files; before, the whole share counts.
        parts = [lines[key] for key in (b"Pss_Anon", b"Pss_Shmem") if key in lines] or [lines.get(b"Pss", b"0")]
        total += sum(int(part.split()[0]) for part in parts) * 1024
    return total


class KernelKills:
    """The kernel's count of processes that it killed in the job's memory cgroup, where Slurm gave the job one."""

    def __init__(self) -> None:
        self.path = _events_file()
        self.seen = self._count()

    def grew(self) -> bool:
        """Return whether something was killed since this was asked last."""
        before, self.seen = self.seen, self._count()
        return self.seen > before

    def _count(self) -> int:
        if self.path is None:
            return 0
        try:
            with open(self.path, encoding="ascii") as file:
                return sum(int(line.split()[1]) for line in file if line.startswith("oom_kill "))
        except OSError:
            return 0


def _events_file() -> Optional[str]:
    """Return the file that counts them: of the job's cgroup, else of our own; None where there is none."""
    with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        entries = [line.rstrip("\n").split(":", 2) for line in file]
    for _, controllers, path in entries:
        root = "/sys/fs/cgroup/memory" if "memory" in controllers.split(",") else "/sys/fs/cgroup"
        if controllers not in ("", "memory"):
            continue
        name = "memory.oom_control" if controllers else "memory.events"
        # Version 2 counts what happened below; version 1 does not, so that our own folder is the one to ask.
        parts = path.strip("/").split("/")
        job = next((number for number, part in enumerate(parts) if part.startswith("job_")), len(parts) - 1)
        found = os.path.join(root, *(parts if controllers else parts[: job + 1]), name)
        if os.path.exists(found):
            return found
    return None
