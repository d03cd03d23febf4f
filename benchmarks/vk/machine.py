"""Who had the machine's CPU while something was measured, as proc(5) tells it.

Used where kube-apiserver, the services and the benchmark share the same cores, and a rate is what they leave each
other.
"""

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from benchmarks.figures import CannotMeasureError, Figure
from benchmarks.vk.stack import Stack

T = TypeVar("T")

#: Who is told of besides the services of the stack.
CLIENT, REST = "the benchmark's client", "kube-apiserver and the rest of the machine"
#: proc_stat(5): steal.
STOLEN = "others on the same host (steal)"


@dataclass
class Shares:
    """CPU seconds by whom, and those that nobody took; added up over several turns."""

    by: dict[str, float] = field(default_factory=dict)
    idle: float = 0.0

    def of(self, whom: str, things: int) -> float:
        """Return their milliseconds for each of so many things."""
        return self.by[whom] * 1000 / things

    @property
    def unused(self) -> float:
        """What nobody took, in per cent of all cores' time."""
        return 100 * self.idle / (self.idle + sum(self.by.values()))

    def add(self, taken: "Shares", before: "Shares") -> None:
        """Add what was taken, less what had been before."""
        self.idle += taken.idle - before.idle
        for whom, seconds in taken.by.items():
            self.by[whom] = self.by.get(whom, 0.0) + seconds - before.by.get(whom, 0.0)


@dataclass
class Measured:
    """Several turns of one kind: how many things were done in how many seconds, and who had the CPU meanwhile."""

    things: int = 0
    seconds: float = 0.0
    shares: Shares = field(default_factory=Shares)

    @property
    def rate(self) -> float:
        """Things a second. Raises CannotMeasureError where there were too few."""
        if not self.things:
            raise CannotMeasureError("one pod alone has no rate: a larger --scale has more")
        return self.things / self.seconds

    def sustained(self, stack: Stack, works: Iterable[T], limit: int) -> Iterator[T]:
        """Pass on works of which ``limit`` are under way at once; count while they are, and one begins as one ends.

        The time before, and that of the last ones, when there are fewer and fewer, is a matter of how many there are.
        Raises CannotMeasureError where a service has ended.
        """
        began, before = 0.0, Shares()
        for number, work in enumerate(works):
            if number == limit:
                began, before = time.monotonic(), _look(stack)
            yield work
            self.things += number >= limit
        if began:
            self.seconds += time.monotonic() - began
            self.shares.add(_look(stack), before)

    def add(self, turn: "Measured") -> None:
        """Add a turn of the same kind."""
        self.things += turn.things
        self.seconds += turn.seconds
        self.shares.add(turn.shares, Shares())


def figures(what: str, ours: Measured, bare: Measured) -> Iterable[Figure]:
    """Return what each thing took, beside what the bare loop took for the same."""
    for whom in ours.shares.by:
        yield Figure(figure=f"{what}: CPU of {whom}", unit="ms", target=None,
                     baseline=bare.shares.of(whom, bare.things),
                     measured=ours.shares.of(whom, ours.things))  # fmt: skip
    yield Figure(figure=f"{what}: CPU that nobody took", unit="%", target=None,
                 baseline=bare.shares.unused, measured=ours.shares.unused)  # fmt: skip


def _look(stack: Stack) -> Shares:
    """Return the seconds since the start of the machine and of the processes."""
    # proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal; what follows is in user and nice already.
    words = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    ticks = [int(word) / os.sysconf("SC_CLK_TCK") for word in words]
    idle = ticks[3] + ticks[4]
    services = stack.cpu_seconds()
    by = {
        "the virtual kubelet": services["vk"],
        "the InterLink API and the mock plugin": services["api"] + services["mock"],
        CLIENT: time.process_time(),
        STOLEN: ticks[7],
    }
    return Shares({**by, REST: sum(ticks) - idle - sum(by.values())}, idle)
