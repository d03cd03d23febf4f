"""What holds back the writes of a replica whose time as leader is over, or was while it was paused.

Asked by both HTTP clients before each request that changes something; opened by ``election.py`` for the time of a
term. A process that was stopped (SIGSTOP, a machine that slept) goes on where it was: its timers come late, the fence
does not, because it looks at the clock.
"""

import time
from collections.abc import Callable

Clock = Callable[[], float]


def boot_seconds() -> float:
    """Return the seconds since the machine started, those that it slept included, which time.monotonic() leaves out."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Fence:
    """Closed until it is opened, and again when its time has come."""

    def __init__(self, clock: Clock = boot_seconds) -> None:
        self._clock = clock
        self._until = float("-inf")

    def open_until(self, moment: float) -> None:
        """Let writes pass until then, in seconds of the fence's clock."""
        self._until = moment

    def close(self) -> None:
        """Let nothing pass any more."""
        self._until = float("-inf")

    def remaining(self) -> float:
        """Return for how many seconds it stays open, 0 where it is closed."""
        return max(0.0, self._until - self._clock())

    def refusal(self) -> str:
        """Return why nothing may be written now, empty where it may."""
        return "" if self.remaining() else "not written: another replica may lead by now"


def always_open() -> Fence:
    """Return the fence of a virtual kubelet that is the only one."""
    fence = Fence()
    fence.open_until(float("inf"))
    return fence
