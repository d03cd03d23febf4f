"""A container's probes: when each is tried, and what their results make of the container.

Driven by ``container.py``, which acts upon ``started``, ``ready`` and ``failure``. The rules are those of the kubelet's
prober (k8s.io/kubernetes/pkg/kubelet/prober/worker.go): results count in rows, liveness and readiness wait for the
startup probe, a container that failed is on hold until it is started again.
"""

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from interlink.runner.actions import Action

#: Begins an attempt: (handler, clock, timeout in seconds).
Act = Callable[[Dict[str, Any], float, float], Action]


class Failure(NamedTuple):
    """Why the container has to end, and the grace period of the probe that says so (None: the pod's own)."""

    kind: str
    #: The kubelet's words for it, as an event has them, and with what the probe said.
    sentence: str
    message: str
    grace: Optional[float]


class Probe:
    """One probe of a running container."""

    def __init__(self, kind: str, spec: Dict[str, Any], act: Act) -> None:
        self.kind, self.spec, self.act = kind, spec, act
        self.action: Optional[Action] = None
        self.due = 0.0
        self.last: Optional[bool] = None
        self.row = 0
        #: The last result that its threshold let count; None before the first one.
        self.result: Optional[bool] = None
        #: What the last attempt said that failed, or succeeded with a warning.
        self.words = ""

    def begin(self, clock: float) -> None:
        """Start anew, with a new run of the container."""
        self.stop()
        self.last, self.row, self.result, self.words = None, 0, None, ""
        self.due = clock + self.spec.get("initialDelaySeconds", 0)

    def step(self, clock: float) -> str:
        """Try if it is time to, and take the result of what was tried.

        Returns the reason of the event that this result is worth, empty for none; its message is then in ``words``.
        """
        if self.action is None and clock >= self.due:
            self.due = clock + self.spec.get("periodSeconds", 10)
            self.action = self.act(self.spec["handler"], clock, self.spec.get("timeoutSeconds", 1))
        outcome = None if self.action is None else self.action.poll(clock)
        if outcome is None:
            return ""
        self.action = None
        reason = "Unhealthy" if not outcome.success else "ProbeWarning" if outcome.warning else ""
        if reason:
            how = "warning" if outcome.success else "failed"
            self.words = "{} probe {}: {}".format(self.kind.capitalize(), how, outcome.message)
        self.row = self.row + 1 if outcome.success == self.last else 1
        self.last = outcome.success
        threshold = "successThreshold" if outcome.success else "failureThreshold"
        if self.row >= self.spec.get(threshold, 1 if outcome.success else 3):
            self.result = outcome.success
        return reason

    def stop(self) -> None:
        """Give up what is under way."""
        if self.action is not None:
            self.action.cancel()
            self.action = None

    @property
    def next(self) -> float:
        """When there is something to do again."""
        return self.due if self.action is None else self.action.deadline


class Probes:
    """All probes of one container; ``begin`` with each of its runs, ``step`` in each round of the loop, ``stop``."""

    def __init__(self, spec: Dict[str, Any], act: Act) -> None:
        self.name = spec["name"]
        self.startup, self.liveness, self.readiness = (
            Probe(kind, spec[kind + "Probe"], act) if spec.get(kind + "Probe") else None
            for kind in ("startup", "liveness", "readiness")
        )
        self.all = [probe for probe in (self.startup, self.liveness, self.readiness) if probe is not None]
        self.running = False
        self.failure: Optional[Failure] = None

    def begin(self, clock: float) -> None:
        """The container runs, and its postStart hook is done."""
        self.running, self.failure = True, None
        for probe in self.all:
            probe.begin(clock)

    def step(self, clock: float) -> List[Tuple[str, Probe]]:
        """Try what is due and draw the conclusions; return the results worth an event, each with its reason."""
        steps = [(probe.step(clock), probe) for probe in self._active()]
        for vital in (self.startup, self.liveness):
            if self.failure is None and vital is not None and vital.result is False:
                self._fail(vital)
        return [(reason, probe) for reason, probe in steps if reason]

    def stop(self) -> None:
        """The container ends: nothing is tried any more."""
        self.running = False
        for probe in self.all:
            probe.stop()

    @property
    def started(self) -> bool:
        """v1.ContainerStatus.started."""
        return self.running and (self.startup is None or self.startup.result is True)

    @property
    def ready(self) -> bool:
        """v1.ContainerStatus.ready."""
        return self.started and (self.readiness is None or self.readiness.result is True)

    def due(self) -> List[float]:
        """Return the times at which ``step`` has something to do."""
        return [probe.next for probe in self._active()]

    def descriptors(self) -> List[int]:
        """Return the descriptors that say that an attempt has ended."""
        return [probe.action.fd for probe in self.all if probe.action is not None and probe.action.fd >= 0]

    def _active(self) -> List[Probe]:
        """Return the probes whose turn it is."""
        if not self.running or self.failure is not None:
            return []
        if self.startup is not None and self.startup.result is not True:
            return [self.startup]
        return [probe for probe in (self.liveness, self.readiness) if probe is not None]

    def _fail(self, probe: Probe) -> None:
        sentence = "Container {} failed {} probe, will be restarted".format(self.name, probe.kind)
        message = "{} ({})".format(sentence, probe.words)
        grace = probe.spec.get("terminationGracePeriodSeconds")
        self.failure = Failure(probe.kind, sentence, message, None if grace is None else float(grace))
        for other in self.all:
            other.stop()
