"""``sinfo``: a partition's nodes and what they have in all, whatever of it is free (sinfo(1))."""

from collections import defaultdict
from dataclasses import dataclass

from interlink.sidecars.slurm.driver import Capacity, SlurmRefused, SlurmUnavailable
from interlink.sidecars.slurm.drivers.cli import words
from interlink.sidecars.slurm.transport.host import Finished

_COLUMNS = 4


@dataclass(frozen=True)
class Sinfo:
    """One look at a partition; "" is the default one, which sinfo marks with a star."""

    program: str
    partition: str

    def argv(self) -> list[str]:
        """Return the command: a line for each node of each partition."""
        return [self.program, "--noheader", "--all", "--local", "--exact", "--Node", "--format=%P|%N|%c|%m"]

    def parse(self, finished: Finished) -> Capacity:
        """Return the partition's capacity. Raises SlurmRefused where there is no such one, SlurmUnavailable."""
        if words.is_error(finished):
            raise SlurmUnavailable(words.said(finished) or f"sinfo ended with status {finished.status}")
        nodes: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
        default = ""
        for line in finished.output.splitlines():
            columns = line.strip().split("|")
            if len(columns) != _COLUMNS:
                continue
            name, node, cpus, memory = columns
            default = name.rstrip("*") if name.endswith("*") else default
            nodes[name.rstrip("*")][node] = (_number(cpus), _number(memory))
        wanted = self.partition or default
        if wanted not in nodes:
            missing = f"no partition {wanted}" if wanted else "no default partition"
            raise SlurmRefused(f"{missing}; there are: {', '.join(sorted(nodes))}")
        members = nodes[wanted].values()
        return Capacity(
            cpus=sum(cpus for cpus, _ in members), memory_mib=sum(memory for _, memory in members), nodes=len(members)
        )


def _number(column: str) -> int:
    """Return the amount; sinfo puts a plus behind the least one of a group."""
    column = column.rstrip("+")
    return int(column) if column.isdecimal() else 0
