"""Which event is sent next, and which one finds no room: a Warning never waits behind what went well."""

import asyncio
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from interlink.vk.events.note import Note
from interlink.vk.events.waiting import Waiting

NORMAL, WARNING = "Normal", "Warning"


def note(kind: str, number: int) -> Note:
    return Note({"uid": "1", "name": "p"}, kind, "Reason", f"number {number}", "2026-01-01T00:00:00Z")


def taken(waiting: Waiting, count: int) -> Iterator[Note]:
    return (waiting.first() for _ in range(count))


def test_a_warning_goes_before_normal_events_that_came_before_it() -> None:
    waiting = Waiting()
    for number, kind in enumerate((NORMAL, WARNING, NORMAL, WARNING)):
        assert waiting.put(note(kind, number)) is None
    assert [it.message for it in taken(waiting, 4)] == ["number 1", "number 3", "number 0", "number 2"]


def test_where_there_is_no_room_the_last_normal_event_gives_way_to_a_warning() -> None:
    waiting = Waiting(room=2)
    for number in range(2):
        waiting.put(note(NORMAL, number))
    assert waiting.put(note(NORMAL, 2)) == note(NORMAL, 2)
    assert waiting.put(note(WARNING, 3)) == note(NORMAL, 1)
    assert waiting.put(note(WARNING, 4)) == note(NORMAL, 0)
    assert waiting.put(note(WARNING, 5)) == note(WARNING, 5)
    assert list(taken(waiting, 2)) == [note(WARNING, 3), note(WARNING, 4)]


@given(st.lists(st.sampled_from([NORMAL, WARNING, "take"])), st.integers(1, 5))
def test_each_event_is_sent_or_left_out_once_and_those_of_a_kind_in_their_order(steps: list[str], room: int) -> None:
    waiting, here = Waiting(room), 0
    sent: list[Note] = []
    left_out: list[Note] = []
    for number, step in enumerate(steps):
        if step != "take":
            gone = waiting.put(note(step, number))
            left_out += [gone] if gone else []
            here += not gone
        elif here:
            sent.append(waiting.first())
            here -= 1
        assert here <= room
    sent += taken(waiting, here)
    assert sorted(it.message for it in sent + left_out) == sorted(
        f"number {number}" for number, step in enumerate(steps) if step != "take"
    )
    for kind in (NORMAL, WARNING):
        numbers = [int(it.message.split()[1]) for it in sent if it.kind == kind]
        assert numbers == sorted(numbers)


async def test_who_waits_for_an_event_is_woken_by_one_and_waits_again_after_the_last() -> None:
    waiting = Waiting()
    waiter = asyncio.ensure_future(waiting.wait())
    await asyncio.sleep(0)
    assert not waiter.done()
    waiting.put(note(NORMAL, 0))
    await waiter
    waiting.first()
    waiter = asyncio.ensure_future(waiting.wait())
    await asyncio.sleep(0)
    assert not waiter.done()
    waiter.cancel()
