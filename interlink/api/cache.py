"""The statuses that went through InterLink, by pod UID: what an empty status request is answered with."""

import threading

from interlink.wire.messages import PodStatus

#: More pods than a site takes; the oldest answers go first.
LARGEST = 100_000


class StatusCache:
    """The last status of each pod; safe for several threads."""

    def __init__(self) -> None:
        self._statuses: dict[str, PodStatus] = {}
        self._lock = threading.Lock()

    def store(self, statuses: list[PodStatus]) -> None:
        """Keep the newest status of each pod."""
        with self._lock:
            for status in statuses:
                self._statuses.pop(status.UID, None)
                self._statuses[status.UID] = status
            while len(self._statuses) > LARGEST:
                del self._statuses[next(iter(self._statuses))]

    def forget(self, uid: str) -> None:
        """Drop a pod that was deleted."""
        with self._lock:
            self._statuses.pop(uid, None)

    def all(self) -> list[PodStatus]:
        """Return every status kept."""
        with self._lock:
            return list(self._statuses.values())
