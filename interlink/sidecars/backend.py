"""What a sidecar does for a pod: the interface behind the one Falcon app that every sidecar is.

Implemented by ``sidecars.slurm`` and by the in-memory ``sidecars.mock``; tests/unit/sidecars/contract.py runs the same
tests against both. Every call is idempotent by the pod's UID and may come from several threads at once.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from interlink.wire.messages import Changes, CreateReply, LogRequest, PingReply, PodStatus, RetrievedPodData
from interlink.wire.pod import Pod


class Refused(Exception):
    """The site says no for good: the pod itself must change. Answered 422 with the site's own words.

    ``reason`` is one CamelCase word, as Kubernetes writes a pod's reason.
    """

    def __init__(self, message: str, reason: str = "Refused") -> None:
        super().__init__(message)
        self.reason = reason


class Unavailable(Exception):
    """The site cannot say now (controller away, time-out): ask again later. Answered 503 with Retry-After."""


class Busy(Unavailable):
    """The site answers and does not take the pod yet, for a reason as of ``Refused``. Answered 429 with Retry-After."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class Deleted(Exception):
    """The pod was deleted before its creation arrived; nothing is started. Answered 409."""


class NotFound(Exception):
    """No such pod, container or log here. Answered 404."""


class NotStarted(Exception):
    """The container has no log yet, because it has not started. Answered 400, as a kubelet does."""


class CursorExpired(Exception):
    """The cursor is of another run of this sidecar: the client takes everything anew. Answered 410."""


class Backend(Protocol):
    """One site behind a sidecar."""

    def create(self, request: RetrievedPodData) -> CreateReply:
        """Start the pod, once for all calls with its UID.

        Raises Refused, Busy, Unavailable or Deleted.
        """

    def update(self, request: RetrievedPodData) -> None:
        """Bring newer contents of its volumes to a pod that has not ended, and its newest deadline and images.

        A volume that the update's pod does not name keeps its contents; all else of the pod stays as created.

        Raises NotFound, Refused or Unavailable.
        """

    def delete(self, pod: Pod) -> None:
        """Ask for the pod's end, within ``deletionGracePeriodSeconds``; returns before it has ended.

        A pod that is not known is remembered as deleted, so that a late create starts nothing. Raises Unavailable.
        """

    def statuses(self, pods: Iterable[Pod]) -> list[PodStatus]:
        """Return one status for each of the pods that is known here; unknown ones are left out."""

    def changes(self, after: str | None, wait: float) -> Changes:
        """Return what changed after the cursor, waiting up to ``wait`` seconds for something to change.

        ``after`` None answers at once with every status known. Raises CursorExpired.
        """

    def logs(self, request: LogRequest) -> Iterator[bytes]:
        """Yield the container's log as it comes; an empty chunk says only that the source still lives.

        Raises NotFound, NotStarted or Unavailable before the first chunk.
        """

    def ping(self, partitions: Sequence[str] = (), flavors: Sequence[str] = ()) -> PingReply:
        """Return the site's total capacity, taints and extensions, and what these partitions and flavors have.

        One that the site does not know, or does not count by itself, is left out. Raises Unavailable.
        """

    def close(self) -> None:
        """Stop background work; running jobs go on."""
