"""What the edge has of one pod, and which volumes there is a reason to gather again. Called by ``updates.py``."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from interlink.vk.gather import NotReadyError
from interlink.vk.objects import ObjectKey
from interlink.vk.volumes.contents import file_volumes
from interlink.vk.volumes.downward import downward_digest
from interlink.vk.volumes.trace import Trace

Json = dict[str, Any]

#: Returns the version at which an object was seen last, None before the first look.
Seen = Callable[[ObjectKey], str | None]


@dataclass(slots=True)
class Shown:
    """The traces of one pod's volumes by name; a trace that has failed is that of what the pod still shows."""

    volumes: dict[str, Trace]
    #: PodRecord.changeable of the spec that the edge has; None: not known.
    changeable: int | None
    #: Attempts that have failed since the last one that went well; the event that was written last, and when.
    failures: int = 0
    told: tuple[str, float] = ("", 0.0)
    #: The spec of which an event has said that this plugin does not follow it.
    told_changeable: int | None = None

    @classmethod
    def unknown(cls, pod: Json) -> "Shown":
        """Return what is known of a pod that this process did not send: nothing, so that all of it is due."""
        return cls({volume["name"]: Trace(failed=True) for volume in file_volumes(pod)}, None)

    @property
    def downward(self) -> bool:
        """Whether labels, annotations or resources are shown: each change of the pod is then a reason to look."""
        return any(trace.downward for trace in self.volumes.values())

    @property
    def renew(self) -> float:
        """When the first of its tokens wants to be renewed, in epoch seconds."""
        return min((trace.renew for trace in self.volumes.values()), default=float("inf"))

    def keys(self) -> Iterable[ObjectKey]:
        """Return the objects whose changes concern the pod."""
        return (key for trace in self.volumes.values() for key in trace.versions)

    def is_due(self, seen: Seen, now: float) -> bool:
        """Whether a volume is due for another reason than the pod's own labels, annotations and resources."""
        return any(_is_due(trace, seen, now) for trace in self.volumes.values())

    def due(self, pod: Json, allocatable: Mapping[str, str], seen: Seen, now: float) -> list[Json]:
        """Return the pod's volumes to gather again."""
        due = []
        for volume in file_volumes(pod):
            trace = self.volumes.get(volume["name"]) or Trace(failed=True)
            if _is_due(trace, seen, now) or _says_other(pod, volume, trace, allocatable):
                due.append(volume)
        return due


def _is_due(trace: Trace, seen: Seen, now: float) -> bool:
    if trace.failed or now >= trace.renew:
        return True
    return any(seen(key) not in (None, version) for key, version in trace.versions.items())


def _says_other(pod: Json, volume: Json, trace: Trace, allocatable: Mapping[str, str]) -> bool:
    try:
        return bool(trace.downward) and trace.downward != downward_digest(pod, volume, allocatable)
    except NotReadyError:
        return True  # gathering it says why
