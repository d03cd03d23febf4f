"""List, then watch: keeps a handler's picture of some objects true, whatever breaks in between.

Run by ``main.py`` as one task for ever. Invariant: the handler gets ``replace`` with a complete list before anything
else, and again after every gap in the watch (HTTP 410, watches that keep failing: a version of the future since etcd
was restored, an event that cannot be read); a list that failed half-way is never handed on. The list comes at the
beginning of a watch where the server streams it (KEP-3157: one object at a time costs neither side a page of memory),
else in pages.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.errors import ApiError, ForbiddenError, GoneError, InvalidError, RetryError, api_error
from interlink.vk.backoff import Backoff

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
#: Rights come by an administrator's hand.
REFUSED_PAUSE = 15.0
#: So many watches that fail one after another, or end without a word, and the version that they began at is doubted.
FAILED_WATCHES = 3
#: How long a server may say nothing of a list that it streams, in seconds; it sends bookmarks once a minute.
LIST_SILENCE = 90.0
#: By this annotation of a bookmark the server says that the streamed list is complete.
LIST_ENDS = "k8s.io/initial-events-end"
Json = dict[str, Any]


class WatchEvent(msgspec.Struct):
    """One line of a watch."""

    type: str
    object: Json


class Handler(Protocol[T]):
    """Who is told."""

    def replace(self, items: list[T]) -> None:
        """Take the complete list."""

    def upsert(self, item: T) -> None:
        """Take an added or changed object."""

    def remove(self, item: T) -> None:
        """Take an object's last state: it is no more."""


class Reflector(Generic[T]):
    """One list-and-watch; ``pack`` makes of a JSON object what the handler keeps."""

    def __init__(
        self, api: ApiServer, path: str, params: dict[str, str], pack: Callable[[Json], T], handler: Handler[T]
    ) -> None:
        self.api = api
        self.path = path
        self.params = params
        self.pack = pack
        self.handler = handler
        #: Called whenever the server was heard; the supervisor's sign of life.
        self.on_life: Callable[[], None] = lambda: None
        #: How often was listed, and a watch begun.
        self.lists = self.watches = 0
        #: Called when the server says that this account may not list or watch them; it is tried again all the same.
        self.on_refused: Callable[[ForbiddenError], None] = lambda _error: None
        self._version = ""
        self._failed = 0
        #: Whether the server streams lists, as far as is known; what has come of one that is under way, by UID.
        self._streams = True
        self._streamed: dict[str, T] | None = None

    async def run(self) -> None:
        """List and watch for ever."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            try:
                if self._failed >= FAILED_WATCHES:
                    log.warning("listing %s again: %d watches have failed", self.path, self._failed)
                    self._version = ""
                if not self._version and (not self._streams or self._failed >= FAILED_WATCHES):
                    await self._list()
                began = time.monotonic()
                await self._watch()
                # A server that closes each watch at once is one that is coming up or going down.
                if time.monotonic() - began > 5:
                    backoff.reset()
                await backoff.sleep()
            except GoneError as error:
                log.info("listing %s again: %s", self.path, error)
                self._version = ""
                await backoff.sleep()
            except ForbiddenError as error:
                log.warning("%s; trying again, slowly", error)
                self.on_refused(error)
                await backoff.sleep(REFUSED_PAUSE)
            except ApiError as error:
                log.warning("%s; trying again", error)
                await backoff.sleep(error.retry_after)
            self.on_life()

    async def _list(self) -> None:
        items: list[T] = []
        version = ""
        async for page, page_version in self.api.pages(self.path, self.params):
            items.extend(self.pack(item) for item in page)
            version = page_version
        self._listed(items, version)
        self._failed = 0

    def _listed(self, items: list[T], version: str) -> None:
        self.lists += 1
        self.handler.replace(items)
        self._version = version

    async def _watch(self) -> None:
        """Watch from the known version on, or, where there is none, take a streamed list and go on from it."""
        self._streamed = {} if not self._version else None
        if self._streamed is not None:
            try:
                await self._follow({"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"})
            except InvalidError as error:
                log.info("listing %s in pages, for the server does not stream lists: %s", self.path, error)
                self._streams = False
        else:
            await self._follow({"resourceVersion": self._version})

    async def _follow(self, how: dict[str, str]) -> None:
        self.watches += 1
        self._failed += 1  # until it has ended well
        heard = False
        seconds = random.randint(300, 600)  # noqa: S311 - only spreads reconnections
        params = {**self.params, **how, "watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(seconds)}
        try:
            lines = self.api.stream(self.path, params, silence=seconds + 15)
            async with asyncio.timeout(None) as limit, aclosing(lines):
                self._bound(limit)
                async for line in lines:
                    self._take(line)
                    self._bound(limit)
                    self.on_life()
                    heard = True
        except TimeoutError as error:
            raise RetryError(f"list {self.path}: no word for {LIST_SILENCE:.0f} s") from error
        if heard and self._version:
            self._failed = 0

    def _bound(self, limit: asyncio.Timeout) -> None:
        """Wait only so long for the next word of a list; a watch may well be silent."""
        now = asyncio.get_running_loop().time()
        limit.reschedule(None if self._streamed is None else now + LIST_SILENCE)

    def _take(self, line: bytes) -> None:
        try:
            event = msgspec.json.decode(line, type=WatchEvent)
        except msgspec.MsgspecError as error:
            raise RetryError(f"watch {self.path}: no event: {error}") from error
        if event.type == "ERROR":
            raise api_error(f"watch {self.path}", int(event.object.get("code") or 500), event.object)
        metadata = event.object.get("metadata") or {}
        if self._streamed is not None:
            self._collect(self._streamed, event, metadata)
            return
        if event.type in ("ADDED", "MODIFIED"):
            self.handler.upsert(self.pack(event.object))
        elif event.type == "DELETED":
            self.handler.remove(self.pack(event.object))
        self._version = str(metadata.get("resourceVersion") or self._version)

    def _collect(self, streamed: dict[str, T], event: WatchEvent, metadata: Json) -> None:
        """Take an event of a list that is being streamed; with its last one the list counts."""
        if event.type in ("ADDED", "MODIFIED"):
            streamed[metadata["uid"]] = self.pack(event.object)
        elif event.type == "DELETED":
            streamed.pop(metadata["uid"], None)
        elif (metadata.get("annotations") or {}).get(LIST_ENDS) == "true":
            self._streamed = None
            self._listed(list(streamed.values()), str(metadata.get("resourceVersion") or ""))
            self._failed = 1  # by the same connection now a watch from that version on
        else:
            # Servers before 1.27 do not know the parameter: no bookmark of theirs says that the list is complete.
            raise InvalidError(f"watch {self.path}: a bookmark came before the end of the list")
