"""A container's way to its end: preStop, its turn, SIGTERM, SIGKILL, all within one grace period. By ``container.py``.

As the kubelet's killContainer: the hook's time and the wait for the turn are taken out of the grace period, and SIGTERM
is followed by two seconds at least where there was any grace at all.
"""

from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional

from interlink.runner.files import say

if TYPE_CHECKING:
    from interlink.runner.actions import Action
    from interlink.runner.probes import Act
    from interlink.runner.process import Process

#: What SIGTERM leaves at least, in seconds (minimumGracePeriodInSeconds).
LEAST = 2.0


class Ending:
    """The end of one run of a container. ``may_end`` says whether its turn to be asked has come."""

    def __init__(self, process: "Process", clock: float, grace: float, may_end: Callable[[], bool]) -> None:
        self.process, self.may_end = process, may_end
        self.kill_at = clock + grace
        self.graceful = grace > 0
        self.asked = False
        self.hook: "Optional[Action]" = None

    def begin_hook(self, handler: Dict[str, Any], act: "Act", clock: float) -> None:
        """Begin the preStop hook, where there is time for it."""
        if self.graceful:
            self.hook = act(handler, clock, self.kill_at - clock)

    def hurry(self, clock: float, grace: float) -> None:
        """Take another grace period from now on, if it ends earlier."""
        self.kill_at = min(self.kill_at, clock + grace)

    def step(self, clock: float) -> bool:
        """Do what is due; return False if the preStop hook has just failed by itself."""
        failed = self._hook_failed(clock) if clock < self.kill_at else False
        late = clock >= self.kill_at
        if self.asked:
            if late:
                self.process.kill()
        elif late or (self.hook is None and self.may_end()):
            self.cancel()
            self.asked = True
            self.process.terminate()
            self.kill_at = max(self.kill_at, clock + LEAST) if self.graceful else self.kill_at
        return not failed

    def cancel(self) -> None:
        """End a hook that is under way."""
        if self.hook is not None:
            self.hook.cancel()
            self.hook = None

    def descriptors(self) -> List[int]:
        """Return what to wait for."""
        return [] if self.hook is None or self.hook.fd < 0 else [self.hook.fd]

    def _hook_failed(self, clock: float) -> bool:
        """Take the hook's outcome, if there is one."""
        outcome = None if self.hook is None else self.hook.poll(clock)
        if outcome is None:
            return False
        self.hook = None
        if not outcome.success:
            say("PreStopHook failed: {}".format(outcome.message))
        return not outcome.success
