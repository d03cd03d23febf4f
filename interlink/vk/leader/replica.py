"""One replica of the virtual kubelet: stands by, leads when its turn comes, stops before another one may begin.

Made and run by ``main.py``. Invariants: work runs only while the lease is held; the lease is given back after the work
has stopped, never before; a lost lease stops the work and not the process, which stands by again.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from interlink.vk.leader.election import Election
from interlink.vk.leader.fence import Fence, always_open
from interlink.vk.supervisor import Pulse

log = logging.getLogger(__name__)

#: Does all the work of a leader until the event is set; whatever it writes passes the fence.
Work = Callable[[Fence, asyncio.Event], Coroutine[Any, Any, None]]
Tasks = list["asyncio.Task[Any]"]

#: The election's longest silence before /healthz tells of it: while work that has to stop does not end, nobody renews.
ELECTION_SECONDS = 60.0


class Replica:
    """One process among several; ``election`` is None for the only one, which always leads."""

    def __init__(self, election: Election | None, work: Work) -> None:
        self.election = election
        self.work = work
        self.pulse = Pulse()
        self.leads = False

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set; raises what the work died of, after the lease was given back."""
        if not self.election:
            self.leads = True
            await self.work(always_open(), stop)
            return
        self.election.on_life = self.pulse.watch("election", ELECTION_SECONDS)
        try:
            while await self._win(self.election, stop):
                await self._lead(self.election, stop)
        finally:
            await self.election.release()

    def role(self) -> str:
        """Return what this replica does, in words."""
        if self.leads:
            return "leading"
        return f"standing by, {(self.election and self.election.holder) or 'nobody'} leads"

    def unready(self) -> list[str]:
        """Return why this replica could not take over now; nothing where it leads."""
        election = self.election
        if self.leads or not election:
            return []
        silent = election.clock() - election.looked
        if silent <= election.timing.renew:
            return []
        return [f"lease {election.namespace}/{election.name} cannot be read: {election.trouble or 'no answer yet'}"]

    async def _win(self, election: Election, stop: asyncio.Event) -> bool:
        """Stand by; return whether there is work to do now."""
        async with _first_of(election.acquire(), stop.wait()) as (winning, stopping):
            return _ended(winning) and not stopping.done()

    async def _lead(self, election: Election, stop: asyncio.Event) -> None:
        halt = asyncio.Event()
        self.leads = True
        try:
            async with _first_of(self.work(election.fence, halt), election.hold(), stop.wait()) as (
                working,
                holding,
                _,
            ):
                if _ended(holding):
                    log.warning("%s; this replica stops its work and stands by; pods and jobs go on", holding.result())
                # Where the lease is ours it stays so until the work has ended.
                halt.set()
                await asyncio.wait({working})
                _ended(working)
        finally:
            self.leads = False


@asynccontextmanager
async def _first_of(*coroutines: Coroutine[Any, Any, Any]) -> AsyncIterator[Tasks]:
    """Enter the block when one of them has ended; none outlives it."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _ended(task: "asyncio.Task[Any]") -> bool:
    """Whether the task has ended; raises what it died of."""
    if task.done():
        task.result()
    return task.done()
