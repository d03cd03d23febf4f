"""The statuses that went through InterLink, by pod UID: what an empty status request is answered with."""

import threading
from typing import Any

from interlink.wire.messages import PodStatus

#: More pods than a site takes; the oldest answers go first.
LARGEST = 100_000


class StatusCache:
    """The last status of each pod; safe for several threads."""

    def __init__(self) -> None:
        self._statuses: dict[str, PodStatus] = {}
        #: Pods whose deletion went through here, oldest first: their last status is not kept once they have ended.
        self._deleted: dict[str, None] = {}
        self._lock = threading.Lock()

    def store(self, statuses: list[PodStatus]) -> None:
        """Keep the newest status of each pod."""
        with self._lock:
            for status in statuses:
                self._statuses.pop(status.UID, None)
                if not (status.ended and status.UID in self._deleted):
                    self._statuses[status.UID] = status
            _trim(self._statuses)

    def forget(self, uid: str) -> None:
        """Drop a pod that was deleted."""
        with self._lock:
            self._statuses.pop(uid, None)
            self._deleted[uid] = None
            _trim(self._deleted)

    def all(self) -> list[PodStatus]:
        """Return every status kept."""
        with self._lock:
            return list(self._statuses.values())


def _trim(entries: dict[str, Any]) -> None:
    while len(entries) > LARGEST:
        del entries[next(iter(entries))]
