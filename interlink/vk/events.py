"""Kubernetes events about pods and the node: aggregated, bounded, and never in anybody's way.

Written by the pod controller and the node controller through ``record``, which only notes; one task sends. Invariant:
an event that cannot be sent is dropped with a log line, because an event is a comment and not state.
"""

import asyncio
import itertools
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.errors import ApiError, NotFoundError
from interlink.vk.times import now_seconds

log = logging.getLogger(__name__)

Json = dict[str, Any]

#: client-go's spam filter: 25 events of one object at once, then one in five minutes.
BURST, REFILL_SECONDS = 25.0, 300.0
#: kubelet's eventRecordQPS and eventBurst: events must not take kube-apiserver's time from statuses.
RATE, AT_ONCE = 50.0, 100.0
REMEMBERED = 4096
#: Events that wait for their turn: five for each pod of a burst of a thousand.
WAITING = 5_000
MESSAGE_LIMIT = 1024


@dataclass
class _Sent:
    name: str
    count: int


class Events:
    """The recorder of one node."""

    def __init__(self, api: ApiServer, node_name: str) -> None:
        self.api = api
        self.node_name = node_name
        self._waiting: asyncio.Queue[tuple[Json, str, str, str]] = asyncio.Queue(WAITING)
        self._sent: OrderedDict[tuple[str, ...], _Sent] = OrderedDict()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._numbers = itertools.count(time.time_ns())
        self._turns, self._counted = AT_ONCE, time.monotonic()

    def pod(self, pod: Json, kind: str, reason: str, message: str) -> None:
        """Note an event about a pod; ``kind`` is Normal or Warning."""
        metadata = pod["metadata"]
        regarding = {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        }
        self._note(regarding, kind, reason, message)

    def node(self, kind: str, reason: str, message: str) -> None:
        """Note an event about the node; kubectl describe looks for the name as the UID."""
        regarding = {"apiVersion": "v1", "kind": "Node", "name": self.node_name, "uid": self.node_name}
        self._note(regarding, kind, reason, message)

    def _note(self, regarding: Json, kind: str, reason: str, message: str) -> None:
        try:
            self._waiting.put_nowait((regarding, kind, reason, message[:MESSAGE_LIMIT]))
        except asyncio.QueueFull:
            log.warning("event dropped, too many wait: %s %s: %s", regarding["name"], reason, message)

    async def run(self) -> None:
        """Send for ever."""
        while True:
            regarding, kind, reason, message = await self._waiting.get()
            if not self._allowed(regarding["uid"]):
                log.debug("event dropped, too many of %s: %s: %s", regarding["name"], reason, message)
                continue
            await self._turn()
            try:
                await self._send(regarding, kind, reason, message)
            except ApiError as error:
                log.warning("event dropped: %s", error)

    async def _turn(self) -> None:
        """Wait until one more event may be sent."""
        now = time.monotonic()
        self._turns = min(AT_ONCE, self._turns + (now - self._counted) * RATE)
        self._counted = now
        self._turns -= 1
        if self._turns < 0:
            await asyncio.sleep(-self._turns / RATE)

    async def _send(self, regarding: Json, kind: str, reason: str, message: str) -> None:
        key = (regarding["uid"], kind, reason, message)
        namespace = regarding.get("namespace") or "default"
        path = f"/api/v1/namespaces/{namespace}/events"
        sent = self._sent.get(key)
        if sent:
            try:
                await self.api.patch(f"{path}/{sent.name}", {"count": sent.count + 1, "lastTimestamp": now_seconds()})
                sent.count += 1
            except NotFoundError:
                del self._sent[key]  # its hour is over: the API keeps events for a while only
            else:
                return
        name = f"{regarding['name'][:200]}.{next(self._numbers):x}"
        now = now_seconds()
        await self.api.post(
            path,
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": name, "namespace": namespace},
                "involvedObject": regarding,
                "type": kind,
                "reason": reason,
                "message": message,
                "source": {"component": "interlink-vk", "host": self.node_name},
                "reportingComponent": "interlink-vk",
                "reportingInstance": self.node_name,
                "firstTimestamp": now,
                "lastTimestamp": now,
                "count": 1,
            },
        )
        self._sent[key] = _Sent(name, 1)
        if len(self._sent) > REMEMBERED:
            self._sent.popitem(last=False)

    def _allowed(self, uid: str) -> bool:
        now = time.monotonic()
        tokens, since = self._buckets.pop(uid, (BURST, now))
        tokens = min(BURST, tokens + (now - since) / REFILL_SECONDS)
        allowed = tokens >= 1
        self._buckets[uid] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        return allowed


def as_message(sentences: list[str]) -> str:
    """Return one event's message for several sentences; those that find no room are counted."""
    taken: list[str] = []
    for sentence in sentences:
        rest = f"; and {len(sentences) - len(taken)} more"
        if taken and len("; ".join([*taken, sentence])) > MESSAGE_LIMIT - len(rest):
            return "; ".join(taken) + rest
        taken.append(sentence)
    return "; ".join(taken)
