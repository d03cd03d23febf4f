"""Readers of logs: those who leave free their thread and the sidecar's, and they never take all threads."""

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from interlink.api import followers
from interlink.api.app import build_app
from interlink.http.address import Address
from interlink.http.client import HttpClient
from interlink.sidecars.app import build_app as build_sidecar
from interlink.sidecars.mock.backend import MockBackend
from interlink.wire.messages import LogOptions, LogRequest
from tests.unit.serving import served
from tests.unit.sidecars.contract import UID


class QuietSite(MockBackend):
    """A site whose containers say one word and then nothing, until it is told to end."""

    def __init__(self) -> None:
        super().__init__()
        self.readers = 0
        self.over = threading.Event()

    def logs(self, request: LogRequest) -> Iterator[bytes]:
        self.readers += 1
        try:
            yield b"hello\n"
            while not self.over.wait(0.05):
                yield b""
        finally:
            self.readers -= 1


@pytest.fixture
def site() -> Iterator[QuietSite]:
    site = QuietSite()
    yield site
    site.over.set()
    site.close()


@pytest.fixture
def api(site: QuietSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Address]:
    monkeypatch.setattr(followers, "LOOK_EVERY", 0.05)
    with (
        served(build_sidecar(site), tmp_path / "sidecar.sock") as sidecar,
        served(build_app(HttpClient(sidecar), threads=4), tmp_path / "api.sock") as address,
    ):
        yield address
        site.over.set()
        wait_for(lambda: site.readers == 0)


class Reader(http.client.HTTPConnection):
    """A client that follows a log and can leave."""

    def __init__(self, address: Address) -> None:
        super().__init__("localhost")
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(address.path))
        request = LogRequest(Namespace="ns", PodUID=UID, PodName="p", ContainerName="c", Opts=LogOptions(Follow=True))
        self.request("GET", "/getLogs", msgspec.json.encode(request))
        self.answer = self.getresponse()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_readers_who_leave_a_quiet_log_free_everything_they_held(api: Address, site: QuietSite) -> None:
    for _ in range(5):
        readers = [Reader(api) for _ in range(3)]
        assert [reader.answer.read1() for reader in readers] == [b"hello\n"] * 3
        for reader in readers:
            reader.answer.close()
            reader.close()
        wait_for(lambda: site.readers == 0)


def test_readers_never_take_the_threads_that_pods_need(api: Address, site: QuietSite) -> None:
    readers = [Reader(api) for _ in range(4)]
    assert sorted(reader.answer.status for reader in readers) == [200, 200, 200, 429]
    refused = next(reader for reader in readers if reader.answer.status == 429)
    assert b"raise RequestThreads" in refused.answer.read()
    assert HttpClient(api).request("GET", "/healthz").status == 200
    for reader in readers:
        reader.answer.close()
        reader.close()


def test_a_log_ends_for_its_reader_when_the_container_ends(api: Address, site: QuietSite) -> None:
    reader = Reader(api)
    assert reader.answer.read1() == b"hello\n"
    site.over.set()
    assert reader.answer.read() == b""
    reader.close()
