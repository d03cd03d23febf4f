"""Which pods use which objects, and whether those have changed: asked one by one, never listed, never watched.

Run by ``main.py`` as one task, told by ``updates.py`` what is in use. An object that many pods use is asked for once,
by its metadata alone and from kube-apiserver's cache (no etcd), as by a kubelet of the "Cache" strategy. The only right
that this takes is "get", and the only connection is one that is there already.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from interlink.vk.apiserver.client import METADATA, METADATA_LIST, ApiServer
from interlink.vk.apiserver.errors import ApiError, NotFoundError
from interlink.vk.backoff import Backoff
from interlink.vk.objects import ObjectKey, version_of

log = logging.getLogger(__name__)

#: The time between two looks at one object, in seconds, where few are in use; a kubelet takes 60 to 90.
LEAST_SECONDS = 30.0
#: Requests a second where many are: half of what a kubelet may send (kubeAPIQPS 50). 10,000 objects take 400 s.
RATE = 25.0
#: The longest pause after a request that failed, whatever the server wishes: the loop must give signs of life.
LONGEST_PAUSE = 30.0
#: How long to wait where there is nothing to ask for.
IDLE_SECONDS = 5.0


class Versions:
    """The objects in use. ``on_change`` gets the UID of each pod that uses one that has changed."""

    def __init__(self, api: ApiServer, wanted: Callable[[], bool], clock: Callable[[], float] = time.monotonic) -> None:
        self.api = api
        #: Whether changes are of use to anybody now.
        self.wanted = wanted
        self.clock = clock
        self.on_change: Callable[[str], None] = lambda _uid: None
        self.on_life: Callable[[], None] = lambda: None
        self._users: dict[ObjectKey, set[str]] = {}
        self._uses: dict[str, frozenset[ObjectKey]] = {}
        #: The version that was seen last, and since when it is known.
        self._seen: dict[ObjectKey, tuple[str, float]] = {}

    def use(self, uid: str, keys: Iterable[ObjectKey]) -> None:
        """Take what the pod uses now, in place of what it used before."""
        before, now = self._uses.pop(uid, frozenset()), frozenset(keys)
        for key in now - before:
            self._users.setdefault(key, set()).add(uid)
        for key in before - now:
            users = self._users[key]
            users.discard(uid)
            if not users:
                del self._users[key]
                self._seen.pop(key, None)
        if now:
            self._uses[uid] = now

    def note(self, key: ObjectKey, version: str) -> None:
        """Take the version that somebody has seen; where it is another one, the object's users are told."""
        known = self._seen.get(key)
        if key not in self._users or (known and known[0] == version):
            return
        self._seen[key] = (version, self.clock())
        for uid in self._users[key] if known else ():
            self.on_change(uid)

    def is_used_besides(self, key: ObjectKey, uid: str) -> bool:
        """Whether another pod than this one uses the object."""
        return not self._users.get(key, set()) <= {uid}

    def seen(self, key: ObjectKey) -> str | None:
        """Return the version that was seen last, None before the first."""
        known = self._seen.get(key)
        return known[0] if known else None

    def since(self, key: ObjectKey) -> float:
        """Return since when that version is known, by the clock; 0 before the first."""
        return self._seen.get(key, ("", 0.0))[1]

    async def run(self) -> None:
        """Ask for ever."""
        backoff = Backoff(0.5, LONGEST_PAUSE)
        while True:
            self.on_life()
            keys = list(self._users) if self.wanted() else []
            if not keys:
                await asyncio.sleep(IDLE_SECONDS)
            pause = max(1 / RATE, LEAST_SECONDS / max(1, len(keys)))
            for key in keys:
                began = self.clock()
                self.on_life()
                try:
                    await self._ask(key)
                    backoff.reset()
                except ApiError as error:
                    # The rest of the round goes on: what one request lacks (a right, say) another may have.
                    log.warning("whether volumes have changed is not known: %s", error)
                    await backoff.sleep(min(error.retry_after, LONGEST_PAUSE))
                await asyncio.sleep(max(0.0, pause - (self.clock() - began)))

    async def _ask(self, key: ObjectKey) -> None:
        if key not in self._users:
            return
        try:
            accept = METADATA if key.name else METADATA_LIST
            found = await self.api.get(key.path, {"resourceVersion": "0", **key.selectors}, accept)
        except NotFoundError as error:
            if error.reason != "NotFound":
                raise
            found = None
        self.note(key, version_of(found))
