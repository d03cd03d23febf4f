"""Who had the machine's CPU while something was measured, as proc(5) tells it.

Used where kube-apiserver, the services and the benchmark share the same cores, and a rate is what they leave each
other.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.vk.stack import Stack

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

    @contextmanager
    def counted(self, stack: Stack) -> Iterator[None]:
        """Add what was taken in the time of the block. Raises CannotMeasureError where a service has ended."""
        before = _look(stack)
        yield
        after = _look(stack)
        self.idle += after.idle - before.idle
        for whom, seconds in after.by.items():
            self.by[whom] = self.by.get(whom, 0.0) + seconds - before.by[whom]


@dataclass
class Measured:
    """Several turns of one kind: how long they took, in seconds, and who had the CPU meanwhile."""

    seconds: float = 0.0
    shares: Shares = field(default_factory=Shares)

    @contextmanager
    def counted(self, stack: Stack) -> Iterator[Callable[[], float]]:
        """Add the time of the block; gives what returns its seconds. Raises as ``Shares.counted`` does."""
        began, before = time.monotonic(), self.seconds
        with self.shares.counted(stack):
            yield lambda: self.seconds - before
            self.seconds += time.monotonic() - began


def figures(what: str, things: int, shares: Shares, bare: Shares) -> Iterable[Figure]:
    """Return what each of so many things took, beside what the bare loop took for the same."""
    for whom in shares.by:
        yield Figure(figure=f"{what}: CPU of {whom}", unit="ms", target=None,
                     baseline=bare.of(whom, things), measured=shares.of(whom, things))  # fmt: skip
    yield Figure(figure=f"{what}: CPU that nobody took", unit="%", target=None,
                 baseline=bare.unused, measured=shares.unused)  # fmt: skip


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
