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
from interlink.vk.turns import Turns

log = logging.getLogger(__name__)

Json = dict[str, Any]

#: client-go's spam filter: 25 events of one object at once, then one in five minutes.
BURST, REFILL_SECONDS = 25.0, 300.0
#: kubelet's eventRecordQPS and eventBurst: events must not take kube-apiserver's time from statuses. One costs a fifth
#: of a pod's whole life there, so that there are only a few while it is busy.
RATE, AT_ONCE = 50.0, 100.0
REMEMBERED = 4096
#: Events that wait for their turn: five for each pod of a burst of a thousand.
WAITING = 5_000
MESSAGE_LIMIT = 1024
COMPLAINT_SECONDS = 60.0
#: client-go's aggregation: of so many different messages about one object, of one type and reason, each within so many
#: seconds of the one before, the further ones are counted in one event.
SIMILAR, SIMILAR_SECONDS = 10, 600.0
COMBINED = "(combined from similar events): "
#: v1.Event.count is a Go int32.
LARGEST_COUNT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class _Note:
    """One event that waits for its turn; ``count`` is how often it has happened since the last one."""

    regarding: Json
    kind: str
    reason: str
    message: str
    count: int = 1


@dataclass(slots=True)
class _Sent:
    name: str
    count: int


class Events:
    """The recorder of one node."""

    def __init__(self, api: ApiServer, node_name: str) -> None:
        self.api = api
        self.node_name = node_name
        self._waiting: asyncio.Queue[_Note] = asyncio.Queue(WAITING)
        self._sent: OrderedDict[tuple[str, ...], _Sent] = OrderedDict()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        #: By object, type and reason: the messages (hashes) that were sent apart, and when the last one came.
        self._similar: OrderedDict[tuple[str, ...], tuple[set[int], float]] = OrderedDict()
        self._numbers = itertools.count(time.time_ns())
        self._turns = Turns(RATE, AT_ONCE, lambda: api.busy)
        #: Events dropped since that was said last, and when that was.
        self._dropped, self._complained = 0, float("-inf")

    def pod(  # noqa: PLR0913 - an event's own fields
        self, pod: Json, kind: str, reason: str, message: str, *, field: str = "", count: int = 1
    ) -> None:
        """Note an event about a pod, or its part at the path ``field``; ``kind`` is Normal or Warning."""
        metadata = pod["metadata"]
        regarding = {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        }
        if field:
            regarding["fieldPath"] = field
        self._note(_Note(regarding, kind, reason, message[:MESSAGE_LIMIT], count))

    def node(self, kind: str, reason: str, message: str) -> None:
        """Note an event about the node; kubectl describe looks for the name as the UID."""
        regarding = {"apiVersion": "v1", "kind": "Node", "name": self.node_name, "uid": self.node_name}
        self._note(_Note(regarding, kind, reason, message[:MESSAGE_LIMIT]))

    def _note(self, note: _Note) -> None:
        try:
            self._waiting.put_nowait(note)
        except asyncio.QueueFull:
            self._drop(note)

    def _drop(self, note: _Note) -> None:
        """Count an event for which there is no room; say so once in a while, for they are dropped by the hundred."""
        self._dropped += 1
        if time.monotonic() - self._complained >= COMPLAINT_SECONDS:
            words = "%d events dropped, too many wait; the last one: %s %s: %s"
            log.warning(words, self._dropped, note.regarding["name"], note.reason, note.message)
            self._dropped, self._complained = 0, time.monotonic()

    async def run(self) -> None:
        """Send for ever."""
        while True:
            note = await self._waiting.get()
            if not self._allowed(note.regarding["uid"]):
                name = note.regarding["name"]
                log.debug("event dropped, too many of %s: %s: %s", name, note.reason, note.message)
                continue
            await self._turns.take()
            try:
                await self._send(note)
            except ApiError as error:
                log.warning("event dropped: %s", error)

    async def _send(self, note: _Note) -> None:
        regarding = note.regarding
        key, message = self._combined(note)
        namespace = regarding.get("namespace") or "default"
        path = f"/api/v1/namespaces/{namespace}/events"
        sent = self._sent.get(key)
        if sent:
            count = min(sent.count + note.count, LARGEST_COUNT)
            changed = {"count": count, "lastTimestamp": now_seconds(), "message": message}
            try:
                await self.api.patch(f"{path}/{sent.name}", changed)
                sent.count = count
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
                "type": note.kind,
                "reason": note.reason,
                "message": message,
                "source": {"component": "interlink-vk", "host": self.node_name},
                "reportingComponent": "interlink-vk",
                "reportingInstance": self.node_name,
                "firstTimestamp": now,
                "lastTimestamp": now,
                "count": min(note.count, LARGEST_COUNT),
            },
        )
        self._sent[key] = _Sent(name, min(note.count, LARGEST_COUNT))
        if len(self._sent) > REMEMBERED:
            self._sent.popitem(last=False)

    def _combined(self, note: _Note) -> tuple[tuple[str, ...], str]:
        """Return by what the event is counted, and its message: one for all where too many similar ones have come."""
        group, now = (note.regarding["uid"], note.kind, note.reason), time.monotonic()
        messages, last = self._similar.pop(group, (set[int](), now))
        if now - last > SIMILAR_SECONDS:
            messages = set()
        messages.add(hash(note.message))
        combined = len(messages) >= SIMILAR
        if combined:
            messages.pop()
        self._similar[group] = (messages, now)
        if len(self._similar) > REMEMBERED:
            self._similar.popitem(last=False)
        if combined:
            return group, (COMBINED + note.message)[:MESSAGE_LIMIT]
        return (*group, note.regarding.get("fieldPath", ""), note.message), note.message

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
