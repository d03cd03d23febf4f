"""What to do next for one pod: a pure table over what the API says, what the edge says and what we did ourselves.

Called by ``controller.py`` at each look at a pod; does no I/O. Invariant: nothing is ended or removed while either
side's picture is incomplete (``listed``, ``synced``), and a pod object is removed only once nothing of it runs.
"""

import enum
from dataclasses import dataclass
from typing import Any

from interlink.vk.pods.record import PodRecord
from interlink.wire.messages import PodStatus

#: Memory.cancelled of a pod whose object is gone.
GONE = ("gone", 0)


class Step(enum.Enum):
    """The one thing to do now."""

    WAIT = "nothing until there is news"
    CREATE = "send the pod to the edge"
    REPORT = "bring its status into the API"
    CANCEL = "ask the edge for its end"
    ASK = "ask the edge whether it knows the pod"
    REMOVE = "patch the final status, then remove the object"
    ORPHAN = "no such pod in the API: make sure, then tell the edge"
    LOST = "it ran, and the edge knows nothing of it"
    FORGET = "drop all memory of it"


@dataclass(slots=True)
class Memory:
    """What this process did for one pod."""

    #: A create was sent (whatever came of it); when it was acknowledged, by the loop's clock.
    attempted: bool = False
    submitted: float | None = None
    #: The containers' resources in a create request that was acknowledged, until a status says that they have them.
    sent: dict[str, dict[str, Any]] | None = None
    #: (deletionTimestamp, grace) of the deletion that the edge has noted.
    cancelled: tuple[str, int | None] | None = None
    #: The edge said, after it had noted the deletion, that it knows no such pod.
    unknown_to_edge: bool = False
    #: An event has said that the edge is away; once for each time that it is.
    told_away: bool = False
    #: Keys of the site's events (wire.messages.SiteEvent) that were written; None before the first look at one.
    told: set[str] | None = None
    #: How often the plugin's events (wire.messages.ContainerEvent), by container and key, had happened at the last
    #: look; None before the first one.
    counted: dict[tuple[str, str], int] | None = None
    #: When it was first seen to have run and to be unknown to the edge.
    lost_since: float | None = None
    #: When we last sent the final DELETE of the object.
    removed: float | None = None


@dataclass(frozen=True)
class View:
    """One pod from all sides."""

    record: PodRecord | None
    status: PodStatus | None
    memory: Memory
    #: Whether the list of pods, and the edge's statuses, are complete.
    listed: bool
    synced: bool


def decide(view: View) -> Step:
    """Return the next step."""
    if not view.listed:
        return Step.WAIT
    if view.record is None:
        return _decide_gone(view)
    if view.record.deleting:
        return _decide_deleting(view, view.record)
    return _decide_living(view, view.record) if view.synced else Step.WAIT


def _decide_gone(view: View) -> Step:
    """Decide for a pod without an object: the edge is told in any case, because only then it clears up after it."""
    status, memory = view.status, view.memory
    over = status.ended if status else memory.unknown_to_edge or memory.cancelled == GONE
    if memory.cancelled and over:
        return Step.FORGET
    if memory.cancelled == GONE:
        return Step.WAIT
    return Step.ORPHAN if status or memory.attempted or memory.cancelled else Step.FORGET


def _decide_deleting(view: View, record: PodRecord) -> Step:
    status, memory = view.status, view.memory
    ended = status.ended if status else memory.unknown_to_edge
    if memory.cancelled != (record.deleting, record.grace) and not ended:
        return Step.CANCEL
    if ended:
        return Step.REMOVE
    return Step.REPORT if status else Step.ASK


def _decide_living(view: View, record: PodRecord) -> Step:
    status, memory = view.status, view.memory
    if record.terminal:
        # Somebody else ended the pod (pod garbage collection, a quota's controller): its job must not go on.
        return Step.CANCEL if status and may_run(status) and not memory.cancelled else Step.WAIT
    if status:
        return Step.REPORT
    if memory.submitted is not None:
        return Step.WAIT
    return Step.LOST if record.ran else Step.CREATE


def may_run(status: PodStatus) -> bool:
    """Whether a container of the pod runs or may still start."""
    return not status.ended and any(
        "terminated" not in (container.get("state") or {}) for container in status.containers
    )
