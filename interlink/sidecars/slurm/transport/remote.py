"""A host behind ssh, or another user behind sudo: an agent that is started when it is needed, and again when it broke.

Constructed by ``hosts``. Invariant: while there is no way there, calls fail at once, and a new attempt is made only
after a pause that grows, whoever asks how often.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from interlink.sidecars.slurm.transport.channel import BOOTSTRAP, Channel
from interlink.sidecars.slurm.transport.host import FILE_SECONDS, Host, HostUnavailable

log = logging.getLogger(__name__)
_START_SECONDS = 20.0
#: An answer may come this much later than the far side's own deadline before the connection counts as broken.
_WAY_SECONDS = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0


def agent_words(python: str) -> tuple[str, ...]:
    """Return the command that starts an agent where it is run."""
    return (python, "-I", "-c", BOOTSTRAP)


class RemoteHost(Host):
    """A host or user that is reached by a command."""

    def __init__(
        self,
        name: str,
        command: Callable[[], Sequence[str]],
        on_broken: Callable[[], None] = lambda: None,
        way_seconds: float = _WAY_SECONDS,
    ) -> None:
        """``command`` is asked for with each start; ``on_broken`` is told when a connection is given up."""
        self._way_seconds = way_seconds
        self._name = name
        self._command = command
        self._on_broken = on_broken
        self._lock = threading.Lock()
        self._channel: Channel | None = None
        self._pause, self._again_at, self._words = 0.0, 0.0, ""
        self._closed = False

    def call(
        self, operation: str, arguments: Mapping[str, Any], body: bytes = b"", timeout: float = FILE_SECONDS
    ) -> tuple[Any, bytes]:
        """See Host. Raises HostUnavailable and HostTimedOut, too."""
        channel = self._ready()
        return channel.ask(operation, arguments, body, timeout + self._way_seconds)

    def close(self) -> None:
        """End the agent; a call under way fails."""
        self._closed = True
        channel = self._channel
        if channel:
            channel.end("this service is stopping")

    def _ready(self) -> Channel:
        """Return a working channel, started if there is none."""
        if not self._lock.acquire(timeout=_START_SECONDS + _WAY_SECONDS):
            raise HostUnavailable(f"{self._name}: still being connected to")
        try:
            if self._channel and not self._channel.broken:
                return self._channel
            if self._closed:
                raise HostUnavailable(f"{self._name}: this service is stopping")
            if self._channel:
                log.warning("%s: %s; the next call connects anew", self._name, self._channel.broken)
                self._channel = None
                self._on_broken()
            if time.monotonic() < self._again_at:
                raise HostUnavailable(self._words)
            return self._start()
        finally:
            self._lock.release()

    def _start(self) -> Channel:
        try:
            self._channel = Channel(self._command(), self._name, _START_SECONDS)
        except HostUnavailable as error:
            if not self._pause:  # once per outage
                log.warning("no way to %s", error)
            self._pause = min(max(2 * self._pause, _FIRST_PAUSE), _LONGEST_PAUSE)
            self._again_at, self._words = time.monotonic() + self._pause, str(error)
            self._on_broken()
            raise
        log.info("connected to %s", self._name)
        self._pause = 0.0
        return self._channel
