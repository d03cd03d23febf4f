"""Where kube-apiserver has all it can do, events wait for pods, and come all the same."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from interlink.vk import events as vk_events
from interlink.vk.apiserver import client
from interlink.vk.apiserver.access import Access

Eventually = Callable[..., Any]
POD = {"metadata": {"namespace": "default", "name": "p", "uid": "1"}}


class Busy:
    """A server that keeps those waiting who ask for /slow; ``early`` and ``late`` count events before and after."""

    def __init__(self) -> None:
        self.waiting = self.early = self.late = 0
        self.gate = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/slow":
            self.waiting += 1
            await self.gate.wait()
        elif request.method == "POST" and self.gate.is_set():
            self.late += 1
        elif request.method == "POST":
            self.early += 1
        return web.json_response({})


@asynccontextmanager
async def busy_server(eventually: Eventually) -> AsyncIterator[tuple[Busy, client.ApiServer]]:
    """Have so many requests under way that there are many, and a recorder's task beside them."""
    busy, app = Busy(), web.Application()
    app.router.add_route("*", "/{path:.*}", busy.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        async with client.ApiServer(Access(f"http://{host}:{port}", None, dict)) as api, asyncio.TaskGroup() as group:
            slow = [group.create_task(api.get("/slow")) for _ in range(client.BUSY)]
            await eventually(lambda: busy.waiting == client.BUSY)
            recorder = vk_events.Events(api, "node")
            task = group.create_task(recorder.run())
            recorder.pod(POD, "Normal", "Created", "Created job 1")
            yield busy, api
            busy.gate.set()
            await asyncio.gather(*slow)
            task.cancel()
    finally:
        await runner.cleanup()


async def test_an_event_lets_requests_about_pods_pass(eventually: Eventually, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vk_events, "YIELD_SECONDS", 600.0)
    async with busy_server(eventually) as (busy, api):
        for _ in range(3):
            await api.get("/quick")  # an event would have come before these
        assert not busy.early
        busy.gate.set()
        await eventually(lambda: busy.late == 1)


async def test_an_event_waits_no_longer_than_its_time(eventually: Eventually, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vk_events, "YIELD_SECONDS", 0.01)
    async with busy_server(eventually) as (busy, _):
        await eventually(lambda: busy.early == 1)
