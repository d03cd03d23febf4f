"""Slurm's words, as every version and tool spells them."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.core.job.states import ENDS, FLAGS, PHASES, JobPhase, job_end, job_phase, parse_state


@pytest.mark.parametrize(
    ("text", "state", "flags"),
    [
        ("RUNNING", "RUNNING", set()),
        ("running", "RUNNING", set()),
        ("CANCELLED by 1501", "CANCELLED", set()),
        ("CANCELLED+", "CANCELLED", set()),
        ("CANCELLED,COMPLETING", "CANCELLED", {"COMPLETING"}),
        (["COMPLETING", "FAILED"], "FAILED", {"COMPLETING"}),
        (["PENDING", "REQUEUED"], "PENDING", {"REQUEUED"}),
        ("COMPLETING", "COMPLETING", set()),
        (["CONFIGURING", "RUNNING"], "RUNNING", {"CONFIGURING"}),
        ("", "", set()),
        ([], "", set()),
    ],
)
def test_state_and_flags_are_told_apart(text: str | list[str], state: str, flags: set[str]) -> None:
    assert parse_state(text) == (state, frozenset(flags))


@pytest.mark.parametrize(
    ("text", "phase"),
    [
        ("PENDING", JobPhase.PENDING),
        ("CONFIGURING", JobPhase.PENDING),
        ("SUSPENDED", JobPhase.RUNNING),
        ("COMPLETING", JobPhase.COMPLETING),
        ("TIMEOUT", JobPhase.ENDED),
        ("TIMEOUT,COMPLETING", JobPhase.COMPLETING),
        ("COMPLETED,STAGE_OUT", JobPhase.COMPLETING),
        ("NODE_FAIL,REQUEUED", JobPhase.PENDING),
        ("COMPLETED,COMPLETING,REQUEUED", JobPhase.PENDING),
        ("REQUEUE_HOLD", JobPhase.PENDING),
        ("RUNNING,CONFIGURING", JobPhase.PENDING),
        ("RUNNING,POWER_UP_NODE", JobPhase.PENDING),
        ("TIMEOUT,CONFIGURING", JobPhase.ENDED),
        ("RUNNING,SIGNALING", JobPhase.RUNNING),
    ],
)
def test_a_job_stands_where_its_words_say(text: str, phase: JobPhase) -> None:
    assert job_phase(*parse_state(text)) is phase


@given(st.text())
def test_a_word_that_no_table_knows_never_means_that_a_job_is_over(word: str) -> None:
    state, flags = parse_state(word)
    assert state in PHASES or job_phase(state, flags) in (JobPhase.RUNNING, JobPhase.PENDING)


def test_every_end_has_its_sentence_and_every_flag_its_place() -> None:
    assert {state for state, phase in PHASES.items() if phase is JobPhase.ENDED} == set(ENDS)
    assert not FLAGS & {"PENDING", "RUNNING", "COMPLETED", "CANCELLED", "FAILED"}
    assert job_end("NEW_WORD").sentence == "ended in state NEW_WORD"


@pytest.mark.parametrize("short", ["CF", "F", "CA", "CD", "CG", "TO", "NF", "OOM", "PR", "RQ", "S", "FAIL", "COMPLETE"])
def test_an_abbreviation_is_never_taken_for_the_word_it_begins(short: str) -> None:
    """A peer's unanchored pattern reads CF (configuring) as F (failed)."""
    assert job_phase(*parse_state(short)) is JobPhase.RUNNING


@pytest.mark.parametrize(
    "word",
    ["PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "COMPLETING", "COMPLETED", "CANCELLED", "FAILED", "TIMEOUT",
     "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT",
     "RESIZING", "REVOKED", "SIGNALING", "STAGE_OUT", "STOPPED"],
)  # fmt: skip
def test_every_state_that_slurm_has_is_in_the_table(word: str) -> None:
    assert parse_state(word) == (word, frozenset())
    assert job_phase(word) is PHASES[word]


@given(st.sampled_from(sorted(PHASES.keys() - FLAGS)), st.sets(st.sampled_from(sorted(FLAGS))), st.randoms())
def test_the_order_of_words_says_nothing(state: str, flags: set[str], random: Random) -> None:
    words = [state, *sorted(flags)]
    random.shuffle(words)
    assert parse_state(words) == parse_state(",".join(words)) == (state, frozenset(flags))


@given(st.sampled_from(sorted(PHASES)), st.frozensets(st.sampled_from(["COMPLETING", "STAGE_OUT"]), min_size=1))
def test_no_job_has_ended_while_slurm_clears_it_away(state: str, lingering: frozenset[str]) -> None:
    assert job_phase(state, lingering) is not JobPhase.ENDED
