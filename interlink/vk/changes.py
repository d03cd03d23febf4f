"""The change feed: brings the edge's statuses in, by long poll where the plugin offers it, else by polling all pods.

One task for all nodes of the process, run by ``main.py``. Invariants: a complete picture is told as one only if it came
whole; a broken call changes nothing of what is known.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from interlink.vk.backoff import Backoff
from interlink.vk.edge.book import StatusBook
from interlink.vk.edge.client import EdgeClient
from interlink.vk.edge.errors import AwayError, CursorExpiredError
from interlink.vk.edge.link import Link
from interlink.vk.pods.store import PodStore
from interlink.vk.turns import Turns
from interlink.wire.messages import PodStatus

log = logging.getLogger(__name__)

LONG_POLL_SECONDS = 25.0
POLL_SECONDS = 5.0
#: Long polls a second, and how many at once after a quiet time. Where more changes than that come, one answer brings
#: several: each costs three processes as much as the status that it brings, and without a bound there was one for each.
#: While kube-apiserver is busy there are fewer still.
RATE, AT_ONCE = 20.0, 20.0
#: A complete picture now and then heals whatever a feed of changes could ever lose.
PICTURE_SECONDS = 600.0


class Follower(Protocol):
    """One node, which takes what concerns its pods."""

    book: StatusBook
    store: PodStore

    def on_snapshot(self, asked: float, touched: set[str]) -> None:
        """Look at what a complete picture touches; it was asked for at this time of the monotonic clock."""


class ChangeFeed:
    """Fills the nodes' books and says which pods have news; ``busy`` says whether kube-apiserver is."""

    def __init__(
        self, edge: EdgeClient, link: Link, nodes: Sequence[Follower], busy: Callable[[], bool] = lambda: False
    ) -> None:
        self.edge = edge
        self.link = link
        self.nodes = nodes
        self.on_life: Callable[[], None] = lambda: None
        self._cursor: str | None = None
        self._pictured = 0.0
        self._turns = Turns(RATE, AT_ONCE, busy)

    async def run(self) -> None:
        """Follow for ever."""
        backoff = Backoff(0.2, 10.0)
        while True:
            self.on_life()
            if not self.link.answered.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self.link.answered.wait()
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
        await self._turns.take()
        asked = time.monotonic()
        cursor = self._cursor if asked - self._pictured < PICTURE_SECONDS else None
        changes = await self.edge.changes(cursor, LONG_POLL_SECONDS)
        if cursor is None:
            self._pictured = asked
            self._snapshot(asked, changes.statuses)
        else:
            for status in changes.statuses:
                for node in self.nodes:
                    if _concerns(node, status):
                        node.book.put(status)
                        node.store.listener(status.UID)
        self._cursor = changes.cursor

    async def _poll(self) -> None:
        asked = time.monotonic()
        records = [record for node in self.nodes for record in node.store.pods.values() if not record.terminal]
        pods = [record.load() for record in records]
        statuses = await self.edge.statuses(pods) if pods else []
        if len(pods) > 1 and len(statuses) <= 1:
            # Plugins made with the Python SDK answer for the first pod only.
            statuses = [status for pod in pods for status in await self.edge.statuses([pod])]
        for status in statuses:
            # No "ended" in the public protocol: there a pod is over when all its containers are.
            states = [container.get("state") or {} for container in status.containers]
            status.ended = status.ended or (bool(states) and all("terminated" in state for state in states))
        self._snapshot(asked, statuses)

    def _snapshot(self, asked: float, statuses: list[PodStatus]) -> None:
        for node in self.nodes:
            touched = node.book.replace([status for status in statuses if _concerns(node, status)])
            node.on_snapshot(asked, touched)


def _concerns(node: Follower, status: PodStatus) -> bool:
    return node.book.is_ours(status) or status.UID in node.store.pods
