"""What a container's status does not show and a kubelet writes events of: failed probes and hooks, kills, pulls.

Noted by ``container.py``, told by ``pod.py`` in each report. Invariant: bounded. One entry for each kind of event, with
its last words and how often it was, whatever fails how fast; and one that goes on has a report made for it ever more
seldom: once in five minutes at last, as client-go's spam filter lets events through.
"""

from typing import Any, Dict, List

NORMAL, WARNING = "Normal", "Warning"
#: kube-apiserver's limit for an event's message, in characters.
LONGEST_MESSAGE = 1024
#: The pause in seconds until a report is made for the same entry again, doubled each time; and when it begins anew.
FIRST, LONGEST, FORGOTTEN_AFTER = 10.0, 300.0, 600.0


class Event:
    """One kind of event of one container."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.said: Dict[str, Any] = {}
        self.untold = False
        self.due, self.pause = 0.0, 0.0


class Events:
    """Those of one container. ``past``: the last report of the job's run before a requeue; its counts go on."""

    def __init__(self, container: str, past: Dict[str, Any]) -> None:
        self.container = container
        self.entries: Dict[str, Event] = {}
        for said in past.get("containerEvents") or ():
            if said["container"] == container:
                self.entries[said["key"]] = event = Event(int(said["count"]))
                event.said = {name: said[name] for name in ("type", "reason", "message")}

    def note(self, kind: str, reason: str, message: str, clock: float, key: str = "") -> None:
        """Count an event. ``kind`` is Normal or Warning; ``key`` says what is counted, where the reason does not."""
        event = self.entries.setdefault(key or reason, Event(0))
        if clock >= event.due + FORGOTTEN_AFTER:
            event.due, event.pause = clock, 0.0
        event.count += 1
        event.untold = True
        event.said = {"type": kind, "reason": reason, "message": message[:LONGEST_MESSAGE]}

    def due(self) -> List[float]:
        """Return the times at which a report is wanted."""
        return [event.due for event in self.entries.values() if event.untold]

    def tell(self, clock: float) -> List[Dict[str, Any]]:
        """Return the report's part on the container, and count it as told."""
        for event in self.entries.values():
            if event.untold:
                event.untold = False
                event.pause = min(max(event.pause * 2, FIRST), LONGEST)
                event.due = clock + event.pause
        return [
            {"container": self.container, "key": key, "count": event.count, **event.said}
            for key, event in self.entries.items()
        ]
