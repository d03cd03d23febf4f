"""What a waiting pod is told: the sentence, its kind, the event, and when it changes."""

from typing import Any

import pytest

from interlink.core.job.facts import JobFacts
from interlink.core.job.waiting import steady, waiting
from interlink.wire.messages import SiteEvent

#: 2026-01-01T00:00:00Z
NOW = 1767225600.0


def _job(state: str = "PENDING", *flags: str, **fields: Any) -> JobFacts:
    return JobFacts(job_id=12, uid="u", state=state, flags=frozenset(flags), **fields)


def _event(job: JobFacts) -> SiteEvent:
    event = waiting("12", job)[1]
    assert event is not None
    return event


def test_the_expected_start_is_part_of_the_sentence_in_steps_of_five_minutes() -> None:
    (state, _) = waiting("12", _job(reason="Priority", expected_start=NOW + 3601))
    assert state["message"] == (
        "Pending in Slurm (job 12): jobs of higher priority come first (Priority); "
        "expected to start about 2026-01-01 01:05 UTC"
    )


def test_a_job_that_will_never_start_as_it_is_says_what_to_change_and_warns() -> None:
    job = _job(reason="PartitionTimeLimit", expected_start=NOW)
    (state, event) = waiting("12", job)
    assert state["reason"] == "SlurmBlocked"
    assert state["message"] == (
        "Slurm cannot start job 12 as it is: the job's time limit is longer than the partition allows "
        "(PartitionTimeLimit); lower activeDeadlineSeconds, or choose another partition"
    )
    assert event is not None
    assert (event.type, event.reason, event.message) == ("Warning", "SlurmBlocked", state["message"])


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (_job(reason="JobHeldAdmin"), "Held in Slurm (job 12): the job is held by an administrator (JobHeldAdmin)"),
        (_job("REQUEUE_HOLD", reason="None", restart_count=1), "Requeued and held in Slurm (job 12)"),
        (_job("PENDING", "SPECIAL_EXIT", restart_count=1), "Requeued and held in Slurm (job 12)"),
        (_job(reason="JobHoldMaxRequeue", restart_count=5), "the job was requeued too often and is held"),
    ],
)
def test_a_held_job_says_so(job: JobFacts, words: str) -> None:
    (state, _) = waiting("12", job)
    assert state["reason"] == "SlurmHeld"
    assert words in state["message"]
    assert _event(job).type == "Warning"


def test_a_requeued_job_whose_earlier_run_is_cleared_away_has_not_started_again() -> None:
    """Seen with 26.05 after a preemption: the count has grown, and the job is still completing."""
    (state, _) = waiting("12", _job("PREEMPTED", "COMPLETING", restart_count=1, nodes="c1"))
    assert state["reason"] == "SlurmPending"
    assert state["message"].startswith("Requeued in Slurm (job 12)")


def test_a_reason_is_one_event_whatever_the_estimate_and_the_nodes_behind_it() -> None:
    first = _event(_job(reason="ReqNodeNotAvail, UnavailableNodes:c1", expected_start=NOW))
    later = _event(_job(reason="ReqNodeNotAvail, UnavailableNodes:c[1-2]", expected_start=NOW + 7200))
    assert first.key == later.key
    assert (first.type, first.reason) == ("Normal", "SlurmPending")
    assert "expected" not in first.message
    assert _event(_job(reason="Priority")).key != first.key
    again = _event(_job(reason="ReqNodeNotAvail", restart_count=1))
    assert again.key != first.key
    assert again.message.startswith("Requeued in Slurm (job 12)")


@pytest.mark.parametrize("job", [None, _job(), _job(reason="None"), _job("RUNNING"), _job("CONFIGURING")])
def test_what_passes_by_itself_in_a_moment_is_no_event(job: JobFacts | None) -> None:
    assert waiting("12", job)[1] is None


@pytest.mark.parametrize(
    ("shown", "estimate", "then"),
    [
        (None, NOW + 600, NOW + 600),
        (NOW + 600, NOW + 840, NOW + 600),
        (NOW + 600, NOW + 360, NOW + 600),
        (NOW + 600, NOW + 901, NOW + 901),
        (NOW + 36_000, NOW + 39_000, NOW + 36_000),
        (NOW + 36_000, NOW + 40_000, NOW + 40_000),
        (NOW - 1, NOW + 60, NOW + 60),
        (NOW + 600, NOW - 60, None),
        (NOW + 600, None, None),
    ],
)
def test_an_estimate_moves_only_by_what_a_user_cares_for(
    shown: float | None, estimate: float | None, then: float | None
) -> None:
    before = None if shown is None else _job(expected_start=shown)
    assert steady(_job(expected_start=estimate), before, NOW).expected_start == then
