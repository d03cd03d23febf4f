"""The journal of status changes behind ``GET /changes``: a cursor, a wait, and the latest status of each pod.

Published to by a sidecar's reconciler, read by any number of long polls. Invariant: a status is durable before it is
published, and a client that follows the cursors misses no pod's latest status; older statuses of one pod are dropped.
"""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

from interlink.sidecars.backend import CursorExpired
from interlink.wire.messages import Changes, PodStatus

#: Pods whose latest change is kept. A client that is further behind takes everything anew.
DEFAULT_LIMIT = 50_000


class ChangeJournal:
    """An in-memory journal of one run of a sidecar. Thread-safe.

    ``snapshot`` returns every status known (from the sidecar's store); without it the journal's own statuses are all.
    """

    def __init__(self, snapshot: Callable[[], list[PodStatus]] | None = None, limit: int = DEFAULT_LIMIT) -> None:
        self._run = secrets.token_hex(8)
        self._snapshot = snapshot
        self._limit = limit
        self._sequence = 0
        #: UID → (sequence, status), oldest change first.
        self._latest: OrderedDict[str, tuple[int, PodStatus]] = OrderedDict()
        #: Sequence of the newest change that was dropped for the limit.
        self._dropped = 0
        self._changed = threading.Condition()
        self._closed = False

    def publish(self, statuses: Iterable[PodStatus]) -> None:
        """Append the statuses and wake the waiters."""
        with self._changed:
            for status in statuses:
                self._sequence += 1
                self._latest[status.UID] = (self._sequence, status)
                self._latest.move_to_end(status.UID)
            while len(self._latest) > self._limit:
                _, (self._dropped, _) = self._latest.popitem(last=False)
            self._changed.notify_all()

    def after(self, cursor: str | None, wait: float) -> Changes:
        """Return what changed after the cursor, waiting up to ``wait`` seconds for a first change.

        Without a cursor every status known, at once. Raises CursorExpired.
        """
        if cursor is None:
            return self._everything()
        sequence = self._parse(cursor)
        deadline = time.monotonic() + wait
        with self._changed:
            if sequence < self._dropped:
                raise CursorExpired(f"cursor {cursor} is too old: ask again without one")
            while self._sequence == sequence and not self._closed:
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
            return Changes(cursor=self._cursor(), statuses=self._newer_than(sequence))

    def close(self) -> None:
        """Let every waiter return at once, now and from now on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _everything(self) -> Changes:
        """Return the snapshot. The cursor is read before it, so that a change meanwhile comes twice, never not."""
        with self._changed:
            cursor, own = self._cursor(), [status for _, status in self._latest.values()]
        return Changes(cursor=cursor, statuses=self._snapshot() if self._snapshot else own)

    def _newer_than(self, sequence: int) -> list[PodStatus]:
        newer = []
        for number, status in reversed(self._latest.values()):
            if number <= sequence:
                break
            newer.append(status)
        return newer[::-1]

    def _cursor(self) -> str:
        return f"{self._run}:{self._sequence}"

    def _parse(self, cursor: str) -> int:
        run, _, number = cursor.partition(":")
        if run != self._run or not (number.isascii() and number.isdigit()) or int(number) > self._sequence:
            raise CursorExpired(f"cursor {cursor[:80]!r} is of another run of this sidecar: ask again without one")
        return int(number)
