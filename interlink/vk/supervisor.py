"""Keeps the loops of the process together: one that dies ends them all, one that hangs shows in /healthz.

Used by ``main.py``. A half-dead virtual kubelet is worse than a dead one, which kubelet starts again at once.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any


class LoopEndedError(Exception):
    """A loop that runs for ever has returned."""


class Pulse:
    """Signs of life of the loops by name."""

    def __init__(self) -> None:
        self._loops: dict[str, tuple[float, float]] = {}

    def watch(self, name: str, seconds: float) -> Callable[[], None]:
        """Expect a sign of life at least so often; return what gives it."""

        def beat() -> None:
            self._loops[name] = (time.monotonic(), seconds)

        beat()
        return beat

    def forget(self, *names: str) -> None:
        """Expect nothing of these any more: what they did is over."""
        for name in names:
            self._loops.pop(name, None)

    def ages(self) -> dict[str, float]:
        """Return how many seconds ago each loop gave its last sign."""
        now = time.monotonic()
        return {name: now - last for name, (last, _seconds) in self._loops.items()}

    def late(self) -> list[str]:
        """Return a sentence for each loop that gave no sign in time."""
        now = time.monotonic()
        return [
            f"loop {name} has not been heard of for {now - last:.0f} s"
            for name, (last, seconds) in self._loops.items()
            if now - last > seconds
        ]


async def supervise(loops: dict[str, Coroutine[Any, Any, None]], stop: asyncio.Event) -> None:
    """Run the loops until ``stop`` is set; raises what the first one that dies died of."""
    tasks = [asyncio.create_task(loop, name=name) for name, loop in loops.items()]
    stopper: asyncio.Task[Any] = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait([*tasks, stopper], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done() and not task.cancelled():
                error = task.exception()
                raise error or LoopEndedError(f"loop {task.get_name()} has ended")
    finally:
        for unfinished in (*tasks, stopper):
            unfinished.cancel()
        await asyncio.gather(*tasks, stopper, return_exceptions=True)
