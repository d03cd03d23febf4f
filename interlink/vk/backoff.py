"""Growing pauses with jitter between attempts: used by every loop that must go on for ever."""

import asyncio
import random


class Backoff:
    """Doubles from ``first`` to ``longest`` seconds; pauses are spread, so that many do not march in step."""

    def __init__(self, first: float, longest: float) -> None:
        self.first = first
        self.longest = longest
        self._failures = 0

    def reset(self) -> None:
        """Begin anew: the last attempt went well."""
        self._failures = 0

    def next(self, at_least: float = 0.0) -> float:
        """Return the next pause in seconds, not below ``at_least`` (a server's Retry-After)."""
        pause = pause_after(self._failures, self.first, self.longest)
        self._failures += 1
        return max(pause, at_least)

    async def sleep(self, at_least: float = 0.0) -> None:
        """Sleep for the next pause."""
        await asyncio.sleep(self.next(at_least))


def pause_after(failures: int, first: float, longest: float) -> float:
    """Return the pause after so many earlier failures."""
    pause = min(longest, first * 2.0 ** min(failures, 30))
    return pause * random.uniform(0.75, 1.25)  # noqa: S311 - only spreads
