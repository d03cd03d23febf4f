"""Hostile and broken clients of the kubelet port: each ends only what is its own."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from interlink.vk.kubelet.connection import LARGEST_BODY, Connection, Reply, Request
from tests.unit.vk.port import LOGS, Client

World = Any  # of conftest.py
Eventually = Callable[..., Any]
HEAD = b" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin\r\n"


async def head_of(reader: asyncio.StreamReader) -> bytes:
    """Return the head of the next answer."""
    async with asyncio.timeout(5):
        return await reader.readuntil(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("rubbish", "code"),
    [
        (b"\x00\x01\x02\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno header\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/one\r\nHost: x\r\n\r\n", 400),
        (b"GET /" + b"a" * 70000, 431),
        (b"GET /" + HEAD + b"X: " + b"a" * 140000 + b"\r\n\r\n", 431),
        (b"GET /pods" + HEAD + b"Content-Length: many\r\n\r\n", 400),
        (b"GET /pods" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        (b"GET //[" + HEAD + b"\r\n", 400),
        (b"GET /pods?" + b"a=1&" * 1500 + HEAD + b"\r\n", 400),
        (b"GET /no/such/path" + HEAD + b"\r\n", 404),
        (b"GET /%ff%00%0d%0a" + HEAD + b"\r\n", 404),
        (b"OPTIONS *" + HEAD + b"\r\n", 404),
        (b"CONNECT x:443" + HEAD + b"\r\n", 404),
        (b"GET /exec/default/p/c" + HEAD + b"Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n", 501),
    ],
)
async def test_rubbish_ends_only_its_own_request(
    client: Client, eventually: Eventually, caplog: pytest.LogCaptureFixture, rubbish: bytes, code: int
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.kubelet.server.port, ssl=client.context)
    writer.write(rubbish)
    head = await head_of(reader)
    assert head.startswith(b"HTTP/1.1 %d" % code)
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    assert (await reader.readexactly(length)).strip(), "the reason"
    writer.close()
    await eventually(lambda: not client.kubelet.server.listener.connections)
    assert not [record for record in caplog.records if record.exc_info], "no traceback for what a client did"
    assert await client.ask("/healthz", "", "POST") == (200, "ok")


async def test_head_has_no_body(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    assert await client.ask("/healthz", "", "HEAD") == (200, "")
    assert await client.ask("/pods", "admin", "HEAD") == (200, "")
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_handshake_that_never_ends_is_ended(
    world: World, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlink.vk.kubelet.listener.HANDSHAKE_SECONDS", 0.2)
    async with world.running() as kubelet:
        for hello in (b"", b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", kubelet.server.port)
            writer.write(hello)
            with suppress(ConnectionError):
                async with asyncio.timeout(5):
                    await reader.read()
            writer.close()
        await eventually(lambda: not kubelet.server.listener.connections)
        assert await Client(world, kubelet, "").ask("/healthz", "") == (200, "ok")


@pytest.mark.parametrize("start", [b"GET /", b"GET /healthz HTTP/1.1\r\nHost: "])
async def test_a_request_that_never_comes_is_given_up(
    client: Client, eventually: Eventually, monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    monkeypatch.setattr("interlink.vk.kubelet.connection.IDLE_SECONDS", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", client.kubelet.server.port, ssl=client.context)
    writer.write(start)
    drip = asyncio.create_task(_drip(writer))
    async with asyncio.timeout(3):
        assert await reader.read() == b"", "a byte now and then does not hold it open"
    drip.cancel()
    writer.close()
    await eventually(lambda: not client.kubelet.server.listener.connections)


async def _drip(writer: asyncio.StreamWriter) -> None:
    while True:
        await asyncio.sleep(0.1)
        writer.write(b"x")


async def test_a_follower_that_floods_is_dropped(client: Client, eventually: Eventually) -> None:
    client.world.edge.hold_log = True
    _reader, writer = await asyncio.open_connection("127.0.0.1", client.kubelet.server.port, ssl=client.context)
    writer.write(b"GET " + LOGS.encode() + b"?follow=true" + HEAD + b"\r\n")
    await eventually(lambda: client.world.edge.log_open == 1)
    with suppress(ConnectionError):
        for _ in range(100):
            writer.write(b"x" * 65536)
            await writer.drain()
    await eventually(lambda: client.world.edge.log_open == 0)
    await eventually(lambda: not client.kubelet.server.listener.connections)
    writer.close()


async def test_one_connection_serves_several_requests(client: Client) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.kubelet.server.port, ssl=client.context)
    for _ in range(3):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await head_of(reader)).startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(2) == b"ok"
    writer.close()


async def test_health_names_a_loop_that_hangs(client: Client) -> None:
    client.kubelet.shared.pulse.watch("stuck", -1.0)
    status, words = await client.ask("/healthz", "")
    assert status == 500
    assert "loop stuck" in words


async def open_silently(client: Client, number: int) -> list[asyncio.StreamWriter]:
    return [(await asyncio.open_connection("127.0.0.1", client.kubelet.server.port))[1] for _ in range(number)]


async def test_a_flood_of_silent_clients_is_bounded_and_keeps_nobody_out(
    client: Client, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlink.vk.kubelet.listener.MOST_WAITING", 8)
    server = client.kubelet.server
    client.world.edge.hold_log = True
    _reader, follower = await asyncio.open_connection("127.0.0.1", server.port, ssl=client.context)
    follower.write(b"GET " + LOGS.encode() + b"?follow=true" + HEAD + b"\r\n")
    await eventually(lambda: client.world.edge.log_open == 1)
    flood = await open_silently(client, 50)
    assert await client.ask("/healthz", "") == (200, "ok")
    await eventually(lambda: server.count(admitted=False) <= 8)
    assert client.world.edge.log_open == 1, "who was admitted stays"
    for writer in (*flood, follower):
        writer.close()
    await eventually(lambda: not server.listener.connections)


async def test_where_all_are_admitted_one_more_is_refused(
    client: Client, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlink.vk.kubelet.listener.MOST_CONNECTIONS", 2)
    client.world.edge.hold_log = True
    writers = []
    for number in (1, 2):
        _reader, writer = await asyncio.open_connection("127.0.0.1", client.kubelet.server.port, ssl=client.context)
        writer.write(b"GET " + LOGS.encode() + b"?follow=true" + HEAD + b"\r\n")
        await eventually(lambda number=number: client.world.edge.log_open == number)
        writers.append(writer)
    with pytest.raises(OSError, match=r".*"):
        await asyncio.open_connection("127.0.0.1", client.kubelet.server.port, ssl=client.context)
    writers[0].close()
    await eventually(lambda: len(client.kubelet.server.listener.connections) == 1)
    assert await client.ask("/healthz", "") == (200, "ok")
    writers[1].close()


async def test_a_reader_that_takes_nothing_is_dropped_in_the_end(
    client: Client, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlink.vk.kubelet.connection.STALL_SECONDS", 0.3)
    monkeypatch.setattr("interlink.vk.kubelet.logs.READER_SECONDS", 0.3)
    client.world.edge.log = [b"x" * 65536] * 400
    reader, writer = await asyncio.open_connection("127.0.0.1", client.kubelet.server.port, ssl=client.context)
    writer.write(b"GET " + LOGS.encode() + HEAD + b"\r\n")
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await eventually(lambda: not client.kubelet.server.listener.connections, 10)
    assert client.world.edge.log_open == 0
    writer.transport.abort()


async def test_a_client_that_waits_to_be_told_to_go_on_is_told(client: Client) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.kubelet.server.port, ssl=client.context)
    writer.write(b"POST /healthz" + HEAD + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert (await head_of(reader)).startswith(b"HTTP/1.1 100")
    writer.write(b"{}")
    assert (await head_of(reader)).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_a_connection_that_is_ended_as_its_request_comes_ends() -> None:
    asked = asyncio.Event()

    class Last:
        """A stream whose request comes with the end of its task."""

        def peer_certificate(self) -> None:
            return None

        async def read(self, size: int) -> bytes:
            if asked.is_set():
                await asyncio.Event().wait()
            await asyncio.sleep(0.01)
            asked.set()
            task.cancel()
            return b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

        async def write(self, data: bytes) -> None:
            return None

    async def follow(request: Request, reply: Reply) -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(Connection(Last(), follow).serve())
    done, _ = await asyncio.wait({task}, timeout=2)
    assert done
    assert task.cancelled()


class Pieces:
    """A stream that brings these pieces, and keeps what is sent."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces
        self.sent = b""

    def peer_certificate(self) -> None:
        return None

    async def read(self, size: int) -> bytes:
        if not self.pieces:
            return b""
        piece = self.pieces.pop(0)
        if len(piece) > size:
            self.pieces.insert(0, piece[size:])
        return piece[:size] or await self.read(size)

    async def write(self, data: bytes) -> None:
        self.sent += data


REQUEST = st.sampled_from(
    [
        b"GET /pods HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /run HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"Host: \xff\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 1\r\nContent-Length: 2\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"\r\n\r\n",
        b"GET http://[::1/%zz?a=%ff&;&= HTTP/1.1\r\n",
        b"OPTIONS * HTTP/1.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n",
        b"Expect: 100-continue\r\n",
        b"ffffffffffffffff\r\n",
        b"GET / HTTP/1.1\r\n",
    ]
)


def rest_after_answer(sent: bytes, method: str) -> bytes:
    """Return what follows the first whole answer."""
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(sent)
    while not isinstance(event := client.next_event(), h11.EndOfMessage):
        assert event not in (h11.NEED_DATA, h11.PAUSED), "half an answer"
    return bytes(client.trailing_data[0])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(REQUEST, st.binary(max_size=64)), max_size=12))
@example([b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3])
@example([b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n", b"x" * (LARGEST_BODY + 1)])
def test_any_bytes_at_all_get_answers_or_an_end(pieces: list[bytes]) -> None:
    stream, seen = Pieces(pieces), list[Request]()

    async def handler(request: Request, reply: Reply) -> None:
        seen.append(request)
        await reply.text(200, "ok")

    async def serve() -> None:
        async with asyncio.timeout(10):
            await Connection(stream, handler).serve()

    asyncio.run(serve())
    answers = 0
    while stream.sent:
        method = seen[answers].method if answers < len(seen) else "GET"
        stream.sent = rest_after_answer(stream.sent, method)
        answers += 1
    assert len(seen) <= answers <= len(seen) + 1


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_target_is_a_request_or_refused(target: bytes) -> None:
    line = b"GET /" + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    stream = Pieces([line])

    async def handler(request: Request, reply: Reply) -> None:
        assert isinstance(request.path.strip("/").split("/"), list)
        await reply.text(200, request.first("a"))

    asyncio.run(Connection(stream, handler).serve())
    assert stream.sent.startswith((b"HTTP/1.1 200", b"HTTP/1.1 400")) or not stream.sent
