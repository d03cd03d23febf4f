"""Turns by a token bucket, with a clock of the test's own."""

from interlink.vk.turns import Turns


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_some_come_at_once_and_the_others_at_the_rate() -> None:
    turns = Turns(10.0, 2.0, clock=Clock())
    assert [round(turns.next(), 3) for _ in range(5)] == [0.0, 0.0, 0.1, 0.2, 0.3]


def test_a_quiet_time_gives_no_more_than_those_at_once() -> None:
    clock = Clock()
    turns = Turns(10.0, 2.0, clock=clock)
    clock.now += 3600
    assert [round(turns.next(), 3) for _ in range(3)] == [0.0, 0.0, 0.1]


def test_who_waited_for_its_turn_owes_nothing() -> None:
    clock = Clock()
    turns = Turns(10.0, 1.0, clock=clock)
    turns.next()
    clock.now += turns.next()
    assert round(turns.next(), 3) == 0.1


def test_while_it_is_busy_they_are_far_apart_however_quiet_it_was_before() -> None:
    turns = Turns(50.0, 100.0, busy=lambda: True, clock=Clock())
    assert [round(turns.next(), 3) for _ in range(3)] == [0.2, 0.2, 0.2]


def test_once_it_is_busy_no_more_it_goes_on_at_the_rate() -> None:
    clock, busy = Clock(), [True]
    turns = Turns(50.0, 2.0, busy=lambda: busy[-1], clock=clock)
    turns.next()
    busy.append(False)
    clock.now += 1.0
    assert [round(turns.next(), 3) for _ in range(4)] == [0.0, 0.0, 0.02, 0.04]


def test_a_rate_that_is_slow_anyway_gets_no_quicker_by_being_busy() -> None:
    turns = Turns(0.5, 1.0, busy=lambda: True, clock=Clock())
    assert [turns.next() for _ in range(3)] == [0.2, 2.0, 4.0]


async def test_a_turn_that_is_now_does_not_wait() -> None:
    turns = Turns(0.001, 1.0, clock=Clock())
    await turns.take()
