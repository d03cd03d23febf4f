"""ConfigMaps and Secrets that one pod refers to, fetched once each while its create request is made.

Made anew for each request by ``pods/request.py``, so that nothing secret is kept and nothing stale is sent.
"""

import asyncio
import base64
import binascii
from typing import Any

from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.errors import NotFoundError

Json = dict[str, Any]


class NotReadyError(Exception):
    """The pod cannot be sent yet: the text says what is missing. It is tried again until it is there."""


class References:
    """Fetches by name within the pod's namespace; an object that is asked for twice is fetched once."""

    def __init__(self, api: ApiServer, namespace: str) -> None:
        self.api = api
        self.namespace = namespace
        self._fetched: dict[tuple[str, str], asyncio.Task[Json | None]] = {}

    async def config_map(self, name: str) -> Json | None:
        """Return the v1.ConfigMap, None where there is none."""
        return await self._fetch("configmaps", name)

    async def secret(self, name: str) -> Json | None:
        """Return the v1.Secret, None where there is none."""
        return await self._fetch("secrets", name)

    async def _fetch(self, kind: str, name: str) -> Json | None:
        task = self._fetched.get((kind, name))
        if task is None:
            task = asyncio.ensure_future(self._get(kind, name))
            self._fetched[kind, name] = task
        return await task

    async def _get(self, kind: str, name: str) -> Json | None:
        try:
            found = await self.api.get(f"/api/v1/namespaces/{self.namespace}/{kind}/{name}")
        except NotFoundError:
            return None
        found["metadata"].pop("managedFields", None)
        return found


def decode_secret(value: str) -> bytes:
    """Return a Secret's value; NotReadyError where it is no base64, which the API does not let in."""
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotReadyError(f"a secret's value is no base64: {error}") from error
