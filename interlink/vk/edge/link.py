"""Whether InterLink is there, and what it last said of itself: one picture for all parts of the virtual kubelet.

Set by the ping (``pinger.py``) only, so that it cannot flap between two opinions; others may ``doubt`` it, which
makes the next ping come at once.
"""

import asyncio
import time
from collections.abc import Callable

from interlink.wire.messages import (
    EXTENSION_ADDRESS,
    EXTENSION_BATCH,
    EXTENSION_CHANGES,
    EXTENSION_STREAMS,
    EXTENSION_UPDATE,
    PingReply,
)


class Link:
    """The state of the connection to the edge."""

    def __init__(self) -> None:
        #: None until the first ping has come back or failed.
        self.reachable: bool | None = None
        #: Why not, in a sentence.
        self.words = "InterLink was not asked yet"
        self.reply: PingReply | None = None
        self._away_since: float | None = None
        self.listeners: list[Callable[[bool], None]] = []
        self.answered = asyncio.Event()
        self._doubted = asyncio.Event()
        self._news = asyncio.Event()

    @property
    def news(self) -> asyncio.Event:
        """Set by the next ping, whatever comes of it; each ping leaves a new one behind."""
        return self._news

    @property
    def has_changes(self) -> bool:
        """Whether the plugin offers the changes long poll."""
        return self._offers(EXTENSION_CHANGES)

    @property
    def has_update(self) -> bool:
        """Whether the plugin takes what changes of pods that run."""
        return self._offers(EXTENSION_UPDATE)

    @property
    def has_streams(self) -> bool:
        """Whether the plugin can tell a log's two streams apart."""
        return self._offers(EXTENSION_STREAMS)

    @property
    def has_batch(self) -> bool:
        """Whether the plugin takes several calls in one request."""
        return self._offers(EXTENSION_BATCH)

    @property
    def has_address(self) -> bool:
        """Whether the plugin puts a pod's address in where it is asked for."""
        return self._offers(EXTENSION_ADDRESS)

    def up(self, reply: PingReply) -> None:
        """Take a ping's answer."""
        self.reply, self._away_since = reply, None
        self.words = f"InterLink answers: {reply.status}"
        self.answered.set()
        self._set(True)

    def away(self, words: str) -> None:
        """Take a ping's failure."""
        self.words = words
        if self._away_since is None:
            self._away_since = time.monotonic()
        self._set(False)

    def away_for(self) -> float:
        """Return for how many seconds pings have failed, 0 while they do not."""
        return 0.0 if self._away_since is None else time.monotonic() - self._away_since

    def doubt(self) -> None:
        """Have the next ping come at once: a call has failed."""
        self._doubted.set()

    async def wait_for_doubt(self, seconds: float) -> None:
        """Wait until somebody doubts, or so many seconds."""
        # Not wait_for, which before Python 3.12 forgets a cancellation that comes with what it waits for.
        try:
            async with asyncio.timeout(seconds):
                await self._doubted.wait()
        except TimeoutError:
            return
        self._doubted.clear()

    def _offers(self, extension: str) -> bool:
        return bool(self.reply and extension in (self.reply.extensions or []))

    def _set(self, reachable: bool) -> None:
        changed, self.reachable = reachable != self.reachable, reachable
        for listener in self.listeners if changed else ():
            listener(reachable)
        told, self._news = self._news, asyncio.Event()
        told.set()
