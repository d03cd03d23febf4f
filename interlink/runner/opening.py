"""Between a container's start and its being "running": its first process appears, and its postStart hook ends.

Called by ``container.py``. The kubelet starts a hook once the container's process is there; a runtime that unpacks an
image first takes its time until then.
"""

from typing import Any, Callable, Dict, List, Optional

from interlink.runner.actions import Action
from interlink.runner.handlers import Outcome
from interlink.runner.probes import Act

#: How often the container's process is looked for, and for how long, in seconds; then the hook has its chance.
LOOK, PATIENCE = 0.1, 60.0


class Opening:
    """The opening of one run of a container; ``inside`` finds its own process, None where nobody will ask for it."""

    def __init__(
        self, hook: Optional[Dict[str, Any]], act: Act, inside: Optional[Callable[[], Optional[int]]], clock: float
    ) -> None:
        self.hook, self.act, self.inside = hook, act, inside
        self.action: Optional[Action] = None
        self.look_at, self.patient_until = clock, clock + PATIENCE

    def step(self, clock: float) -> Optional[Outcome]:
        """Return how the opening ended, None while it goes on."""
        if self.action is None:
            if clock < self.look_at:
                return None
            if self.inside is not None and self.inside() is None and clock < self.patient_until:
                self.look_at = clock + LOOK
                return None
            if self.hook is None:
                return Outcome(True, "")
            # A postStart hook has no time-out.
            self.action = self.act(self.hook, clock, float("inf"))
        return self.action.poll(clock)

    def cancel(self) -> None:
        """End a hook that is under way."""
        if self.action is not None:
            self.action.cancel()

    def descriptors(self) -> List[int]:
        """Return what to wait for."""
        return [] if self.action is None or self.action.fd < 0 else [self.action.fd]

    def times(self) -> List[float]:
        """Return when there is something to do."""
        return [self.look_at] if self.action is None else []
