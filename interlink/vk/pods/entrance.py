"""The node's entrance: asks ``admission.py`` about each pod before it is sent, and keeps ``occupancy.py`` true.

Called by ``starting.py``. The node's labels, taints and amounts are the API's own, for others change them too.
"""

import asyncio
import time
from typing import Any

from interlink.config.pods import IGNORE
from interlink.vk.apiserver.client import ApiServer
from interlink.vk.edge.book import StatusBook
from interlink.vk.pods.admission import Demand, Refusal, came_by_chance, check, is_of_daemon_set, is_placed, pod_demand
from interlink.vk.pods.occupancy import Occupancy
from interlink.vk.pods.store import PodStore

Json = dict[str, Any]

#: How old the copy of the node may be by which a pod is let in; refused it is only by a fresh one.
NODE_SECONDS = 5.0
IGNORED, REJECTED = "DaemonSetIgnored", "DaemonSetRejected"


class Entrance:
    """Who may come in. ``daemon_sets`` is the configuration's word on pods that mean every node."""

    def __init__(self, api: ApiServer, store: PodStore, book: StatusBook, daemon_sets: str) -> None:
        self.api = api
        self.book = book
        self.occupancy = Occupancy(store, book)
        self.daemon_sets = daemon_sets
        self._node: Json = {}
        self._read = float("-inf")
        self._reading: asyncio.Task[Json] | None = None

    async def refusal(self, pod: Json) -> Refusal | None:
        """Return why the pod is not taken, and count it where it is. Raises ApiError and QuantityError.

        The reason IGNORED says that it is neither taken nor failed: it waits.
        """
        uid, demand = pod["metadata"]["uid"], pod_demand(pod)
        if is_of_daemon_set(pod) and came_by_chance(pod, await self._copy()):
            return self._of_daemon_set()
        if not is_placed(pod):
            await self.occupancy.catch_up()
            refusal = self._check(pod, await self._copy(), demand)
            if refusal:
                refusal = self._check(pod, await self._fresh(), demand)
            if refusal:
                return refusal
        self.occupancy.take(uid, demand)
        return None

    def _check(self, pod: Json, node: Json, demand: Demand) -> Refusal | None:
        return check(pod, node, demand, self.occupancy.others(pod["metadata"]["uid"]))

    def _of_daemon_set(self) -> Refusal:
        ignored = self.daemon_sets == IGNORE
        words = (
            f"{'not run' if ignored else 'refused'} on virtual node {self.book.node_name}: the DaemonSet came here "
            "only because it tolerates every taint; keep it away by node affinity (type NotIn virtual-kubelet), or "
            "tolerate the node's own taint by its key to have it run here"
        )
        return Refusal(IGNORED if ignored else REJECTED, words)

    async def _copy(self) -> Json:
        if time.monotonic() - self._read <= NODE_SECONDS:
            return self._node
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._fresh())
        # Many pods come at once, and one answer does for them all; who gives up waiting must not take it with him.
        return await asyncio.shield(self._reading)

    async def _fresh(self) -> Json:
        asked = time.monotonic()
        self._node = await self.api.get(f"/api/v1/nodes/{self.book.node_name}")
        self._read = asked
        return self._node
