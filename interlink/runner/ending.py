"""A container's way to its end: its turn, SIGTERM, SIGKILL, all within one grace period. Called by ``container.py``.

As the kubelet's killContainer: what comes before SIGTERM is taken out of the grace period, and SIGTERM is followed by
two seconds at least where there was any grace at all.
"""

from typing import TYPE_CHECKING, Callable

if TYPE_CHECKING:
    from interlink.runner.process import Process

#: What SIGTERM leaves at least, in seconds (minimumGracePeriodInSeconds).
LEAST = 2.0


class Ending:
    """The end of one run of a container. ``may_end`` says whether its turn to be asked has come."""

    def __init__(self, process: "Process", clock: float, grace: float, may_end: Callable[[], bool]) -> None:
        self.process, self.may_end = process, may_end
        self.kill_at = clock + grace
        self.graceful = grace > 0
        self.asked = False

    def hurry(self, clock: float, grace: float) -> None:
        """Take another grace period from now on, if it ends earlier."""
        self.kill_at = min(self.kill_at, clock + grace)

    def step(self, clock: float) -> None:
        """Do what is due."""
        late = clock >= self.kill_at
        if self.asked:
            if late:
                self.process.kill()
        elif late or self.may_end():
            self.asked = True
            self.process.terminate()
            self.kill_at = max(self.kill_at, clock + LEAST) if self.graceful else self.kill_at
