"""The health port, which is open to all: probes get their answer whatever other clients do there."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from interlink.vk.leader.health import HealthServer

Eventually = Callable[..., Any]
PROBE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
async def server() -> AsyncIterator[HealthServer]:
    async with HealthServer(0, list, lambda: ["not yet"], lambda: "leading") as found:
        yield found


async def connect(server: HealthServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", server.listener.port)


async def ask(server: HealthServer, request: bytes) -> bytes:
    """Return all that is answered until the server ends the connection, of which the client writes one request."""
    reader, writer = await connect(server)
    writer.write(request)
    writer.write_eof()
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [("healthz", 200, b"ok: leading"), ("livez/", 200, b"ok: leading"), ("readyz", 500, b"not yet"), ("", 404, b"404")],
)
async def test_each_path_says_what_it_is_asked_for(server: HealthServer, path: str, code: int, words: bytes) -> None:
    answer = await ask(server, b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
    assert answer.startswith(b"HTTP/1.1 %d" % code)
    assert answer.partition(b"\r\n\r\n")[2].startswith(words)


async def test_a_flood_of_silent_clients_is_bounded_and_keeps_no_probe_out(
    server: HealthServer, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlink.vk.kubelet.listener.MOST_WAITING", 8)
    flood = [await connect(server) for _ in range(50)]
    assert (await ask(server, PROBE)).startswith(b"HTTP/1.1 200")
    await eventually(lambda: len(server.listener.connections) <= 8)
    for _reader, writer in flood:
        writer.close()
    await eventually(lambda: not server.listener.connections)


async def test_a_request_that_comes_too_slowly_is_given_up(
    server: HealthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlink.vk.kubelet.connection.IDLE_SECONDS", 0.2)
    reader, writer = await connect(server)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: ")
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


async def test_a_head_that_is_too_long_is_refused(server: HealthServer) -> None:
    answer = await ask(server, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 140000 + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431")


async def test_open_connections_end_with_the_port(eventually: Eventually) -> None:
    async with HealthServer(0, list, list, str) as server:
        reader, writer = await connect(server)
        await eventually(lambda: server.listener.connections)
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    assert not server.listener.connections
    writer.close()
