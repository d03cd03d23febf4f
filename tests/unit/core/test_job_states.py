"""Slurm's words, as every version and tool spells them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.core.job_states import ENDS, FLAGS, PHASES, JobPhase, job_end, job_phase, parse_state
from interlink.core.pending_reasons import SENTENCES, pending_sentence


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


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("Resources", "the job waits for free cores, memory or nodes (Resources)"),
        ("(Priority)", "jobs of higher priority come first (Priority)"),
        ("ReqNodeNotAvail, UnavailableNodes:c1", "down, drained or reserved (ReqNodeNotAvail, UnavailableNodes:c1)"),
        ("None", "the scheduler has not looked at the job yet"),
        ("", "the scheduler has not looked at the job yet"),
        ("SomethingNew", "SomethingNew"),
    ],
)
def test_a_reason_is_said_in_plain_words_with_slurms_own(reason: str, sentence: str) -> None:
    assert pending_sentence(reason).endswith(sentence)


def test_sentences_complete_one() -> None:
    assert len(SENTENCES) >= 25
    assert not [text for text in SENTENCES.values() if text.endswith(".") or text != text.strip()]
