"""A thread that does one thing again and again, and outlives every failure of it. Used by ``backend``."""

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Worker:
    """Calls ``step`` every ``interval`` seconds, and at once when woken."""

    def __init__(self, name: str, step: Callable[[], object], interval: float) -> None:
        self._step = step
        self._interval = interval
        self._wake = threading.Event()
        self._stopping = False
        self._failing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Do the next step now."""
        self._wake.set()

    def stop_soon(self) -> None:
        """End after the step under way."""
        self._stopping = True
        self._wake.set()

    def join(self, timeout: float = 5.0) -> None:
        """Wait for that, so long at most."""
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._step()
                self._failing = False
            except Exception:
                if not self._failing:  # once, not five times a second
                    log.exception("%s failed; it is tried again", self._thread.name)
                self._failing = True
            self._wake.wait(self._interval)
            self._wake.clear()
