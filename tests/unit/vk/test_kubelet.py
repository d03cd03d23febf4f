"""The kubelet port over real TLS: who may ask (point 20), and logs (point 22)."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

World = Any  # of conftest.py
Eventually = Callable[..., Any]
LOGS = "/containerLogs/default/p/c"


class Client:
    """Asks at the port of a running virtual kubelet, as kube-apiserver does."""

    def __init__(self, world: World, kubelet: Any, uid: str) -> None:
        self.world = world
        self.kubelet = kubelet
        self.uid = uid
        self.base = f"https://127.0.0.1:{kubelet.server.port}"
        self.context = ssl.create_default_context()
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE

    async def ask(self, path: str, token: str = "admin", method: str = "GET") -> tuple[int, str]:
        async with aiohttp.ClientSession() as session:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            async with session.request(method, self.base + path, ssl=self.context, headers=headers) as response:
                return response.status, await response.text()


@pytest.fixture
async def client(world: World, eventually: Eventually) -> AsyncIterator[Client]:
    world.api.reviews = {
        "admin": {"username": "root", "groups": ["system:masters"]},
        "reader": {"username": "reader", "groups": ["system:authenticated"]},
        "nobody": {"username": "nobody"},
    }
    world.api.rules = {("reader", "get", "proxy")}
    uid = world.add_pod("p")["metadata"]["uid"]
    async with world.running() as kubelet:
        await eventually(lambda: uid in world.edge.statuses)
        yield Client(world, kubelet, uid)


@pytest.mark.parametrize(
    ("token", "path", "status"),
    [
        ("", "/healthz", 200),
        ("", "/pods", 401),
        ("wrong", LOGS, 401),
        ("nobody", LOGS, 403),
        ("reader", LOGS, 200),
        ("reader", "/pods", 200),
        ("reader", "/exec/default/p/c?command=id", 403),
        ("reader", "/metrics", 403),
        ("admin", "/exec/default/p/c", 501),
        ("admin", "/portForward/default/p", 501),
        ("admin", "/metrics", 404),
        ("admin", "/containerLogs/default/p", 404),
        ("admin", "/containerLogs/default/other/c", 404),
        ("admin", "/containerLogs/default/p/other", 404),
        ("admin", "/../../etc/passwd", 404),
    ],
)
async def test_who_may_ask_what(client: Client, token: str, path: str, status: int) -> None:
    assert (await client.ask(path, token))[0] == status


async def test_reviews_are_remembered(client: Client) -> None:
    for _ in range(5):
        await client.ask("/pods", "reader")
    assert client.world.api.count("POST", "tokenreviews") == 1
    # "pods" is tried first and refused, "proxy" is what is allowed.
    assert client.world.api.count("POST", "subjectaccessreviews") == 2


async def test_a_failing_review_lets_nobody_in(client: Client) -> None:
    client.world.api.fail("POST /apis/authentication", 500)
    assert (await client.ask("/pods", "admin"))[0] == 500


def certificates(folder: Path, common_name: str, organization: str) -> tuple[str, Path]:
    """Return a CA in PEM and a client certificate of it with its key, in one file."""
    now = datetime.now(UTC)

    def make(subject: list[Any], issuer: x509.Name, key: Any, signer: Any, is_ca: bool) -> Any:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name(subject))
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .sign(signer, hashes.SHA256())
        )

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = [x509.NameAttribute(NameOID.COMMON_NAME, "ca")]
    subject = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
        x509.NameAttribute(NameOID.COMMON_NAME, common_name),
    ]
    ca = make(ca_name, x509.Name(ca_name), ca_key, ca_key, True)
    leaf = make(subject, x509.Name(ca_name), key, ca_key, False)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{common_name}.pem"
    path.write_bytes(secret + leaf.public_bytes(serialization.Encoding.PEM))
    return ca.public_bytes(serialization.Encoding.PEM).decode(), path


async def test_client_certificates(client: Client, tmp_path: Path) -> None:
    authority, path = certificates(tmp_path, "kube-apiserver-kubelet-client", "system:masters")
    folder = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
    client.world.api.put(folder, {"data": {"client-ca-file": authority}})
    await client.kubelet.server.refresh()
    assert (await client.ask("/pods", ""))[0] == 401, "a client without one is still heard"
    client.context.load_cert_chain(path)
    assert (await client.ask("/pods", ""))[0] == 200
    assert client.world.api.count("POST", "tokenreviews") == 0
    stranger = certificates(tmp_path, "stranger", "system:masters")[1]
    client.context.load_cert_chain(stranger)
    with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
        await client.ask("/pods", "")


async def test_logs_pass_their_options_on(client: Client) -> None:
    assert await client.ask(f"{LOGS}?tailLines=3&timestamps=true&previous=true&unknown=1") == (200, "hello\n")
    asked = client.world.edge.log_requests[-1]
    assert (asked["PodUID"], asked["PodName"], asked["ContainerName"]) == (client.uid, "p", "c")
    assert (asked["Opts"]["Tail"], asked["Opts"]["Timestamps"], asked["Opts"]["Previous"]) == (3, True, True)
    await client.ask(f"{LOGS}?sinceTime=2026-01-01T00:00:00Z")
    assert client.world.edge.log_requests[-1]["Opts"]["SinceTime"] == "2026-01-01T00:00:00Z"
    assert await client.ask(f"{LOGS}?limitBytes=3") == (200, "hel")
    assert await client.ask(f"{LOGS}?limitBytes=2&tailLines=1") == (200, "he")
    assert client.world.edge.log_requests[-1]["Opts"]["Bytes"] == 0, "the protocol forbids both"


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("follow=true&tailLines=3", {"Follow": True, "Tail": 3, "SinceSeconds": 0}),
        ("sinceSeconds=60", {"Follow": False, "Tail": 0, "SinceSeconds": 60}),
        ("follow=true&tailLines=3&sinceSeconds=60", {"Follow": True, "Tail": 3, "SinceSeconds": 60}),
        ("follow=true&sinceTime=2026-01-01T00:00:00Z", {"Follow": True, "SinceTime": "2026-01-01T00:00:00Z"}),
        ("tailLines=3&limitBytes=100&sinceSeconds=60", {"Tail": 3, "SinceSeconds": 60}),
    ],
)
async def test_options_reach_the_edge_together(client: Client, query: str, options: dict[str, Any]) -> None:
    assert await client.ask(f"{LOGS}?{query}") == (200, "hello\n")
    asked = client.world.edge.log_requests[-1]["Opts"]
    assert {name: asked[name] for name in options} == options


async def test_tail_zero(client: Client) -> None:
    assert await client.ask(f"{LOGS}?tailLines=0") == (200, "")
    assert not client.world.edge.log_requests
    await client.ask(f"{LOGS}?tailLines=0&follow=true")
    assert client.world.edge.log_requests[-1]["Opts"]["SinceTime"] > "2026"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("tailLines=abc", 400),
        ("tailLines=1-1", 400),
        ("tailLines=--1", 400),
        ("tailLines=99999999999999999999", 400),
        ("sinceSeconds=1.5", 400),
        ("sinceTime=now", 400),
        ("tailLines=-1", 422),
        ("limitBytes=0", 422),
        ("sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z", 422),
    ],
)
async def test_wrong_options(client: Client, query: str, code: int) -> None:
    """As kubelet: 400 for what cannot be read, 422 for what must not be."""
    status, words = await client.ask(f"{LOGS}?{query}")
    assert status == code
    assert "internal" not in words
    assert words.strip()
    assert not client.world.edge.log_requests


@pytest.mark.parametrize(("edge", "status"), [(400, 400), (404, 400), (502, 500)])
async def test_errors_have_the_edge_s_words(client: Client, edge: int, status: int) -> None:
    client.world.edge.log_status = (edge, b'{"title": "t", "description": "waiting to start: SlurmPending"}')
    got, words = await client.ask(LOGS)
    assert got == status
    assert "waiting to start" in words


async def test_follow_is_flushed_and_freed(client: Client, eventually: Eventually) -> None:
    client.world.edge.log = []
    client.world.edge.hold_log = True
    async with aiohttp.ClientSession() as session:
        headers = {"Authorization": "Bearer admin"}
        response = await asyncio.wait_for(
            session.get(client.base + LOGS + "?follow=true", ssl=client.context, headers=headers), 2
        )
        assert response.status == 200, "the head comes before the first byte"
        await eventually(lambda: client.world.edge.log_open == 1)
        response.close()
        await eventually(lambda: client.world.edge.log_open == 0)


async def test_two_hundred_followers(client: Client, eventually: Eventually) -> None:
    client.world.edge.hold_log = True
    headers = {"Authorization": "Bearer admin"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as session:
        url = client.base + LOGS + "?follow=true"
        responses = await asyncio.gather(*[session.get(url, ssl=client.context) for _ in range(200)])
        lines = await asyncio.gather(*[response.content.readline() for response in responses])
        assert set(lines) == {b"hello\n"}
        for response in responses:
            response.close()
    await eventually(lambda: client.world.edge.log_open == 0)


HEAD = b" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin\r\n"


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
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert head.startswith(b"HTTP/1.1 %d" % code)
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    assert (await reader.readexactly(length)).strip(), "the reason"
    writer.close()
    await eventually(lambda: not client.kubelet.server._connections)
    assert not [record for record in caplog.records if record.exc_info], "no traceback for what a client did"
    assert await client.ask("/healthz", "", "POST") == (200, "ok")


async def test_head_has_no_body(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    assert await client.ask("/healthz", "", "HEAD") == (200, "")
    assert await client.ask("/pods", "admin", "HEAD") == (200, "")
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_handshake_that_never_ends_is_ended(
    world: World, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlink.vk.kubelet.server.HANDSHAKE_SECONDS", 0.2)
    async with world.running() as kubelet:
        for hello in (b"", b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", kubelet.server.port)
            writer.write(hello)
            with suppress(ConnectionError):
                await asyncio.wait_for(reader.read(), 5)
            writer.close()
        assert not kubelet.server._connections
        assert await Client(world, kubelet, "").ask("/healthz", "") == (200, "ok")


@pytest.mark.parametrize("start", [b"GET /", b"GET /healthz HTTP/1.1\r\nHost: "])
async def test_a_request_that_never_comes_is_given_up(
    client: Client, eventually: Eventually, monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    monkeypatch.setattr("interlink.vk.kubelet.connection.IDLE_SECONDS", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", client.kubelet.server.port, ssl=client.context)
    writer.write(start)
    drip = asyncio.create_task(_drip(writer))
    assert await asyncio.wait_for(reader.read(), 3) == b"", "a byte now and then does not hold it open"
    drip.cancel()
    writer.close()
    await eventually(lambda: not client.kubelet.server._connections)


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
    await eventually(lambda: not client.kubelet.server._connections)
    writer.close()


async def test_one_connection_serves_several_requests(client: Client) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.kubelet.server.port, ssl=client.context)
    for _ in range(3):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 2)).startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(2) == b"ok"
    writer.close()


async def test_health_names_a_loop_that_hangs(client: Client) -> None:
    client.kubelet.shared.pulse.watch("stuck", -1.0)
    status, words = await client.ask("/healthz", "")
    assert status == 500
    assert "loop stuck" in words
