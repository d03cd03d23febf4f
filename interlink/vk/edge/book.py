"""The edge's last word on each pod, by UID; filled by the change feed, read by the pod controller.

Invariant: ``synced`` only after a complete picture; a pod that is missing in a complete picture is unknown there.
"""

from interlink.wire.messages import PodStatus


class StatusBook:
    """Statuses of the pods of one node of one cluster."""

    def __init__(self, cluster: str, node_name: str) -> None:
        self.cluster = cluster
        self.node_name = node_name
        self.statuses: dict[str, PodStatus] = {}
        self.synced = False

    def get(self, uid: str) -> PodStatus | None:
        """Return the edge's last word on the pod, None where it said nothing."""
        return self.statuses.get(uid)

    def is_ours(self, status: PodStatus) -> bool:
        """Whether the edge says that this pod is of our cluster and node."""
        return status.cluster == self.cluster and status.node == self.node_name

    def put(self, status: PodStatus) -> None:
        """Take a newer status."""
        self.statuses[status.UID] = status

    def replace(self, statuses: list[PodStatus]) -> set[str]:
        """Take a complete picture; return the UIDs that it speaks of or no longer speaks of."""
        touched = set(self.statuses)
        self.statuses = {status.UID: status for status in statuses}
        self.synced = True
        return touched | set(self.statuses)

    def forget(self, uid: str) -> None:
        """Drop a pod that is over on both sides."""
        self.statuses.pop(uid, None)
