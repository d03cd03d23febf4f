"""The edge's last word on each pod, by UID; filled by the change feed, read by the pod controller.

Invariant: ``synced`` only after a complete picture; a pod that is missing in a complete picture is unknown there.
"""

from collections.abc import Iterator

import msgspec

from interlink.wire.messages import PodStatus


class StatusBook:
    """Statuses of the pods of one node of one cluster."""

    def __init__(self, cluster: str, node_name: str) -> None:
        self.cluster = cluster
        self.node_name = node_name
        #: As JSON, which takes a third of the memory.
        self._statuses: dict[str, bytes] = {}
        self.synced = False

    def get(self, uid: str) -> PodStatus | None:
        """Return the edge's last word on the pod, None where it said nothing."""
        packed = self._statuses.get(uid)
        return _unpack(packed) if packed is not None else None

    def all(self) -> Iterator[PodStatus]:
        """Yield the last word on each pod that is known now."""
        return map(_unpack, list(self._statuses.values()))

    def is_ours(self, status: PodStatus) -> bool:
        """Whether the edge says that this pod is of our cluster and node."""
        return status.cluster == self.cluster and status.node == self.node_name

    def put(self, status: PodStatus) -> None:
        """Take a newer status."""
        self._statuses[status.UID] = msgspec.json.encode(status)

    def replace(self, statuses: list[PodStatus]) -> set[str]:
        """Take a complete picture; return the UIDs that it speaks of or no longer speaks of."""
        touched = set(self._statuses)
        self._statuses = {status.UID: msgspec.json.encode(status) for status in statuses}
        self.synced = True
        return touched | set(self._statuses)

    def forget(self, uid: str) -> None:
        """Drop a pod that is over on both sides."""
        self._statuses.pop(uid, None)


def _unpack(packed: bytes) -> PodStatus:
    return msgspec.json.decode(packed, type=PodStatus)
