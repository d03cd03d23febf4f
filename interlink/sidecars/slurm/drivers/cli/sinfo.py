"""``sinfo``: a partition's nodes and what they have in all, whatever of it is free (sinfo(1))."""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass

from interlink.sidecars.slurm.driver import Capacity, SlurmRefused, SlurmUnavailable
from interlink.sidecars.slurm.drivers.cli import words
from interlink.sidecars.slurm.transport.host import Finished

_COLUMNS = 5
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50}
_AMOUNT = re.compile(r"(\d+)([KMGTP]?)")
#: Behind a resource's amount stands which sockets it is near to: ``gpu:2(S:0-1)``.
_SOCKETS = re.compile(r"\([^)]*\)")


@dataclass(frozen=True)
class Sinfo:
    """One look at partitions, with commas between them; "" is the default one, which sinfo marks with a star."""

    program: str
    partition: str

    def argv(self) -> list[str]:
        """Return the command: a line for each node of each partition."""
        return [self.program, "--noheader", "--all", "--local", "--exact", "--Node", "--format=%P|%N|%c|%m|%G"]

    def parse(self, finished: Finished) -> Capacity:
        """Return the partitions' capacity. Raises SlurmRefused where there is no such one, SlurmUnavailable."""
        if words.is_error(finished):
            raise SlurmUnavailable(words.said(finished) or f"sinfo ended with status {finished.status}")
        nodes: dict[str, dict[str, tuple[int, int, str]]] = defaultdict(dict)
        default = ""
        for line in finished.output.splitlines():
            columns = line.strip().split("|")
            if len(columns) != _COLUMNS:
                continue
            name, node, cpus, memory, gres = columns
            default = name.rstrip("*") if name.endswith("*") else default
            nodes[name.rstrip("*")][node] = (_number(cpus), _number(memory), gres)
        members: dict[str, tuple[int, int, str]] = {}
        for wanted in (name or default for name in self.partition.split(",")):
            if wanted not in nodes:
                missing = f"no partition {wanted}" if wanted else "no default partition"
                raise SlurmRefused(f"{missing}; there are: {', '.join(sorted(nodes))}")
            members |= nodes[wanted]
        amounts: Counter[str] = Counter()
        for _, _, gres in members.values():
            amounts.update(_gres(gres))
        return Capacity(
            cpus=sum(cpus for cpus, _, _ in members.values()),
            memory_mib=sum(memory for _, memory, _ in members.values()),
            nodes=len(members),
            gres=dict(amounts),
        )


def _gres(column: str) -> dict[str, int]:
    """Return a node's generic resources: ``gpu:a100:2,nvme:1(S:0)``."""
    found: Counter[str] = Counter()
    for word in _SOCKETS.sub("", column).split(","):
        *name, amount = word.split(":")
        match = _AMOUNT.fullmatch(amount)
        if name and match:
            found[":".join(part for part in name if part != "no_consume")] += int(match[1]) * _UNITS[match[2]]
    return found


def _number(column: str) -> int:
    """Return the amount; sinfo puts a plus behind the least one of a group."""
    column = column.rstrip("+")
    return int(column) if column.isdecimal() else 0
