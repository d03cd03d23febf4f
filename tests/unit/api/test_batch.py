"""Batches through the InterLink API: one request to the sidecar, each call translated and answered as it is alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import falcon
import falcon.testing
import msgspec
import pytest

from interlink.api.app import build_app
from interlink.http.address import Address
from interlink.http.app import Route, new_app
from interlink.http.client import HttpClient
from interlink.sidecars.app import build_app as build_sidecar
from interlink.sidecars.mock.backend import MockBackend
from interlink.wire.messages import CreateReply, RetrievedPodData
from tests.unit.serving import served
from tests.unit.sidecars.contract import OTHER, UID, make_pod


class Site(MockBackend):
    """The mock, which keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[RetrievedPodData] = []

    def create(self, request: RetrievedPodData) -> CreateReply:
        self.taken.append(request)
        return super().create(request)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture
def client(site: Site, tmp_path: Path) -> Iterator[falcon.testing.TestClient]:
    with served(build_sidecar(site), tmp_path / "s.sock") as address:
        yield falcon.testing.TestClient(build_app(HttpClient(address), 8))


def create(uid: str, **more: Any) -> dict[str, Any]:
    return {"path": "/create", "session": "CreatePod#1", "body": {"pod": make_pod(uid), **more}}


def post(client: falcon.testing.TestClient, *calls: Any) -> falcon.testing.Result:
    return client.simulate_post("/batch", body=msgspec.json.encode({"calls": calls}))


def statuses(reply: falcon.testing.Result) -> list[int]:
    assert reply.status_code == 200, reply.text
    return [answer["status"] for answer in reply.json["answers"]]


def test_a_batch_is_translated_and_answered_call_by_call(client: falcon.testing.TestClient, site: Site) -> None:
    assert statuses(post(client, create(UID), create(OTHER), create(UID))) == [200, 200, 200]
    assert sorted(taken.pod.uid for taken in site.taken) == sorted([UID, UID, OTHER])
    assert all(taken.container and taken.container[0].name == "first" for taken in site.taken), "sorted by container"
    assert statuses(post(client, {"path": "/delete", "body": make_pod()})) == [200]


def test_a_malformed_call_reaches_no_sidecar_and_the_others_do(client: falcon.testing.TestClient, site: Site) -> None:
    reply = post(client, {"path": "/create", "body": {"pod": 3}}, create(UID), {"path": "/delete", "body": []})
    assert statuses(reply) == [400, 200, 400]
    assert "malformed request" in reply.json["answers"][0]["body"]
    assert [taken.pod.uid for taken in site.taken] == [UID]


def test_a_batch_of_malformed_calls_asks_nobody(tmp_path: Path) -> None:
    client = falcon.testing.TestClient(build_app(HttpClient(Address.parse(f"unix://{tmp_path}/none.sock", 0)), 8))
    assert statuses(post(client, {"path": "/create", "body": {}}, {"path": "/delete", "body": 3})) == [400, 400]


def test_a_pod_that_was_deleted_in_a_batch_is_forgotten(client: falcon.testing.TestClient) -> None:
    post(client, create(UID), create(OTHER))
    client.simulate_get("/changes")
    assert statuses(post(client, {"path": "/delete", "body": make_pod()})) == [200]
    assert [item["UID"] for item in client.simulate_get("/status", body=b"[]").json] == [OTHER]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"calls":[{"path":"/status","body":[]}]}'])
def test_what_is_no_batch_is_answered_400(client: falcon.testing.TestClient, body: bytes) -> None:
    assert client.simulate_post("/batch", body=body).status_code == 400


def test_a_sidecar_that_is_away_is_a_502_for_the_whole_batch(tmp_path: Path) -> None:
    client = falcon.testing.TestClient(build_app(HttpClient(Address.parse(f"unix://{tmp_path}/none.sock", 0)), 8))
    reply = post(client, create(UID))
    assert reply.status_code == 502
    assert "none.sock" in reply.json["description"]


@pytest.mark.parametrize("said", [b"hello", b"{}", b'{"answers":[]}', b'{"answers":[{"status":"ok"}]}'])
def test_an_answer_that_fits_no_batch_is_a_502(said: bytes, tmp_path: Path) -> None:
    def answer(_request: falcon.Request, response: falcon.Response) -> None:
        response.data = said

    app = new_app()
    app.add_route("/batch", Route(answer))
    with served(app, tmp_path / "s.sock") as address:
        reply = post(falcon.testing.TestClient(build_app(HttpClient(address), 8)), create(UID))
    assert reply.status_code == 502
    assert reply.json["title"] == "the sidecar's answer is malformed"


def test_a_plugin_without_the_route_has_its_404_passed_on(tmp_path: Path) -> None:
    with served(new_app(), tmp_path / "s.sock") as address:
        client = falcon.testing.TestClient(build_app(HttpClient(address), 8))
        assert post(client, create(UID)).status_code == 404
