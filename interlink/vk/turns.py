"""A token bucket: so many a second, and some at once where it was quiet before; few while kube-apiserver is busy.

Used where something is cheap alone and dear by the hundred: events (``events/recorder.py``), questions to the change
feed (``changes.py``), batches of calls (``edge/batcher.py``). While pods wait for kube-apiserver, none of these makes
any of them quicker; what it costs is taken from what they wait for, where that has the same cores, and from the edge's.
"""

import asyncio
import time
from collections.abc import Callable

#: The most turns a second while kube-apiserver is busy: the rate of the kubelet's events until Kubernetes 1.27.
BUSY_RATE = 5.0


class Turns:
    """Turns for one task: ``rate`` a second, ``at_once`` without waiting; ``clock`` gives seconds.

    While it is ``busy`` each is 1 / BUSY_RATE seconds away at least, however quiet it was before.
    """

    def __init__(
        self,
        rate: float,
        at_once: float,
        busy: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rate = rate
        self.at_once = at_once
        self.busy = busy
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
        return max(0.0, -self._left / self.rate, 1 / BUSY_RATE if self.busy() else 0.0)
