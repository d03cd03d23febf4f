"""A thread for each request under way, and no more."""

import logging
import threading

import pytest

from interlink.http.pool import GrowingPool


class Task:
    """A request that takes as long as the test wants."""

    def __init__(self) -> None:
        self.began, self.may_end, self.ended = threading.Event(), threading.Event(), threading.Event()

    def service(self) -> None:
        self.began.set()
        assert self.may_end.wait(10)
        self.ended.set()

    def cancel(self) -> None:
        raise AssertionError


def serve(pool: GrowingPool, *, and_end: bool = False) -> Task:
    task = Task()
    if and_end:
        task.may_end.set()
    pool.add_task(task)
    return task


def test_requests_under_way_have_a_thread_each_up_to_the_limit(caplog: pytest.LogCaptureFixture) -> None:
    pool = GrowingPool(3)
    assert not pool.threads
    first, second, third = serve(pool), serve(pool), serve(pool)
    assert all(task.began.wait(10) for task in (first, second, third))
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        late, later = serve(pool, and_end=True), serve(pool, and_end=True)
    assert [record.getMessage().split(";")[0] for record in caplog.records] == ["all 3 threads are busy"]
    assert len(pool.threads) == 3
    assert not late.began.wait(0.1)
    second.may_end.set()
    assert late.ended.wait(10)
    assert later.ended.wait(10)
    first.may_end.set()
    third.may_end.set()
    assert pool.shutdown()


def test_requests_one_after_another_share_few_threads() -> None:
    pool = GrowingPool(100)
    for _ in range(50):
        assert serve(pool, and_end=True).ended.wait(10)
    assert len(pool.threads) < 10  # one that has ended its request may not be back yet
    assert pool.shutdown()


def test_many_callers_at_once_wait_for_nobody() -> None:
    pool = GrowingPool(64)
    tasks: list[Task] = []
    callers = [threading.Thread(target=lambda: tasks.append(serve(pool))) for _ in range(64)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert all(task.began.wait(10) for task in tasks)
    for task in tasks:
        task.may_end.set()
    assert pool.shutdown()
