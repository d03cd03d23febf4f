"""The node's lease: renewed every ten seconds on connections of its own, so that no other work can delay it.

One task, run by ``main.py``. Without it Kubernetes takes the node for dead after 40 s (50 s since 1.32).
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.errors import ApiError, ConflictError, NotFoundError
from interlink.vk.backoff import Backoff
from interlink.vk.times import now_micros

log = logging.getLogger(__name__)

Json = dict[str, Any]

FOLDER = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
DURATION_SECONDS = 40
RENEW_SECONDS = 10.0


class Lease:
    """One node's lease; ``node_uid`` gives the owner, empty until the node is registered."""

    def __init__(self, api: ApiServer, node_name: str, node_uid: Callable[[], str]) -> None:
        self.api = api
        self.node_name = node_name
        self.node_uid = node_uid
        self.on_life: Callable[[], None] = lambda: None
        #: When it was last renewed, by time.monotonic(); 0: never.
        self.renewed = 0.0
        self._held: Json | None = None

    async def run(self) -> None:
        """Renew for ever."""
        backoff = Backoff(0.2, 7.0)
        while True:
            self.on_life()
            began = time.monotonic()
            try:
                await self.renew()
                self.renewed = began
                backoff.reset()
                await asyncio.sleep(max(0.0, RENEW_SECONDS - (time.monotonic() - began)))
            except ConflictError:
                self._held = None
                await backoff.sleep()
            except ApiError as error:
                log.warning("lease: %s; trying again", error)
                await backoff.sleep(min(error.retry_after, 5.0))

    async def renew(self) -> None:
        """Write the lease once. Raises ApiError."""
        path = f"{FOLDER}/{self.node_name}"
        if self._held is None:
            try:
                self._held = await self.api.get(path)
            except NotFoundError:
                lease = {
                    "apiVersion": "coordination.k8s.io/v1",
                    "kind": "Lease",
                    "metadata": {"name": self.node_name, "namespace": "kube-node-lease"},
                }
                self._held = await self.api.post(FOLDER, self._filled(lease))
                return
        try:
            self._held = await self.api.put(path, self._filled(self._held))
        except NotFoundError:
            self._held = None
            raise

    def _filled(self, lease: Json) -> Json:
        uid = self.node_uid()
        metadata = {key: value for key, value in lease["metadata"].items() if key != "managedFields"}
        if uid:
            owner = {"apiVersion": "v1", "kind": "Node", "name": self.node_name, "uid": uid}
            metadata["ownerReferences"] = [owner]
        spec = {
            **(lease.get("spec") or {}),
            "holderIdentity": self.node_name,
            "leaseDurationSeconds": DURATION_SECONDS,
            "renewTime": now_micros(),
        }
        return {**lease, "metadata": metadata, "spec": spec}
