"""An event as it was noted: what happened to which object, and when."""

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

#: Characters; events.k8s.io/v1 allows 1 kB in Event.note, which shows the same text.
MESSAGE_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class Note:
    """One event before it is sent; ``regarding`` is a v1.ObjectReference, ``kind`` is Normal or Warning.

    ``at`` is when it happened (RFC 3339), for it may be sent much later; ``count`` how often since the last note of it.
    """

    regarding: Json
    kind: str
    reason: str
    message: str
    at: str
    count: int = 1


def as_message(sentences: list[str]) -> str:
    """Return one event's message for several sentences; those that find no room are counted."""
    taken: list[str] = []
    for sentence in sentences:
        rest = f"; and {len(sentences) - len(taken)} more"
        if taken and len("; ".join([*taken, sentence])) > MESSAGE_LIMIT - len(rest):
            return "; ".join(taken) + rest
        taken.append(sentence)
    return "; ".join(taken)
