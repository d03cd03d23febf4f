"""The InterLink client: what each answer means for the pod, token and sockets."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from interlink.vk.edge.client import EdgeClient
from interlink.vk.edge.errors import AwayError, BusyError, DeletedError, RefusedError, UnknownPodError
from interlink.vk.edge.fake import FakeEdge
from interlink.vk.edge.link import Link
from interlink.vk.edge.transport import Transport, words
from interlink.vk.tokenfile import TokenFile

POD = {"metadata": {"uid": "u", "name": "p"}}


@pytest.fixture
async def edge() -> AsyncIterator[FakeEdge]:
    async with FakeEdge().serve() as fake:
        yield fake


@pytest.fixture
async def client(edge: FakeEdge) -> AsyncIterator[EdgeClient]:
    client = EdgeClient(Transport("http://127.0.0.1", edge.port, TokenFile(None)))
    yield client
    await client.close()


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (422, RefusedError, "Invalid account"),
        (409, DeletedError, "Invalid account"),
        (400, RefusedError, "Invalid account"),
        (413, RefusedError, "Invalid account"),
        (401, AwayError, "VKTokenFile"),
        (403, AwayError, "VKTokenFile"),
        (404, AwayError, "404"),
        (500, AwayError, "500"),
        (502, AwayError, "502"),
        (503, AwayError, "503"),
        (429, AwayError, "429"),
    ],
)
async def test_create_errors(client: EdgeClient, edge: FakeEdge, status: int, kind: type[Exception], said: str) -> None:
    edge.failures["/create"] = (status, {"title": "no", "description": "Invalid account"})
    with pytest.raises(kind, match=said):
        await client.create({"pod": POD})


async def test_a_busy_site_says_why_the_pod_waits(client: EdgeClient, edge: FakeEdge) -> None:
    edge.failures["/create"] = (429, {"title": "SlurmPending", "description": "too many jobs"})
    with pytest.raises(BusyError, match=r"^too many jobs$") as caught:
        await client.create({"pod": POD})
    assert caught.value.reason == "SlurmPending"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(422, RefusedError), (413, RefusedError), (404, UnknownPodError), (501, AwayError), (503, AwayError)],
)
async def test_update_errors(client: EdgeClient, edge: FakeEdge, status: int, kind: type[Exception]) -> None:
    edge.failures["/update"] = (status, {"title": "no", "description": "its words"})
    with pytest.raises(kind, match="its words"):
        await client.update({"pod": POD})


@pytest.mark.parametrize(
    ("title", "reason"),
    [
        ("SlurmRefused", "SlurmRefused"),
        ("UnsupportedPod", "UnsupportedPod"),
        ("malformed pod", "Refused"),
        ("422 Unprocessable Entity", "Refused"),
        ("SlurmRefused\n", "Refused"),
        ("R" * 62, "Refused"),
        (7, "Refused"),
        (None, "Refused"),
    ],
)
async def test_a_refusal_s_title_is_its_reason(client: EdgeClient, edge: FakeEdge, title: object, reason: str) -> None:
    edge.failures["/create"] = (422, {"title": title, "description": "d"})
    with pytest.raises(RefusedError) as caught:
        await client.create({"pod": POD})
    assert caught.value.reason == reason


async def test_away_in_plain_words(client: EdgeClient, edge: FakeEdge) -> None:
    await edge.stop()
    with pytest.raises(AwayError, match=rf"^InterLink at http://127.0.0.1:{edge.port} cannot be reached: Conn"):
        await client.ping()
    await edge.start()
    assert (await client.ping()).extensions == edge.reply.extensions


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"title": "t", "description": "d"}', "d"),
        (b'{"title": "t"}', "t"),
        (b"plain words\n", "plain words"),
        (b"", "no words"),
        (b"[1]", "[1]"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"[" * 5000, "[" * 2000),
    ],
)
def test_words(body: bytes, said: str) -> None:
    assert words(body) == said


@pytest.mark.parametrize("body", [b"pong", b'{"status": 3}', b"\xff", b"[]"])
async def test_any_text_is_a_ping_reply(body: bytes, tmp_path: Path) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=body)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "s")).start()
    client = EdgeClient(Transport(f"unix://{tmp_path}/s", 0, TokenFile(None)))
    assert (await client.ping()).extensions is None
    await client.close()
    await runner.cleanup()


def test_token_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "token"
    token = TokenFile(path)
    assert token.headers() == {}
    path.write_text("one\n")
    assert token.headers() == {"Authorization": "Bearer one"}
    other = tmp_path / "new"
    other.write_text("two")
    other.rename(path)
    assert token.read() == "two"
    path.unlink()
    assert token.read() == "two", "the last one known"
    path.write_text("")
    assert token.headers() == {}


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://edge", "http://edge:3000"),
        ("https://edge:8080/", "https://edge:8080"),
        ("http://[::1]", "http://[::1]:3000"),
        ("https://edge/interlink", "https://edge:3000/interlink"),
    ],
)
async def test_addresses(url: str, base: str) -> None:
    transport = Transport(url, 3000, TokenFile(None))
    assert transport.base == base
    await transport.close()


async def test_a_loop_that_is_ended_while_somebody_doubts_ends() -> None:
    """Python 3.11's wait_for would forget the one for the other, and the process would never end."""
    link = Link()
    waiting = asyncio.create_task(link.wait_for_doubt(60))
    await asyncio.sleep(0)
    link.doubt()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
