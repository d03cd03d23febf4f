"""The objects that pods refer to: where each is in the API, its version, and one fetch of it for many pods.

Used by ``gather.py`` and by ``volumes/``. Pure but for the cache, which keeps what it fetched for half a minute: an
object that a thousand pods mount changes for all of them at once.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.errors import NotFoundError

Json = dict[str, Any]

#: How long a fetched object is kept, in seconds.
KEPT_SECONDS = 30.0
#: DNS subdomain (RFC 1123) as all names here are, with the colons of ClusterTrustBundles: never a path or a query.
_NAME = re.compile(r"[a-z0-9]([-.:a-z0-9]{0,251}[a-z0-9])?")


class ObjectKey(NamedTuple):
    """One object, or, without a name, what of a collection matches some selectors."""

    #: The collection's path, as ``/api/v1/namespaces/default/configmaps``.
    collection: str
    name: str
    label_selector: str = ""
    field_selector: str = ""

    @property
    def path(self) -> str:
        """The path of the object or of the collection."""
        return f"{self.collection}/{self.name}" if self.name else self.collection

    @property
    def selectors(self) -> dict[str, str]:
        """The selectors as parameters of a list."""
        selectors = {"labelSelector": self.label_selector, "fieldSelector": self.field_selector}
        return {key: value for key, value in selectors.items() if value}


def is_name(text: str) -> bool:
    """Whether the text can be an object's name; the API lets some references in a pod be any text at all."""
    return _NAME.fullmatch(text) is not None


def version_of(found: Json | None) -> str:
    """Return the resourceVersion of an object, of a selection the digest of all its objects'; "" where there is none.

    Versions are compared for equality only, as the API wants.
    """
    if found is None:
        return ""
    if "items" not in found:
        return str(found["metadata"].get("resourceVersion") or "")
    entries = sorted((item["metadata"]["name"], item["metadata"]["resourceVersion"]) for item in found["items"])
    return hashlib.sha256(repr(entries).encode()).hexdigest()[:32] if entries else ""


async def fetch(api: ApiServer, key: ObjectKey) -> Json | None:
    """Return the newest object, or {"items": […]} of a selection; None where there is none. Raises ApiError."""
    if not key.name:
        return {"items": [item async for page, _ in api.pages(key.path, key.selectors) for item in page]}
    try:
        found = await api.get(key.path)
    except NotFoundError as error:
        if error.reason != "NotFound":
            raise  # a proxy's word, not the API's
        return None
    found["metadata"].pop("managedFields", None)
    return found


class ObjectCache:
    """Objects that were fetched lately; who wants one says from when on it counts."""

    def __init__(self, api: ApiServer, clock: Callable[[], float] = time.monotonic) -> None:
        self.api = api
        self.clock = clock
        self._fetched: dict[ObjectKey, tuple[float, asyncio.Task[Json | None]]] = {}

    async def get(self, key: ObjectKey, since: float) -> Json | None:
        """Return the object as it was at ``since`` (of the clock) or later; nobody may change it. Raises ApiError."""
        asked, task = self._fetched.get(key, (0.0, None))
        if task is None or asked < since:
            task = asyncio.ensure_future(fetch(self.api, key))
            task.add_done_callback(lambda done: self._done(key, done))
            self._fetched[key] = (self.clock(), task)
        # Shielded: one who gives up waiting must not take the others' answer with it.
        return await asyncio.shield(task)

    def _done(self, key: ObjectKey, task: "asyncio.Task[Json | None]") -> None:
        if task.cancelled() or task.exception():
            self._drop(key, task)
        else:
            asyncio.get_running_loop().call_later(KEPT_SECONDS, self._drop, key, task)

    def _drop(self, key: ObjectKey, task: "asyncio.Task[Json | None]") -> None:
        if self._fetched.get(key, (0.0, None))[1] is task:
            del self._fetched[key]
