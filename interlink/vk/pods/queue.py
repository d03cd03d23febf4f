"""The work queue: which pods need a look, one look at a time for each, many pods at once, nothing ever given up.

Run by ``main.py`` with the controller's ``reconcile`` as worker. Invariants: a UID is worked on by one worker at most;
what is added while its pod is worked on is looked at once more afterwards; a failure delays only its own pod.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from interlink.vk.backoff import pause_after

log = logging.getLogger(__name__)

#: Most wait, for a request or 0.2 s for a batch to go, and each has a pod in its hands, unpacked. With 64 a tenth of
#: the cores was idle while pods waited; with 256 the most memory was 40 MiB more in one run of two.
WORKERS = 128
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 60.0

#: Looks at one pod; returns the seconds after which to look again, or None where only news are a reason to.
Worker = Callable[[str], Awaitable[float | None]]


class RetryLater(Exception):
    """Look again, with growing pauses. ``at_least`` is the other side's wish in seconds.

    With ``held`` it holds for all looks: not even news of the pod are a reason to ask that side sooner.
    """

    def __init__(self, message: str, at_least: float = 0.0, *, held: bool = False) -> None:
        super().__init__(message)
        self.at_least = at_least
        self.held = held


@dataclass(slots=True)
class _Entry:
    ready: bool = False
    busy: bool = False
    failures: int = 0
    timer: asyncio.TimerHandle | None = None
    #: Until when nobody may look, by the loop's clock.
    held_until: float = 0.0


class WorkQueue:
    """UIDs to look at."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._ready: asyncio.Queue[str] = asyncio.Queue()

    @property
    def depth(self) -> int:
        """How many pods wait for a worker."""
        return self._ready.qsize()

    @property
    def known(self) -> int:
        """How many pods wait, are worked on or wait out a pause."""
        return len(self._entries)

    def add(self, key: str) -> None:
        """Look at this pod as soon as a worker is free."""
        entry = self._entries.setdefault(key, _Entry())
        if entry.timer:
            entry.timer.cancel()
            entry.timer = None
        if entry.ready:
            return
        if entry.held_until and (left := entry.held_until - asyncio.get_running_loop().time()) > 0:
            self.add_after(key, left)
            return
        entry.ready = True
        if not entry.busy:
            self._ready.put_nowait(key)

    def add_after(self, key: str, seconds: float) -> None:
        """Look at this pod after so many seconds, unless something calls for it before."""
        entry = self._entries.setdefault(key, _Entry())
        if entry.ready:
            return
        if entry.timer:
            entry.timer.cancel()
        entry.timer = asyncio.get_running_loop().call_later(seconds, self.add, key)

    def kick(self) -> None:
        """Look at once at every pod that waits out a pause: what held them up is gone."""
        for key, entry in list(self._entries.items()):
            entry.failures = 0
            if entry.timer:
                self.add(key)

    async def run(self, worker: Worker, workers: int = WORKERS) -> None:
        """Work for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._work(worker))

    async def _work(self, worker: Worker) -> None:
        while True:
            key = await self._ready.get()
            # A look that writes nothing never waits: without this a full queue would hold up everything else.
            await asyncio.sleep(0)
            entry = self._entries[key]
            entry.ready, entry.busy = False, True
            again: float | None
            try:
                again = await worker(key)
                entry.failures, entry.held_until = 0, 0.0
            except RetryLater as later:
                again = max(later.at_least, pause_after(entry.failures, FIRST_PAUSE, LONGEST_PAUSE))
                entry.failures += 1
                entry.held_until = asyncio.get_running_loop().time() + later.at_least if later.held else 0.0
                log.debug("pod %s: again in %.1f s: %s", key, again, later)
            except Exception:
                # One pod's fault must not stop the others: it is said with its traceback and tried again.
                again = pause_after(entry.failures + 3, FIRST_PAUSE, LONGEST_PAUSE)
                entry.failures += 1
                log.exception("pod %s: unexpected; again in %.1f s", key, again)
            finally:
                entry.busy = False
            self._put_back(key, entry, again)

    def _put_back(self, key: str, entry: _Entry, again: float | None) -> None:
        if entry.ready and entry.held_until:
            entry.ready = False
            self.add(key)
        elif entry.ready:
            self._ready.put_nowait(key)
        elif again is not None:
            self.add_after(key, again)
        else:
            del self._entries[key]
