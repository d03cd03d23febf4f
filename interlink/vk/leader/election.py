"""Wins the Lease, keeps it, and gives it back: client-go's leaderelection, with its gaps closed.

Run by ``replica.py``. Invariant: the fence is open only within ``Timing.renew`` seconds of the *sending* of the last
renewal that kube-apiserver took, and every other replica waits ``Timing.lease`` seconds from when it *saw* it; so this
replica's writes have ended before another one's can begin, whatever becomes of the network, kube-apiserver or this
process. A Lease that somebody deletes is not free before it would have expired.
"""

import asyncio
import logging
import random
import socket
import uuid
from collections.abc import Awaitable, Callable

from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.errors import ApiError, NotFoundError
from interlink.vk.leader.fence import Clock, Fence, boot_seconds
from interlink.vk.leader.record import Seen, Timing, new_lease, released, seen_again, taken
from interlink.vk.times import now_micros

log = logging.getLogger(__name__)

#: client-go's JitterFactor: a standby's pauses are up to so much longer, so that many do not come at once.
JITTER = 1.2
RELEASE_TRIES = 3


class LostError(Exception):
    """Another replica leads."""


class Election:
    """One replica's part in the election by the Lease ``namespace``/``name``."""

    def __init__(
        self, api: ApiServer, namespace: str, name: str, timing: Timing | None = None, clock: Clock = boot_seconds
    ) -> None:
        self.api = api
        self.namespace = namespace
        self.name = name
        #: Another for each process: a container that was started anew must not take its predecessor's term for its own.
        self.identity = f"{socket.gethostname()}_{uuid.uuid4()}"
        self.timing = timing or Timing()
        self.clock = clock
        self.fence = Fence(clock)
        #: Called at each attempt; the supervisor's sign of life.
        self.on_life: Callable[[], None] = lambda: None
        #: When the Lease was last read or written, and what has gone wrong since.
        self.looked = float("-inf")
        self.trouble = "nobody has looked yet"
        self._seen: Seen | None = None
        #: Whether the API holds the Lease as we last saw it, and whether it holds one at all, for all we know.
        self._fresh = False
        self._there = True
        #: Whether the API may hold it as ours.
        self._claimed = False
        self._folder = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"

    @property
    def holder(self) -> str:
        """Who leads, as far as this replica has seen; empty for nobody."""
        return self._seen.holder if self._seen else ""

    async def acquire(self) -> None:
        """Return once this replica leads."""
        log.info("lease %s/%s: waiting for it as %s", self.namespace, self.name, self.identity)
        said = ""
        while not await self._attempt(self._take):
            if self.holder != said:
                said = self.holder
                log.info("lease %s/%s: standing by, %s leads", self.namespace, self.name, said or "nobody")
            await asyncio.sleep(self.timing.retry * (1 + JITTER * random.random()))  # noqa: S311 - only spreads
        log.info("lease %s/%s: leading", self.namespace, self.name)

    async def hold(self) -> str:
        """Renew as long as that works; return why it does not any more. The fence is closed then."""
        try:
            while True:
                await asyncio.sleep(min(self.timing.retry, self.fence.remaining()))
                remaining = self.fence.remaining()
                if not remaining:
                    return f"lease {self.namespace}/{self.name} could not be renewed: {self.trouble or 'we were late'}"
                await self._attempt(self._renew, remaining)
        except LostError as lost:
            return f"lease {self.namespace}/{self.name}: {lost}"
        finally:
            self.fence.close()

    async def release(self) -> None:
        """Give the lease back, once nothing works any more; where that fails it expires by itself."""
        self.fence.close()
        for _ in range(RELEASE_TRIES):
            if not self._claimed or await self._attempt(self._give_back):
                return
        log.warning("lease %s/%s: not given back, it expires by itself: %s", self.namespace, self.name, self.trouble)

    async def _attempt(self, step: Callable[[], Awaitable[bool]], at_most: float = float("inf")) -> bool:
        """Run one step, at least two of which fit into a renewal's time; False where it failed."""
        self.on_life()
        try:
            async with asyncio.timeout(min(at_most, self.timing.renew / 2)):
                done = await step()
        except (ApiError, TimeoutError) as error:
            self.trouble = str(error) or "no answer in time"
            log.warning("lease %s/%s: %s; trying again", self.namespace, self.name, self.trouble)
            return False
        self.looked, self.trouble = self.clock(), ""
        return done

    async def _take(self) -> bool:
        await self._look()
        if self._seen and not self._seen.is_free(self.identity, self.clock()):
            return False
        await self._write_ours()
        return True

    async def _renew(self) -> bool:
        if not self._fresh:
            await self._look()
        if self.holder != self.identity:
            raise LostError(f"{self.holder or 'somebody else'} leads")
        await self._write_ours()
        return True

    async def _give_back(self) -> bool:
        if not self._fresh:
            await self._look()
        if self._seen and self._claimed:
            self._fresh = False
            await self.api.put(f"{self._folder}/{self.name}", released(self._seen, now_micros()))
            self._claimed = False
            log.info("lease %s/%s: given back", self.namespace, self.name)
        return True

    async def _look(self) -> None:
        try:
            lease = await self.api.get(f"{self._folder}/{self.name}")
        except NotFoundError:
            self._there = self._claimed = self._fresh = False
            return
        self._seen, self._there, self._fresh = seen_again(self._seen, lease, self.clock()), True, True
        self._claimed = self.holder == self.identity

    async def _write_ours(self) -> None:
        held = self._seen if self._there else None
        before = held.lease if held else new_lease(self.namespace, self.name)
        lease = taken(before, self.identity, self.timing, now_micros())
        # Until there is an answer nobody knows whether it was written, so whatever comes next looks first.
        self._fresh, self._claimed = False, True
        sent = self.clock()
        if held:
            written = await self.api.put(f"{self._folder}/{self.name}", lease)
        else:
            written = await self.api.post(self._folder, lease)
        self.fence.open_until(sent + self.timing.renew)
        self._seen, self._there, self._fresh = Seen(written, sent), True, True
