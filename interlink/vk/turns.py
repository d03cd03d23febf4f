"""A token bucket: so many a second, and some at once where it was quiet before.

Used where something is cheap alone and dear by the hundred: events (``events.py``), questions to the change feed
(``changes.py``).
"""

import asyncio
import time
from collections.abc import Callable


class Turns:
    """Turns for one task: ``rate`` a second, ``at_once`` without waiting; ``clock`` gives seconds."""

    def __init__(self, rate: float, at_once: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self.at_once = at_once
        self.clock = clock
        self._left, self._counted = at_once, clock()

    async def take(self) -> None:
        """Wait until it is one's turn."""
        pause = self.next()
        if pause:
            await asyncio.sleep(pause)

    def next(self) -> float:
        """Take a turn; return in how many seconds it is, 0 where it is now."""
        now = self.clock()
        self._left = min(self.at_once, self._left + (now - self._counted) * self.rate) - 1
        self._counted = now
        return max(0.0, -self._left / self.rate)
