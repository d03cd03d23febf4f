"""The work queue: one look at a time for each pod, and nothing is ever given up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from interlink.vk.pods import queue
from interlink.vk.pods.queue import RetryLater, WorkQueue

Eventually = Callable[..., Any]


@asynccontextmanager
async def working(worker: Callable[[str], Awaitable[float | None]]) -> AsyncIterator[WorkQueue]:
    work = WorkQueue()
    task = asyncio.create_task(work.run(worker, workers=4))
    yield work
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_one_at_a_time_and_once_more_for_news(eventually: Eventually) -> None:
    busy: set[str] = set()
    looks: list[str] = []

    async def worker(key: str) -> None:
        assert key not in busy
        busy.add(key)
        await asyncio.sleep(0.02)
        busy.discard(key)
        looks.append(key)

    async with working(worker) as work:
        for _ in range(10):
            work.add("a")
        await asyncio.sleep(0.01)
        for _ in range(10):
            work.add("a")
            work.add("b")
        await eventually(lambda: len(looks) == 3)
        await asyncio.sleep(0.05)
        assert sorted(looks) == ["a", "a", "b"]
        assert not work._entries, "nothing is kept of pods that are at rest"


async def test_nothing_is_given_up(eventually: Eventually, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(queue, "LONGEST_PAUSE", 0.002)
    looks = 0

    async def worker(_key: str) -> None:
        nonlocal looks
        looks += 1
        if looks < 50:
            raise RetryLater("not yet") if looks % 2 else ZeroDivisionError("a bug")

    async with working(worker) as work:
        work.add("a")
        await eventually(lambda: looks == 50)


async def test_kick_ends_the_pause(eventually: Eventually) -> None:
    looks = 0

    async def worker(_key: str) -> float | None:
        nonlocal looks
        looks += 1
        return 3600.0

    async with working(worker) as work:
        work.add("a")
        await eventually(lambda: looks == 1)
        work.kick()
        await eventually(lambda: looks == 2)


@pytest.mark.parametrize("when", ["busy", "waiting"])
async def test_news_do_not_shorten_a_pause_that_a_server_has_asked_for(eventually: Eventually, when: str) -> None:
    looks: list[float] = []
    loop = asyncio.get_running_loop()

    async def worker(_key: str) -> None:
        looks.append(loop.time())
        if when == "busy":
            work.add("a")
        if len(looks) == 1:
            raise RetryLater("429", 0.2, held=True)

    async with working(worker) as work:
        work.add("a")
        await eventually(lambda: looks)
        for _ in range(3):
            await asyncio.sleep(0.02)
            work.add("a")
            work.kick()
        await eventually(lambda: len(looks) >= 2)
        assert looks[1] - looks[0] >= 0.19
