"""When probes are tried and what their results make of a container, on a clock of the test's own."""

from typing import Any

from interlink.runner.actions import Action
from interlink.runner.handlers import Outcome
from interlink.runner.probes import Probes


class Attempt(Action):
    """An attempt whose outcome the test decides."""

    def __init__(self, deadline: float) -> None:
        self.fd, self.deadline, self.outcome = -1, deadline, None
        self.cancelled = False

    def poll(self, clock: float) -> Outcome | None:
        """Return what the test decided."""
        return self.outcome

    def cancel(self) -> None:
        """Note it."""
        self.cancelled = True


class Container:
    """A container's probes, and every attempt that they made."""

    def __init__(self, **probes: dict[str, Any]) -> None:
        self.attempts: list[tuple[str, float, Attempt]] = []
        spec = {f"{kind}Probe": {"handler": {"kind": kind}, **fields} for kind, fields in probes.items()}
        self.probes = Probes({"name": "main", **spec}, self.act)
        self.probes.begin(0)

    def act(self, handler: dict[str, Any], clock: float, timeout: float) -> Action:
        attempt = Attempt(clock + timeout)
        self.attempts.append((handler["kind"], clock, attempt))
        return attempt

    def run(self, until: int, success: bool, start: int = 0) -> None:
        """Step through the seconds; every attempt ends at once."""
        for clock in range(start, until):
            self.probes.step(clock)
            for _, _, attempt in self.attempts:
                attempt.outcome = Outcome(success, "words")
            self.probes.step(clock)

    def times(self, kind: str) -> list[float]:
        return [clock for one, clock, _ in self.attempts if one == kind]


def test_without_probes_a_running_container_is_started_and_ready() -> None:
    container = Container()
    assert (container.probes.started, container.probes.ready) == (True, True)
    container.probes.stop()
    assert (container.probes.started, container.probes.ready) == (False, False)


def test_the_first_attempt_waits_for_the_delay_and_the_next_ones_for_the_period() -> None:
    container = Container(liveness={"initialDelaySeconds": 3, "periodSeconds": 4})
    container.run(13, success=True)
    assert container.times("liveness") == [3, 7, 11]
    assert container.probes.failure is None


def test_readiness_begins_false_and_follows_its_thresholds() -> None:
    container = Container(readiness={"periodSeconds": 1, "successThreshold": 2, "failureThreshold": 3})
    assert not container.probes.ready
    container.run(1, success=True)
    assert not container.probes.ready
    container.run(2, success=True, start=1)
    assert container.probes.ready
    container.run(4, success=False, start=2)
    assert container.probes.ready
    container.run(5, success=False, start=4)
    assert not container.probes.ready
    assert container.probes.failure is None


def test_liveness_fails_after_as_many_failures_in_a_row_with_its_own_grace() -> None:
    container = Container(liveness={"periodSeconds": 1, "failureThreshold": 2, "terminationGracePeriodSeconds": 7})
    container.run(1, success=False)
    container.run(2, success=True, start=1)
    container.run(3, success=False, start=2)
    assert container.probes.failure is None
    container.run(4, success=False, start=3)
    failure = container.probes.failure
    assert failure is not None
    assert (failure.kind, failure.grace) == ("liveness", 7.0)
    assert "failed liveness probe" in failure.message
    assert "words" in failure.message


def test_the_others_wait_for_the_startup_probe() -> None:
    container = Container(startup={"periodSeconds": 1, "failureThreshold": 9}, liveness={}, readiness={})
    container.run(5, success=False)
    assert not container.probes.started
    assert container.times("liveness") == container.times("readiness") == []
    container.run(7, success=True, start=5)
    assert container.probes.started
    assert container.probes.ready
    assert container.times("startup")[-1] == 5
    assert container.times("liveness")


def test_a_startup_probe_that_never_succeeds_fails_the_container() -> None:
    container = Container(startup={"periodSeconds": 1, "failureThreshold": 3})
    container.run(4, success=False)
    assert container.probes.failure is not None
    assert container.probes.failure.kind == "startup"
    attempts = len(container.attempts)
    container.run(20, success=False, start=4)
    assert len(container.attempts) == attempts


def test_a_new_run_begins_anew() -> None:
    container = Container(liveness={"periodSeconds": 1, "failureThreshold": 1})
    container.run(1, success=False)
    assert container.probes.failure is not None
    container.probes.begin(10)
    assert container.probes.failure is None
    container.run(12, success=True, start=10)
    assert container.probes.failure is None
    assert container.times("liveness")[-2:] == [10, 11]


def test_an_attempt_under_way_is_cancelled_with_the_container() -> None:
    container = Container(liveness={})
    container.probes.step(0)
    container.probes.stop()
    assert container.attempts[0][2].cancelled


def test_each_failed_attempt_is_worth_an_event_and_a_warning_is_none_of_failure() -> None:
    container = Container(liveness={"periodSeconds": 1}, readiness={"periodSeconds": 1})

    def results(clock: int, outcome: Outcome) -> list[tuple[str, str]]:
        container.probes.step(clock)
        for _, _, attempt in container.attempts:
            attempt.outcome = outcome
        return [(reason, probe.words) for reason, probe in container.probes.step(clock)]

    assert results(0, Outcome(False, "no")) == [
        ("Unhealthy", "Liveness probe failed: no"),
        ("Unhealthy", "Readiness probe failed: no"),
    ]
    assert results(1, Outcome(True, "fine")) == []
    assert [reason for reason, _ in results(2, Outcome(True, "elsewhere", warning=True))] == ["ProbeWarning"] * 2
    assert container.probes.ready
    assert container.probes.readiness is not None
    assert container.probes.readiness.words == "Readiness probe warning: elsewhere"
