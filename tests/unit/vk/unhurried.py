"""A clock for tests of short times: it stands still while the machine has the test's process wait.

A loop that is not run for a second, on a busy machine, finds all of its timers due at once, and a lease of one second
expired; nobody was late then but the machine.
"""

import time
from typing import Any

#: So much time may go by in one turn of the loop, and so much later than it asked may it be woken.
TURN_SECONDS = 0.02


class UnhurriedClock:
    """The time of one event loop, in seconds."""

    def __init__(self, select: Any) -> None:
        self._select = select
        self._lost = 0.0
        self._turn = time.monotonic()

    def time(self) -> float:
        """Return the seconds of which the process could make use."""
        return min(time.monotonic(), self._turn + TURN_SECONDS) - self._lost

    def select(self, timeout: float | None = None) -> Any:
        """Wait as a selector does; what is too long, here or since the last call, is not counted."""
        began = time.monotonic()
        self._lost += max(0.0, began - self._turn - TURN_SECONDS)
        found = self._select(timeout)
        self._turn = time.monotonic()
        if timeout is not None:
            self._lost += max(0.0, self._turn - began - max(0.0, timeout) - TURN_SECONDS)
        return found
