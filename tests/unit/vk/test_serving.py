"""Which certificate the kubelet port shows, and when it becomes another one (point 19)."""

import asyncio
import base64
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.fake import FakeApiServer
from interlink.vk.events.recorder import Events
from interlink.vk.kubelet import serving as module
from interlink.vk.kubelet.certificate import CertificateError, Credential, credential, self_signed, signing_request
from interlink.vk.kubelet.certificate import new_key as fresh_key
from interlink.vk.kubelet.serving import Files, Serving
from interlink.vk.kubelet.signing import FOLDER, Signing
from tests.unit.vk.authority import Authority

Eventually = Callable[..., Any]
World = Any  # of conftest.py
NODE, ADDRESS = "vk-test", "10.1.2.3"
DAY = 86400.0


class Cluster:
    """A cluster in which somebody approves and something signs, when the test says so."""

    def __init__(self, api: FakeApiServer, client: ApiServer) -> None:
        self.api = api
        self.client = client
        self.authority = Authority()
        self.now = time.time()
        self.events = Events(client, NODE)

    def serving(self, *, approve: bool = False, node: str = NODE) -> Serving:
        signing = Signing(self.client, self.events, node, ADDRESS, approve=approve)
        return Serving(node, ADDRESS, lambda: self.now, signing=signing)

    def requests(self) -> list[dict[str, Any]]:
        return [value for path, value in self.api.objects.items() if path.startswith(FOLDER)]

    def request(self) -> dict[str, Any]:
        (found,) = self.requests()
        return found

    @property
    def asked(self) -> int:
        """How many requests were made."""
        return self.api.count("POST", FOLDER)

    def conclude(self, kind: str) -> None:
        self.requests()[-1].setdefault("status", {})["conditions"] = [{"type": kind, "message": "so it is"}]

    def sign(self, days: float = 365) -> None:
        request = self.requests()[-1]
        begins = datetime.fromtimestamp(self.now - 300, UTC)
        request.setdefault("status", {})["certificate"] = self.authority.sign(request, begins, days)

    async def pass_time(self, serving: Serving, seconds: float) -> None:
        self.now += seconds
        await serving.look()


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    api = FakeApiServer()
    async with api.serve(), ApiServer(api.access) as client:
        yield Cluster(api, client)


def leaf(shown: Credential) -> x509.Certificate:
    return x509.load_pem_x509_certificate(shown.chain)


def words_of(subject: x509.Name) -> list[tuple[Any, Any]]:
    return [(fact.oid, fact.value) for fact in subject]


async def test_the_request_is_what_the_signer_takes(cluster: Cluster) -> None:
    await cluster.serving().look()
    spec = cluster.request()["spec"]
    assert spec["signerName"] == "kubernetes.io/kubelet-serving"
    assert sorted(spec["usages"]) == ["digital signature", "server auth"]
    asked = x509.load_pem_x509_csr(base64.b64decode(spec["request"]))
    assert words_of(asked.subject) == [
        (NameOID.ORGANIZATION_NAME, "system:nodes"),
        (NameOID.COMMON_NAME, f"system:node:{NODE}"),
    ]
    names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [NODE]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == [ADDRESS]
    assert len(list(names)) == 2
    assert asked.is_signature_valid
    assert b"PRIVATE" not in base64.b64decode(spec["request"])


async def test_it_serves_its_own_until_the_cluster_has_signed(cluster: Cluster) -> None:
    serving = cluster.serving()
    changes = []
    serving.on_change = lambda: changes.append(serving.shown.source)
    for _ in range(5):
        await cluster.pass_time(serving, 2)
    assert serving.shown.source == "self-signed"
    cluster.conclude("Approved")
    await cluster.pass_time(serving, 2)
    assert serving.shown.source == "self-signed", "approved is not signed"
    cluster.sign()
    await cluster.pass_time(serving, 2)
    assert changes == ["signed"]
    assert leaf(serving.shown).issuer == cluster.authority.name
    assert len(cluster.requests()) == 1


async def test_an_unapproved_request_is_told_of_once_and_taken_late(cluster: Cluster) -> None:
    serving = cluster.serving()
    await serving.look()
    for _ in range(100):
        await cluster.pass_time(serving, 61)
    assert serving.shown.source == "self-signed"
    name = cluster.request()["metadata"]["name"]
    assert len(cluster.events._waiting) == 1
    assert f"kubectl certificate approve {name}" in cluster.events._waiting.first().message
    cluster.conclude("Approved")
    cluster.sign()
    await cluster.pass_time(serving, 61)
    assert serving.shown.source == "signed"


async def test_without_a_signer_the_words_say_so(cluster: Cluster) -> None:
    serving = cluster.serving(approve=True)
    await serving.look()
    for _ in range(20):
        await cluster.pass_time(serving, 61)
    assert cluster.request()["status"]["conditions"][0]["type"] == "Approved"
    assert "nobody signs it" in cluster.events._waiting.first().message
    assert serving.shown.source == "self-signed"


async def test_a_request_that_the_cluster_removed_is_made_anew(cluster: Cluster) -> None:
    serving = cluster.serving()
    await serving.look()
    first = cluster.request()
    cluster.api.remove(f"{FOLDER}/{first['metadata']['name']}")
    await cluster.pass_time(serving, 2)
    await cluster.pass_time(serving, 2)
    assert cluster.request()["spec"]["request"] != first["spec"]["request"]


@pytest.mark.parametrize("kind", ["Denied", "Failed"])
async def test_a_refused_request_is_not_repeated_within_the_hour(cluster: Cluster, kind: str) -> None:
    serving = cluster.serving()
    await serving.look()
    cluster.conclude(kind)
    for _ in range(50):
        await cluster.pass_time(serving, 60)
    assert cluster.asked == 1
    assert "so it is" in cluster.events._waiting.first().message
    for _ in range(15):
        await cluster.pass_time(serving, 60)
    assert cluster.asked == 2
    assert "conditions" not in cluster.request().get("status", {})


async def test_it_is_renewed_with_a_new_key_before_it_ends(cluster: Cluster) -> None:
    serving = cluster.serving(approve=True)
    await serving.look()
    cluster.sign()
    await cluster.pass_time(serving, 2)
    first = serving.shown
    await cluster.pass_time(serving, 365 * DAY * 0.69)
    assert cluster.asked == 1
    await cluster.pass_time(serving, 365 * DAY * 0.22)
    assert cluster.asked == 2
    assert serving.shown is first, "the old one serves until the new one is there"
    cluster.sign()
    await cluster.pass_time(serving, 2)
    assert serving.shown.source == "signed"
    assert leaf(serving.shown).public_key() != leaf(first).public_key()
    assert serving.shown.not_after > first.not_after


async def test_one_that_ends_unrenewed_gives_way_to_its_own(cluster: Cluster) -> None:
    serving = cluster.serving(approve=True)
    await serving.look()
    cluster.sign(days=10)
    await cluster.pass_time(serving, 2)
    for _ in range(12):
        await cluster.pass_time(serving, DAY)
    assert serving.shown.source == "self-signed"
    assert serving.shown.not_before < cluster.now < serving.shown.not_after
    cluster.sign()
    await cluster.pass_time(serving, 61)
    assert serving.shown.source == "signed"


async def test_its_own_is_made_anew_before_it_ends(cluster: Cluster) -> None:
    serving = Serving(NODE, ADDRESS, lambda: cluster.now)
    first = serving.shown
    for _ in range(800):
        await cluster.pass_time(serving, DAY)
        assert serving.shown.not_before < cluster.now < serving.shown.not_after
    assert serving.shown is not first


@pytest.mark.parametrize("status", [403, 404, 422, 500, 503, 429])
async def test_whatever_the_apiserver_says_it_serves(cluster: Cluster, status: int) -> None:
    cluster.api.fail(f"POST {FOLDER}", status, 3)
    serving = cluster.serving()
    for _ in range(4):
        await cluster.pass_time(serving, 3700)
        assert serving.shown.source == "self-signed"
    cluster.conclude("Approved")
    cluster.sign()
    await cluster.pass_time(serving, 61)
    assert serving.shown.source == "signed"


async def test_a_certificate_of_another_key_is_not_shown(cluster: Cluster) -> None:
    serving = cluster.serving()
    await serving.look()
    foreign = cluster.authority.pair(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")]))[1]
    for rubbish in (base64.b64encode(foreign).decode(), "no base64!", base64.b64encode(b"no PEM").decode()):
        cluster.requests()[-1]["status"] = {"certificate": rubbish}
        await cluster.pass_time(serving, 2)
        assert serving.shown.source == "self-signed"
        await cluster.pass_time(serving, 3601)
    assert cluster.asked == 4


async def test_each_start_takes_the_place_of_the_earlier_ones_request(cluster: Cluster) -> None:
    for _ in range(5):
        serving = cluster.serving()
        await serving.look()
        assert cluster.request()["metadata"]["name"] == NODE
    cluster.conclude("Approved")
    cluster.sign()
    await cluster.pass_time(serving, 2)
    assert serving.shown.source == "signed", "the last one's key is at hand"


async def test_of_two_processes_that_are_the_same_node_none_approves_or_takes_the_others(cluster: Cluster) -> None:
    first, second = cluster.serving(approve=True), cluster.serving()
    await first.look()
    await second.look()
    cluster.sign()
    await cluster.pass_time(first, 2)
    assert first.shown.source == "self-signed"
    assert "conditions" not in cluster.request()["status"]
    asked = cluster.asked
    await cluster.pass_time(first, 2)
    assert cluster.asked == asked, "they do not push each other out again and again"


@pytest.mark.parametrize(
    "changes", [{"signerName": "kubernetes.io/kube-apiserver-client"}, {"request": "no base64!"}, {"request": "bm8="}]
)
async def test_what_is_for_somebody_else_is_left_alone(cluster: Cluster, changes: dict[str, str]) -> None:
    await cluster.serving().look()
    cluster.request()["spec"].update(changes)
    serving = cluster.serving()
    await serving.look()
    assert cluster.asked == 1
    assert "is for somebody else" in cluster.events._waiting.first().message
    cluster.api.remove(f"{FOLDER}/{NODE}")
    await cluster.pass_time(serving, 3601)
    assert cluster.asked == 2


async def test_without_the_right_to_remove_them_requests_pile_up_until_the_cluster_removes_them(
    cluster: Cluster,
) -> None:
    await cluster.serving().look()
    cluster.api.fail(f"DELETE {FOLDER}", 403)
    serving = cluster.serving()
    await serving.look()
    names = [request["metadata"]["name"] for request in cluster.requests()]
    assert names[0] == NODE
    assert names[1].startswith(f"{NODE}-")
    cluster.conclude("Approved")
    cluster.sign()
    await cluster.pass_time(serving, 2)
    assert serving.shown.source == "signed"


async def test_who_may_not_approve_itself_says_so_and_waits_for_others(cluster: Cluster) -> None:
    serving = cluster.serving(approve=True)
    cluster.api.fail(f"PUT {FOLDER}", 403, 5)
    for _ in range(4):
        await cluster.pass_time(serving, 2)
    assert "may not approve" in cluster.events._waiting.first().message
    cluster.conclude("Approved")
    cluster.sign()
    await cluster.pass_time(serving, 2)
    assert serving.shown.source == "signed"


async def test_a_clock_that_is_put_back_holds_nothing_up(cluster: Cluster) -> None:
    serving = cluster.serving()
    await serving.look()
    await cluster.pass_time(serving, -30 * DAY)
    cluster.conclude("Approved")
    cluster.sign()
    await cluster.pass_time(serving, 2)
    assert serving.shown.source == "signed"


async def test_a_node_with_too_long_a_name_serves_its_own(cluster: Cluster) -> None:
    serving = cluster.serving(node="n" * 60)
    await serving.look()
    assert not cluster.requests()
    assert "longer than" in cluster.events._waiting.first().message
    with pytest.raises(CertificateError):
        signing_request(fresh_key(), "n" * 53, ADDRESS)
    signing_request(fresh_key(), "n" * 52, ADDRESS)


def write(folder: Path, pair: tuple[bytes, bytes]) -> None:
    """Replace both files as an administrator's tool does."""
    for name, content in zip(("tls.key", "tls.crt"), pair, strict=True):
        (folder / "new").write_bytes(content)
        (folder / "new").rename(folder / name)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.setattr(module, "FILES_SECONDS", 0.0)
    return Files(tmp_path / "tls.crt", tmp_path / "tls.key")


async def test_files_come_first_and_are_followed(tmp_path: Path, files: Files, cluster: Cluster) -> None:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mine")])
    first = cluster.authority.pair(subject)
    write(tmp_path, first)
    signing = Signing(cluster.client, cluster.events, NODE, ADDRESS, approve=False)
    serving = Serving(NODE, ADDRESS, lambda: cluster.now, files=files, signing=signing)
    assert (serving.shown.source, serving.shown.chain) == ("files", first[1])
    await serving.look()
    assert not cluster.requests(), "nothing is asked of the cluster"
    second = cluster.authority.pair(subject)
    (tmp_path / "tls.key").write_bytes(second[0])
    await serving.look()
    assert serving.shown.chain == first[1], "half of a pair is none"
    (tmp_path / "tls.crt").write_bytes(second[1])
    await serving.look()
    assert serving.shown.chain == second[1]


async def test_files_that_are_no_pair_change_nothing(
    tmp_path: Path, files: Files, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    serving = Serving(NODE, ADDRESS, lambda: cluster.now, files=files)
    assert serving.shown.source == "self-signed"
    key, chain = cluster.authority.pair(cluster.authority.name)
    locked = serialization.load_pem_private_key(key, None).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    )
    for pair in ((b"", b""), (key, b"x"), (b"\x00", chain), (locked, chain), (chain, key)):
        write(tmp_path, pair)
        await serving.look()
        await serving.look()
        assert serving.shown.source == "self-signed"
    assert "PRIVATE" not in caplog.text
    assert key.decode()[40:80] not in caplog.text
    write(tmp_path, (key, chain))
    await serving.look()
    assert serving.shown.source == "files"


def test_no_key_touches_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real = os.open

    def watched(path: Any, *rest: Any, **more: Any) -> int:
        opened.append(str(path))
        return real(path, *rest, **more)

    monkeypatch.setattr(os, "open", watched)
    monkeypatch.chdir(tmp_path)
    shown = self_signed(NODE, ADDRESS)
    assert credential(shown.key, shown.chain, "files") == credential(shown.key, shown.chain, "files")
    assert not opened
    assert not list(tmp_path.iterdir())


async def test_the_port_shows_the_new_one_to_the_next_client(world: World, eventually: Eventually) -> None:
    authority = Authority()
    async with world.running() as kubelet:
        found = await eventually(lambda: [path for path in world.api.objects if path.startswith(FOLDER)], 10)
        request = world.api.objects[found[0]]
        old = await peer(kubelet.server.port, ssl._create_unverified_context())
        world.api.put(found[0], {**request, "status": {"certificate": authority.sign(request, datetime.now(UTC), 100)}})
        await eventually(lambda: kubelet.server.serving.shown.source == "signed", 10)
        trusting = ssl.create_default_context(cadata=authority.pem)
        trusting.verify_flags &= ~ssl.VERIFY_X509_STRICT
        new = await peer(kubelet.server.port, trusting)
        assert new != old


async def peer(port: int, context: ssl.SSLContext) -> bytes:
    """Return the certificate that the port shows; it is verified by the address where the context does that."""

    def ask() -> bytes:
        plain = socket.create_connection(("127.0.0.1", port))
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
            return secure.getpeercert(binary_form=True) or b""

    return await asyncio.to_thread(ask)
