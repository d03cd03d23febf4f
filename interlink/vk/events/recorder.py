"""The recorder of a node's events, which notes them and sends them in turn.

Written by the pod controller and the node controller through ``pod`` and ``node``, which only note; one task sends.
Invariant: an event that cannot be sent is dropped with a log line, because an event is a comment and not state.
"""

import itertools
import logging
import time
from typing import Any

from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.errors import ApiError, NotFoundError
from interlink.vk.events.correlator import Correlator, Sent
from interlink.vk.events.note import MESSAGE_LIMIT, Note
from interlink.vk.events.waiting import Waiting
from interlink.vk.times import now_seconds
from interlink.vk.turns import Turns

log = logging.getLogger(__name__)

Json = dict[str, Any]

#: kubelet's eventRecordQPS and eventBurst: events must not take kube-apiserver's time from statuses. One costs a fifth
#: of a pod's whole life there, so that there are only a few while it is busy.
RATE, AT_ONCE = 50.0, 100.0
COMPLAINT_SECONDS = 60.0
#: v1.Event.count is a Go int32.
LARGEST_COUNT = 2**31 - 1


class Events:
    """The recorder of one node."""

    def __init__(self, api: ApiServer, node_name: str) -> None:
        self.api = api
        self.node_name = node_name
        self._waiting = Waiting()
        self._correlator = Correlator()
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
        self._note(Note(regarding, kind, reason, message[:MESSAGE_LIMIT], now_seconds(), count))

    def node(self, kind: str, reason: str, message: str) -> None:
        """Note an event about the node; kubectl describe looks for the name as the UID."""
        regarding = {"apiVersion": "v1", "kind": "Node", "name": self.node_name, "uid": self.node_name}
        self._note(Note(regarding, kind, reason, message[:MESSAGE_LIMIT], now_seconds()))

    def _note(self, note: Note) -> None:
        if not self._correlator.allowed(note.regarding["uid"]):
            name = note.regarding["name"]
            log.debug("event dropped, too many of %s: %s: %s", name, note.reason, note.message)
            return
        left_out = self._waiting.put(note)
        if left_out:
            self._drop(left_out)

    def _drop(self, note: Note) -> None:
        """Count an event for which there is no room; say so once in a while, for they are dropped by the hundred."""
        self._dropped += 1
        if time.monotonic() - self._complained >= COMPLAINT_SECONDS:
            words = "%d events dropped, too many wait; the last one: %s %s: %s"
            log.warning(words, self._dropped, note.regarding["name"], note.reason, note.message)
            self._dropped, self._complained = 0, time.monotonic()

    async def run(self) -> None:
        """Send for ever."""
        while True:
            await self._waiting.wait()
            await self._turns.take()
            note = self._waiting.first()
            try:
                await self._send(note)
            except ApiError as error:
                log.warning("event dropped: %s", error)

    async def _send(self, note: Note) -> None:
        regarding = note.regarding
        key, message = self._correlator.combined(note)
        namespace = regarding.get("namespace") or "default"
        path = f"/api/v1/namespaces/{namespace}/events"
        sent = self._correlator.sent(key)
        if sent:
            count = min(sent.count + note.count, LARGEST_COUNT)
            changed = {"count": count, "lastTimestamp": note.at, "message": message}
            try:
                await self.api.patch(f"{path}/{sent.name}", changed)
                sent.count = count
            except NotFoundError:
                self._correlator.forget(key)  # its hour is over: the API keeps events for a while only
            else:
                return
        name = f"{regarding['name'][:200]}.{next(self._numbers):x}"
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
                "firstTimestamp": note.at,
                "lastTimestamp": note.at,
                "count": min(note.count, LARGEST_COUNT),
            },
        )
        self._correlator.remember(key, Sent(name, min(note.count, LARGEST_COUNT)))
