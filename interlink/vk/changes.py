"""The change feed: brings the edge's statuses in, by long poll where the plugin offers it, else by polling all pods.

One task, run by ``main.py``. Invariants: a complete picture is told as one only if it came whole; a broken call
changes nothing of what is known.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from interlink.vk.backoff import Backoff
from interlink.vk.edge.book import StatusBook
from interlink.vk.edge.client import EdgeClient
from interlink.vk.edge.errors import AwayError, CursorExpiredError
from interlink.vk.edge.link import Link
from interlink.vk.pods.store import PodStore
from interlink.wire.messages import PodStatus

log = logging.getLogger(__name__)

LONG_POLL_SECONDS = 25.0
POLL_SECONDS = 5.0
#: A complete picture now and then heals whatever a feed of changes could ever lose.
PICTURE_SECONDS = 600.0


class ChangeFeed:
    """Fills the book and says which pods have news; ``on_snapshot`` gets the time at which a picture was asked for."""

    def __init__(
        self,
        edge: EdgeClient,
        link: Link,
        book: StatusBook,
        store: PodStore,
        on_snapshot: Callable[[float, set[str]], None],
    ) -> None:
        self.edge = edge
        self.link = link
        self.book = book
        self.store = store
        self.on_snapshot = on_snapshot
        self.on_life: Callable[[], None] = lambda: None
        self._cursor: str | None = None
        self._pictured = 0.0

    async def run(self) -> None:
        """Follow for ever."""
        backoff = Backoff(0.2, 10.0)
        while True:
            self.on_life()
            if not self.link.answered.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.link.answered.wait(), POLL_SECONDS)
                continue
            try:
                if self.link.has_changes:
                    await self._long_poll()
                else:
                    await self._poll()
                    await self.link.wait_for_doubt(POLL_SECONDS)
                backoff.reset()
            except CursorExpiredError as error:
                log.info("the plugin began anew (%s): taking all statuses", error)
                self._cursor = None
            except AwayError as error:
                log.log(logging.DEBUG if self.link.reachable is False else logging.WARNING, "%s", error)
                self.link.doubt()
                await backoff.sleep(error.retry_after)

    async def _long_poll(self) -> None:
        asked = time.monotonic()
        cursor = self._cursor if asked - self._pictured < PICTURE_SECONDS else None
        changes = await self.edge.changes(cursor, LONG_POLL_SECONDS)
        ours = [status for status in changes.statuses if self._concerns_us(status)]
        if cursor is None:
            self._pictured = asked
            self._snapshot(asked, ours)
        else:
            for status in ours:
                self.book.put(status)
                self.store.listener(status.UID)
        self._cursor = changes.cursor

    async def _poll(self) -> None:
        asked = time.monotonic()
        records = [record for record in self.store.pods.values() if not record.terminal]
        pods = [record.load() for record in records]
        statuses = await self.edge.statuses(pods) if pods else []
        if len(pods) > 1 and len(statuses) <= 1:
            # Plugins made with the Python SDK answer for the first pod only.
            statuses = [status for pod in pods for status in await self.edge.statuses([pod])]
        for status in statuses:
            # No "ended" in the public protocol: there a pod is over when all its containers are.
            states = [container.get("state") or {} for container in status.containers]
            status.ended = status.ended or (bool(states) and all("terminated" in state for state in states))
        self._snapshot(asked, [status for status in statuses if self._concerns_us(status)])

    def _snapshot(self, asked: float, statuses: list[PodStatus]) -> None:
        touched = self.book.replace(statuses)
        self.on_snapshot(asked, touched)

    def _concerns_us(self, status: PodStatus) -> bool:
        return self.book.is_ours(status) or status.UID in self.store.pods
