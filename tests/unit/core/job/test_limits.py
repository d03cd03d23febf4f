"""Slurm's names of limits: which say that a job asks for too much, in which words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.core.job.limits import limit, limit_in

#: What slurmctld 26.05 answered a submit with, of a QOS with DenyOnLimit.
SEEN = [
    "QOSMaxCpuPerJobLimit", "QOSMaxMemoryPerJob", "QOSMaxNodePerJobLimit", "QOSMaxWallDurationPerJobLimit",
    "QOSMaxCpuPerUserLimit", "MaxCpuPerAccount", "QOSGrpCpuLimit", "QOSGrpWallLimit",
    "QOSMaxCpuMinutesPerJobLimit", "QOSGrpCPUMinutesLimit", "QOSGrpCPURunMinutesLimit",
    "QOSMinCpuNotSatisfied", "QOSMaxGRESPerJob", "AssocMaxCpuPerJobLimit", "AssocMaxCpuPerNode",
    "AssocMaxWallDurationPerJobLimit", "AssocGrpCpuLimit", "AssocGrpCPURunMinutesLimit",
    "AssocMaxCpuMinutesPerJobLimit", "AssocGrpWallLimit", "AssocMaxGRESPerJob",
]  # fmt: skip
#: And what it answers with or without that flag.
SEEN_OF_NUMBERS = [
    "QOSMaxSubmitJobPerUserLimit", "MaxSubmitJobsPerAccount", "QOSGrpSubmitJobsLimit",
    "AssocMaxSubmitJobLimit", "AssocGrpSubmitJobsLimit",
]  # fmt: skip


@pytest.mark.parametrize("name", SEEN)
def test_a_limit_on_what_a_job_asks_for_says_what_to_change(name: str) -> None:
    found = limit(name)
    assert found is not None
    assert not found.counts_jobs
    sentence, change = found.exceeded()
    assert sentence.startswith("the job")
    assert "the pod's" in change or "activeDeadlineSeconds" in change


@pytest.mark.parametrize("name", SEEN_OF_NUMBERS)
def test_a_limit_on_the_number_of_jobs_is_one_that_passes(name: str) -> None:
    found = limit(name)
    assert found is not None
    assert found.counts_jobs
    assert not found.of_one_job
    assert "in the queue" in found.reached()


@pytest.mark.parametrize(
    ("name", "sentence", "change"),
    [
        ("QOSGrpCpuLimit", "the job alone asks for more cores than all jobs of the quality of service (QOS) together "
         "may use", "lower the pod's cpu requests and limits"),
        ("MaxCpuPerAccount", "the job alone asks for more cores than the quality of service (QOS) allows the account",
         "lower the pod's cpu requests and limits"),
        ("AssocGrpWallLimit", "the job alone asks for more time than all jobs of the account together may use",
         "lower activeDeadlineSeconds"),
        ("QOSMaxCpuMinutesPerJobLimit", "the job asks for more minutes of cores than the quality of service (QOS) "
         "allows", "lower the pod's cpu requests and limits, or activeDeadlineSeconds"),
        ("QOSMinCpuNotSatisfied", "the job asks for fewer cores than the quality of service (QOS) demands",
         "raise the pod's cpu requests and limits"),
    ],
)  # fmt: skip
def test_the_words_of_a_limit(name: str, sentence: str, change: str) -> None:
    found = limit(name)
    assert found is not None
    assert found.exceeded() == (sentence, change)


def test_a_limit_is_found_among_other_words() -> None:
    found = limit_in("Job violates accounting/QOS policy (job submit limit, user's size ...) (QOSMaxCpuPerJobLimit)")
    assert found is not None
    assert found.name == "QOSMaxCpuPerJobLimit"
    assert limit_in("Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)") is None


@given(st.from_regex(r"(Assoc|QOS|)(Grp|Max|Min)(Cpu|Wall|WallDuration|Jobs|GRES)(Minutes)?(PerUser|PerNode)?(Limit)?"))
def test_every_name_of_the_grammar_has_words(name: str) -> None:
    found = limit(name)
    assert found is None or (found.reached() and all(found.exceeded()) if not found.counts_jobs else found.reached())
