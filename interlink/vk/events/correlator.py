"""What becomes of an event beside those before it: dropped as spam, counted in one, or an event of its own.

Called by ``recorder.py``; does no input and output. The rules are those of client-go's EventCorrelator
(tools/record/events_cache.go), which the kubelet uses.
"""

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeVar

from interlink.vk.events.note import MESSAGE_LIMIT, Note

#: The spam filter: 25 events of one object at once, then one in five minutes.
BURST, REFILL_SECONDS = 25.0, 300.0
#: Aggregation: of so many different messages about one object, of one type and reason, each within so many seconds of
#: the one before, the further ones are counted in one event.
SIMILAR, SIMILAR_SECONDS = 10, 600.0
COMBINED = "(combined from similar events): "
#: How many objects, groups and events are remembered: client-go's maxLruCacheEntries.
REMEMBERED = 4096

Key = tuple[str, ...]
K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class Sent:
    """An event in the API, and how often what it tells has happened."""

    name: str
    count: int


class Correlator:
    """The memory of one node's events."""

    def __init__(self) -> None:
        self._sent: OrderedDict[Key, Sent] = OrderedDict()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        #: By object, type and reason: the messages (hashes) that were sent apart, and when the last one came.
        self._similar: OrderedDict[Key, tuple[set[int], float]] = OrderedDict()

    def allowed(self, uid: str) -> bool:
        """Whether the object may have one more event now."""
        now = time.monotonic()
        tokens, since = self._buckets.pop(uid, (BURST, now))
        tokens = min(BURST, tokens + (now - since) / REFILL_SECONDS)
        allowed = tokens >= 1
        _remember(self._buckets, uid, (tokens - 1 if allowed else tokens, now))
        return allowed

    def combined(self, note: Note) -> tuple[Key, str]:
        """Return by what the event is counted, and its message: one for all where too many similar ones have come."""
        group, now = (note.regarding["uid"], note.kind, note.reason), time.monotonic()
        messages, last = self._similar.pop(group, (set[int](), now))
        if now - last > SIMILAR_SECONDS:
            messages = set()
        messages.add(hash(note.message))
        combined = len(messages) >= SIMILAR
        if combined:
            messages.pop()
        _remember(self._similar, group, (messages, now))
        if combined:
            return group, (COMBINED + note.message)[:MESSAGE_LIMIT]
        return (*group, note.regarding.get("fieldPath", ""), note.message), note.message

    def sent(self, key: Key) -> Sent | None:
        """Return the event that counts this one, if it was sent before."""
        sent = self._sent.get(key)
        if sent:
            self._sent.move_to_end(key)
        return sent

    def remember(self, key: Key, sent: Sent) -> None:
        """Have the next events of this key counted in this one."""
        _remember(self._sent, key, sent)

    def forget(self, key: Key) -> None:
        """Have the next event of this key be one of its own."""
        del self._sent[key]


def _remember(entries: OrderedDict[K, V], key: K, value: V) -> None:
    entries[key] = value
    if len(entries) > REMEMBERED:
        entries.popitem(last=False)
