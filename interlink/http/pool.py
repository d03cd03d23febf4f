"""Waitress's pool of threads, started one by one as requests need them.

Used by ``server``. Waitress starts all of its threads at once and wakes the one that has rested longest, so that a few
requests at a time go round all of them: 256 threads took 5 MB, and no request ever found its thread in a warm cache.
"""

import logging
import threading
from typing import Any

from waitress.task import ThreadedTaskDispatcher

log = logging.getLogger(__name__)


class GrowingPool(ThreadedTaskDispatcher):  # type: ignore[misc]
    """A pool that has a thread for each request under way, up to ``most``; threads stay once they are started."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self._growing = threading.Lock()
        self._full = False

    def add_task(self, task: Any) -> None:
        """Queue a request, and start a thread for it if no other one is free."""
        with self._growing:
            with self.lock:
                self.queue.append(task)
                self.queue_cv.notify()
                running = len(self.threads) - self.stop_count
                # A thread that was notified counts as free until it takes its request from the queue.
                short = len(self.queue) > running - self.active_count
            if short and running < self._most:
                self.set_thread_count(running + 1)
            full = short and running >= self._most
            if full and not self._full:
                log.warning("all %d threads are busy; requests wait (RequestThreads sets how many there are)", running)
            self._full = full
