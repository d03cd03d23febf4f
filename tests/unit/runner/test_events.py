"""What a container's status does not show is counted, and reported seldom, however often it happens."""

import json

import pytest

from interlink.core.plan import PlanHandler, PlanProbe
from interlink.runner.events import NORMAL, WARNING, Events
from interlink.runner.times import go_duration
from interlink.wire.messages import ContainerEvent
from tests.unit.runner.running import PlanMount, PlanVolume, Site, shell

LOOP = "while :; do sleep 0.05; done"


def test_an_event_is_due_at_once_and_then_ever_more_seldom_with_its_whole_count() -> None:
    events = Events("c", {})
    reported = []
    for clock in range(1000, 2000):
        events.note(WARNING, "Unhealthy", f"Readiness probe failed: {clock}", clock, "readiness")
        if min(events.due()) <= clock:
            (told,) = events.tell(clock)
            reported.append((clock - 1000, told["count"]))
    assert reported == [(0, 1), (10, 11), (30, 31), (70, 71), (150, 151), (310, 311), (610, 611), (910, 911)]


def test_what_was_told_is_due_no_more_and_what_comes_back_after_a_long_time_at_once() -> None:
    events = Events("c", {})
    events.note(WARNING, "Unhealthy", "no", 0)
    events.tell(0)
    assert events.due() == []
    events.note(WARNING, "Unhealthy", "no", 700)
    assert events.due() == [700]


def test_only_the_last_words_of_a_kind_are_kept_and_no_more_than_an_event_may_have() -> None:
    events = Events("c", {})
    for number in range(100):
        events.note(WARNING, "Unhealthy", f"{number}" + "x" * 5000, 0, "liveness")
    events.note(NORMAL, "Killing", "Stopping container c", 0)
    first, second = events.tell(0)
    assert (first["key"], first["count"], first["message"][:3], len(first["message"])) == ("liveness", 100, "99x", 1024)
    assert (second["key"], second["type"], second["reason"]) == ("Killing", "Normal", "Killing")


def test_counts_go_on_where_the_job_s_run_before_a_requeue_stood() -> None:
    before = Events("c", {})
    before.note(WARNING, "Unhealthy", "no", 0, "readiness")
    other = Events("d", {})
    other.note(WARNING, "Unhealthy", "no", 0, "readiness")
    after = Events("c", {"containerEvents": json.loads(json.dumps(before.tell(0) + other.tell(0)))})
    assert after.due() == []
    after.note(WARNING, "Unhealthy", "still no", 0, "readiness")
    assert [(told["count"], told["message"]) for told in after.tell(0)] == [(2, "still no")]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0s"), (0.3934, "393ms"), (1.5, "1.5s"), (10, "10s"), (80, "1m20s"), (300, "5m0s"), (3661.25, "1h1m1.25s")],
)
def test_durations_are_written_as_go_does(seconds: float, words: str) -> None:
    assert go_duration(seconds) == words


def told(site: Site) -> dict[str, ContainerEvent]:
    """Return what the last report tells of, by its key."""
    return {event.key: event for event in site.last().container_events or ()}


def run(script: str) -> PlanHandler:
    """Return a handler that runs a script in the container."""
    return PlanHandler(kind="exec", command=["/bin/sh", "-c", script])


def test_a_failing_probe_is_told_in_the_kubelet_s_words_and_not_by_a_report_each_time(site: Site) -> None:
    attempts = site.job / "volumes" / "s" / "attempts"
    failing = run('echo once >> "$INTERLINK_MOUNTS/s/attempts"; echo not yet; exit 1')
    main = shell(
        f"trap 'exit 0' TERM; {LOOP}", readiness_probe=PlanProbe(handler=failing, period_seconds=1),
        liveness_probe=PlanProbe(handler=run("exit 0"), period_seconds=1),
        mounts=[PlanMount(volume="s", mount_path="/s")],
    )  # fmt: skip
    with site.start(site.plan(main, volumes=[PlanVolume(name="s", kind="emptyDir")])) as runner:
        site.wait(lambda: attempts.exists() and len(attempts.read_text().split()) >= 4)
        assert [report.container_events for report in site.reports() if report.container_events] == [
            [ContainerEvent(container="main", key="Unhealthy/readiness", type="Warning", reason="Unhealthy",
                            message="Readiness probe failed: not yet", count=1)]
        ]  # fmt: skip
        runner.terminate()
        runner.wait(20)
    assert told(site)["Unhealthy/readiness"].count >= 3
    assert told(site)["Killing"].message == "Stopping container main"
    assert set(told(site)) == {"Unhealthy/readiness", "Killing"}


def test_a_container_that_failed_its_probe_is_told_of_before_the_kill(site: Site) -> None:
    main = shell(
        f"trap 'exit 0' TERM; touch $INTERLINK_MOUNTS/s/up; {LOOP}",
        liveness_probe=PlanProbe(
            handler=run("[ ! -e $INTERLINK_MOUNTS/s/up ] || { echo dead; exit 1; }"),
            period_seconds=1, failure_threshold=1,
        ),
        mounts=[PlanMount(volume="s", mount_path="/s")],
    )  # fmt: skip
    assert site.run(site.plan(main, volumes=[PlanVolume(name="s", kind="emptyDir")])) == 0
    assert [(event.reason, event.message) for event in site.last().container_events or ()] == [
        ("Unhealthy", "Liveness probe failed: dead"),
        ("Killing", "Container main failed liveness probe, will be restarted"),
    ]


def test_hooks_that_fail_are_told_of_without_what_they_said(site: Site) -> None:
    first = shell(f"trap 'exit 0' TERM; {LOOP}", "first", post_start=run("echo secret; exit 1"))
    second = shell(f"trap 'exit 0' TERM; {LOOP}", "second", pre_stop=run("echo secret; exit 1"))
    with site.start(site.plan(first, second)) as runner:
        site.wait(lambda: site.reports() and site.running("second") and "FailedPostStartHook" in told(site))
        (site.job / "grace").write_text("30")
        runner.terminate()
        runner.wait(20)
    assert [
        (event.container, event.type, event.reason, event.message) for event in site.last().container_events or ()
    ] == [
        ("first", "Warning", "FailedPostStartHook", "PostStartHook failed"),
        ("first", "Normal", "Killing", "FailedPostStartHook"),
        # No Killing: that of a deletion the virtual kubelet tells.
        ("second", "Warning", "FailedPreStopHook", "PreStopHook failed"),
    ]


def test_a_hook_that_the_grace_period_cuts_short_has_not_failed(site: Site) -> None:
    main = shell("trap 'exit 0' TERM; sleep 60 & wait", pre_stop=run("exec sleep 60"))
    with site.start(site.plan(main, termination_grace_period_seconds=1)) as runner:
        site.wait(lambda: site.reports() and site.running())
        runner.terminate()
        runner.wait(20)
    assert set(told(site)) == {"Killing"}
