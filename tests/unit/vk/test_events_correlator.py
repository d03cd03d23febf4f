"""When an event is one more of an earlier one, and when it is dropped as spam: the rules of client-go."""

import time

import pytest

from interlink.vk.events import correlator
from interlink.vk.events.correlator import BURST, REFILL_SECONDS, SIMILAR, SIMILAR_SECONDS, Correlator, Sent
from interlink.vk.events.note import Note


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def note(message: str) -> Note:
    return Note({"uid": "1", "name": "p"}, "Warning", "Unhealthy", message, "2026-01-01T00:00:00Z")


def test_an_object_has_so_many_events_at_once_and_then_one_for_each_pause(clock: Clock) -> None:
    known = Correlator()
    assert [known.allowed("1") for _ in range(int(BURST) + 1)] == [True] * int(BURST) + [False]
    assert known.allowed("2")
    clock.now += REFILL_SECONDS
    assert [known.allowed("1") for _ in range(2)] == [True, False]


def test_similar_messages_are_counted_in_one_event_until_none_came_for_a_while(clock: Clock) -> None:
    known = Correlator()
    keys = [known.combined(note(f"number {number}"))[0] for number in range(SIMILAR + 2)]
    assert len(set(keys[: SIMILAR - 1])) == SIMILAR - 1
    assert len(set(keys[SIMILAR - 1 :])) == 1
    clock.now += SIMILAR_SECONDS + 1
    assert known.combined(note("one more"))[1] == "one more"


def test_an_event_that_goes_on_is_remembered_longer_than_those_that_came_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correlator, "REMEMBERED", 3)
    known = Correlator()
    known.remember(("goes on",), Sent("a", 1))
    for number in range(5):
        known.remember((f"once {number}",), Sent("b", 1))
        assert known.sent(("goes on",)) == Sent("a", 1)
    assert known.sent(("once 0",)) is None


def test_an_event_that_the_api_has_let_go_begins_anew() -> None:
    known = Correlator()
    known.remember(("key",), Sent("a", 7))
    known.forget(("key",))
    assert known.sent(("key",)) is None
