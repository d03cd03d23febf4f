"""ConfigMaps and Secrets that one pod refers to, by name within its namespace; each is fetched once for the pod.

Made anew for each create request by ``pods/request.py``, so that nothing stale is sent, and for each look at a running
pod's volumes by ``volumes/updates.py``, then upon the cache of ``objects.py``.
"""

import asyncio
import base64
import binascii
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from interlink.vk.objects import ObjectKey, is_name

Json = dict[str, Any]

#: Returns the object, None where there is none. Raises ApiError.
Fetch = Callable[[ObjectKey], Awaitable[Json | None]]

_WORDS = {"configmaps": "ConfigMap", "secrets": "Secret"}


class NotReadyError(Exception):
    """The pod cannot be sent yet: the text says what is missing. It is tried again until it is there."""


class References:
    """Fetches for one pod; an object that is asked for twice is fetched once."""

    def __init__(self, fetch: Fetch, namespace: str) -> None:
        self.namespace = namespace
        self._fetch = fetch
        self._fetched: dict[ObjectKey, asyncio.Task[Json | None]] = {}

    async def config_map(self, name: str) -> Json | None:
        """Return the v1.ConfigMap, None where there is none. Raises NotReadyError for what is no name."""
        return await self.get(self.key("configmaps", name))

    async def secret(self, name: str) -> Json | None:
        """Return the v1.Secret, None where there is none. Raises NotReadyError for what is no name."""
        return await self.get(self.key("secrets", name))

    def key(self, kind: str, name: str) -> ObjectKey:
        """Return the key of a ConfigMap or Secret. Raises NotReadyError for what is no name."""
        if not is_name(name):
            raise NotReadyError(f"{name[:80]!r} is no name of a {_WORDS[kind]}")
        return ObjectKey(sys.intern(f"/api/v1/namespaces/{self.namespace}/{kind}"), name)

    async def get(self, key: ObjectKey) -> Json | None:
        """Return the object, None where there is none."""
        task = self._fetched.get(key)
        if task is None:
            task = asyncio.ensure_future(self._fetch(key))
            self._fetched[key] = task
        return await task


def decode_secret(value: str) -> bytes:
    """Return a Secret's value; NotReadyError where it is no base64, which the API does not let in."""
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotReadyError(f"a secret's value is no base64: {error}") from error
