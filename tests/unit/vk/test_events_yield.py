"""Where kube-apiserver has all it can do, events wait for pods, and come all the same."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from interlink.vk import turns
from interlink.vk.apiserver import client
from interlink.vk.apiserver.access import Access
from interlink.vk.events import recorder as recorder_module
from interlink.vk.events.recorder import Events

Eventually = Callable[..., Any]
POD = {"metadata": {"namespace": "default", "name": "p", "uid": "1"}}


class Server:
    """Answers at once but for /slow, which is answered at the end; ``bodies`` is what was posted."""

    def __init__(self) -> None:
        self.waiting = 0
        self.bodies: list[dict[str, Any]] = []
        self.end = asyncio.Event()

    @property
    def events(self) -> int:
        return len(self.bodies)

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/slow":
            self.waiting += 1
            await self.end.wait()
        elif request.method == "POST":
            self.bodies.append(await request.json())
        return web.json_response({})


@asynccontextmanager
async def recorder_beside(
    under_way: int, eventually: Eventually
) -> AsyncIterator[tuple[Server, client.ApiServer, Events]]:
    """Have so many requests under way, and a recorder's task beside them."""
    server, app = Server(), web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        async with client.ApiServer(Access(f"http://{host}:{port}", None, dict)) as api, asyncio.TaskGroup() as group:
            slow = [group.create_task(api.get("/slow")) for _ in range(under_way)]
            await eventually(lambda: server.waiting == under_way)
            recorder = Events(api, "node")
            task = group.create_task(recorder.run())
            yield server, api, recorder
            server.end.set()
            await asyncio.gather(*slow)
            task.cancel()
    finally:
        await runner.cleanup()


async def test_an_event_lets_requests_about_pods_pass_for_its_time(
    eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "BUSY_SECONDS", 600.0)
    monkeypatch.setattr(turns, "BUSY_RATE", 1 / 3)
    async with recorder_beside(client.BUSY, eventually) as (server, api, recorder):
        recorder.pod(POD, "Normal", "Created", "Created job 1")
        for _ in range(3):
            await api.get("/quick")  # an event that did not wait would come before these
        early = server.events
        assert not early
        await eventually(lambda: server.events == 1)


async def test_where_few_requests_are_under_way_events_go_at_once(
    eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "BUSY_SECONDS", 600.0)
    monkeypatch.setattr(turns, "BUSY_RATE", 1 / 600)
    async with recorder_beside(client.BUSY - 2, eventually) as (server, _, recorder):
        recorder.pod(POD, "Normal", "Created", "Created job 1")
        recorder.pod(POD, "Normal", "Started", "Started container c")
        await eventually(lambda: server.events == 2)


async def test_an_event_that_waited_says_when_it_happened_and_a_warning_goes_first(
    eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"])
    monkeypatch.setattr(recorder_module, "now_seconds", lambda: next(clock))
    async with recorder_beside(0, eventually) as (server, _, recorder):
        recorder.pod(POD, "Normal", "Created", "Created job 1")
        recorder.pod(POD, "Warning", "FailedCreate", "no")
        await eventually(lambda: server.events == 2)
    assert [(event["reason"], event["firstTimestamp"], event["lastTimestamp"]) for event in server.bodies] == [
        ("FailedCreate", "2026-01-01T00:00:01Z", "2026-01-01T00:00:01Z"),
        ("Created", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
    ]
