"""Asks InterLink every few seconds whether it is there: one task for all nodes of the process.

Run by ``main.py``. Each answer, and each failure, goes to the link, which tells whoever waits for it.
"""

import logging
from collections.abc import Callable, Sequence

from interlink.vk.edge.client import EdgeClient
from interlink.vk.edge.errors import AwayError
from interlink.vk.edge.link import Link

log = logging.getLogger(__name__)

PING_SECONDS = 10.0


class Pinger:
    """The ping of one InterLink; ``parts`` gives the partitions and the flavors to ask about."""

    def __init__(self, edge: EdgeClient, link: Link, parts: Callable[[], tuple[Sequence[str], Sequence[str]]]) -> None:
        self.edge = edge
        self.link = link
        self.parts = parts
        self.on_life: Callable[[], None] = lambda: None

    async def run(self) -> None:
        """Ping for ever; at once where somebody doubts the link."""
        while True:
            await self.ping()
            self.on_life()
            await self.link.wait_for_doubt(PING_SECONDS)

    async def ping(self) -> None:
        """Ask once, and tell the link."""
        before = self.link.reachable
        try:
            reply = await self.edge.ping(*self.parts())
        except AwayError as error:
            if before is not False:
                log.warning("%s", error)
            self.link.away(str(error))
            return
        if not before:
            log.info("InterLink at %s answers: %s", self.edge.name, reply.status)
        self.link.up(reply)
