"""Slurm's reasons to wait, in plain words, and what is to be done about those that never pass."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.core.job.pending import Wait, pending


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("Resources", "the job waits for free cores, memory or nodes (Resources)"),
        ("(Priority)", "jobs of higher priority come first (Priority)"),
        ("ReqNodeNotAvail, UnavailableNodes:c1", "down, drained or reserved (ReqNodeNotAvail, UnavailableNodes:c1)"),
        ("None", "the scheduler has not looked at the job yet"),
        ("", "the scheduler has not looked at the job yet"),
        ("SomethingNew", "SomethingNew"),
        ("AssocGrpCpuLimit", "all jobs of the account together use as much as they may of: cores, or this job alone "
         "asks for more (AssocGrpCpuLimit)"),
        ("AssocGrpCPUMinutesLimit", "of: minutes of cores, or this job alone asks for more (AssocGrpCPUMinutesLimit)"),
        ("AssocMaxJobsLimit", "the user runs as many jobs as the account allows (AssocMaxJobsLimit)"),
        ("QOSGrpJobsLimit", "the quality of service (QOS) runs as many jobs as it may (QOSGrpJobsLimit)"),
        ("QOSMaxSubmitJobPerUserLimit", "as many jobs in the queue as the quality of service (QOS) allows "
         "(QOSMaxSubmitJobPerUserLimit)"),
        ("QOSMaxMemoryPerUser", "the user uses as much as the quality of service (QOS) allows of: memory, or this job "
         "alone asks for more (QOSMaxMemoryPerUser)"),
        ("MaxCpuPerAccount", "the account uses as much as the quality of service (QOS) allows of: cores, or this job "
         "alone asks for more (MaxCpuPerAccount)"),
    ],
)  # fmt: skip
def test_what_passes_is_said_in_plain_words_with_slurms_own(reason: str, sentence: str) -> None:
    found = pending(reason)
    assert found.sentence.endswith(sentence)
    assert (found.wait, found.change) == (Wait.PASSES, "")


@pytest.mark.parametrize(
    ("reason", "sentence", "change"),
    [
        ("PartitionTimeLimit", "time limit is longer than the partition allows", "lower activeDeadlineSeconds"),
        ("PartitionConfig", "not configured for", "requests and limits"),
        ("PartitionNodeLimit", "nodes than the partition allows", "another partition"),
        ("BadConstraints", "no node of the site", "drop its constraints"),
        ("QOSMaxCpuPerJobLimit", "asks for more cores than the quality of service (QOS) allows", "cpu requests"),
        ("AssocMaxGRESPerJob", "asks for more GPUs", "lower the pod's GPU limits"),
        ("QOSMaxMemoryPerNode", "more memory on one node", "lower the pod's memory requests and limits"),
        ("AssocMaxWallDurationPerJobLimit", "longer than the account allows", "lower activeDeadlineSeconds"),
        ("QOSMinCpuNotSatisfied", "fewer cores than the quality of service (QOS) demands", "raise the pod's cpu"),
        ("QOSMinGRES", "fewer GPUs", "raise the pod's GPU limits"),
        ("InvalidAccount", "account is not valid", "administrator"),
    ],
)  # fmt: skip
def test_what_never_passes_says_what_to_change(reason: str, sentence: str, change: str) -> None:
    found = pending(reason)
    assert found.wait is Wait.BLOCKED
    assert sentence in found.sentence
    assert found.sentence.endswith(f"({reason})")
    assert change in found.change


@pytest.mark.parametrize(
    "reason", ["JobHeldUser", "JobHeldAdmin", "JobHoldMaxRequeue", "job requeued in held state", "ReservationDeleted"]
)
def test_a_job_that_is_held_says_how_it_is_released(reason: str) -> None:
    found = pending(reason)
    assert found.wait is Wait.HELD
    assert "release" in found.change


@given(st.text() | st.from_regex(r"(Assoc|QOS)(Grp|Max|Min)[A-Za-z]{0,30}", fullmatch=True))
def test_any_reason_makes_a_sentence_that_can_be_completed(reason: str) -> None:
    found = pending(reason)
    assert found.sentence
    assert not found.change.endswith(".")
    assert bool(found.change) == (found.wait is not Wait.PASSES)
