"""The InterLink API in front of a real sidecar on a unix socket: passed on, checked, and clear when it is away."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import falcon.testing
import msgspec
import pytest

from interlink.api.app import build_app
from interlink.api.auth import TokenFile
from interlink.http.address import Address
from interlink.http.client import HttpClient
from interlink.sidecars.app import build_app as build_sidecar
from interlink.sidecars.mock.backend import MockBackend
from tests.unit.serving import served
from tests.unit.sidecars.contract import OTHER, UID, make_pod


@pytest.fixture
def address(tmp_path: Path) -> Iterator[Address]:
    backend = MockBackend()
    with served(build_sidecar(backend), tmp_path / "s.sock") as address:
        yield address
        backend.close()


@pytest.fixture
def client(address: Address) -> falcon.testing.TestClient:
    return falcon.testing.TestClient(build_app(HttpClient(address), 8))


def send(client: falcon.testing.TestClient, path: str, message: Any, **options: Any) -> falcon.testing.Result:
    return client.simulate_post(path, body=msgspec.json.encode(message), **options)


def test_a_pods_life_passes_through(client: falcon.testing.TestClient) -> None:
    assert send(client, "/create", {"pod": make_pod(), "configmaps": None}).json["PodUID"] == UID
    everything = client.simulate_get("/changes").json
    assert [item["UID"] for item in everything["statuses"]] == [UID]
    log = {"Namespace": "ns", "PodUID": UID, "PodName": "p", "ContainerName": "first"}
    assert send(client, "/getLogs", log).text.startswith("this is the log of first")
    assert send(client, "/delete", make_pod()).status_code == 200
    news = client.simulate_get("/changes", params={"after": everything["cursor"], "wait": 5}).json
    assert news["statuses"][0]["ended"] is True


def test_an_update_passes_through(client: falcon.testing.TestClient) -> None:
    assert send(client, "/update", {"pod": make_pod()}).status_code == 404
    send(client, "/create", {"pod": make_pod()})
    assert send(client, "/update", {"pod": make_pod(), "configmaps": None}).text == "update noted"


def test_an_empty_status_request_is_answered_from_what_passed_through(client: falcon.testing.TestClient) -> None:
    assert client.simulate_get("/status", body=b"[]").json is None
    send(client, "/create", {"pod": make_pod()})
    assert [item["UID"] for item in send(client, "/status", [make_pod(), make_pod(OTHER)]).json] == [UID]
    assert [item["UID"] for item in client.simulate_get("/status", body=b"[]").json] == [UID]


def test_the_plugins_word_about_itself_comes_through_the_ping(client: falcon.testing.TestClient) -> None:
    for method in ("GET", "POST"):
        assert client.simulate_request(method, "/pinglink").json["extensions"] == ["changes", "update", "batch"]


def test_a_ping_about_parts_of_the_site_is_passed_on(client: falcon.testing.TestClient) -> None:
    reply = client.simulate_post("/pinglink", query_string="partition=gpu&partition=cpu&flavor=large&other=x").json
    assert (sorted(reply["partitions"]), list(reply["flavors"])) == (["cpu", "gpu"], ["large"])


def test_the_plugins_refusals_keep_their_status_and_words(client: falcon.testing.TestClient) -> None:
    send(client, "/delete", make_pod())
    answer = send(client, "/create", {"pod": make_pod()})
    assert answer.status_code == 409
    assert "deleted" in answer.json["description"]
    assert client.simulate_get("/changes", params={"after": "other:1"}).status_code == 410


def test_the_callers_session_header_comes_back_and_is_made_where_it_is_missing(
    client: falcon.testing.TestClient,
) -> None:
    given = client.simulate_post("/pinglink", headers={"InterLink-Http-Session": "PingInterLink#7"})
    assert given.headers["InterLink-Http-Session"] == "PingInterLink#7"
    assert client.simulate_post("/pinglink").headers["InterLink-Http-Session"].startswith("Request-")


def test_a_sidecar_that_is_away_is_a_502_that_names_it(tmp_path: Path) -> None:
    client = falcon.testing.TestClient(build_app(HttpClient(Address.parse(f"unix://{tmp_path}/none.sock", 0)), 8))
    for path, message in (
        ("/create", {"pod": make_pod()}),
        ("/delete", make_pod()),
        ("/status", [make_pod()]),
        ("/getLogs", {"Namespace": "ns", "PodUID": UID, "PodName": "p", "ContainerName": "c"}),
        ("/pinglink", None),
        ("/changes", None),
    ):
        answer = send(client, path, message)
        assert answer.status_code == 502, path
        assert "none.sock" in answer.json["description"]
    assert client.simulate_get("/healthz").text == "ok"


@pytest.mark.parametrize("path", ["/create", "/delete", "/status", "/getLogs", "/updateCache"])
@pytest.mark.parametrize("body", [b"", b"{", b"3", b"\xff", b'{"pod":3}', b'{"metadata":[]}'])
def test_whatever_is_no_message_is_answered_400(client: falcon.testing.TestClient, path: str, body: bytes) -> None:
    answer = client.simulate_post(path, body=body)
    assert answer.status_code == 400
    assert answer.json["description"]


@pytest.fixture
def guarded(address: Address, tmp_path: Path) -> falcon.testing.TestClient:
    (tmp_path / "tokens").write_text("# the cluster's\none\n\ntwo\n")
    return falcon.testing.TestClient(build_app(HttpClient(address), 8, TokenFile(tmp_path / "tokens")))


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401), ("", 401), ("Basic one", 401), ("Bearer", 401), ("Bearer ", 401),
        ("Bearer wrong", 403), ("Bearer # the cluster's", 403), ("Bearer on", 403),
        ("Bearer one", 200), ("bearer two", 200),
    ],
)  # fmt: skip
def test_only_holders_of_a_token_come_in(guarded: falcon.testing.TestClient, header: str | None, status: int) -> None:
    headers = {} if header is None else {"Authorization": header}
    assert guarded.simulate_post("/pinglink", headers=headers).status_code == status
    assert guarded.simulate_get("/healthz").status_code == 200


def test_a_replaced_token_file_counts_at_once(guarded: falcon.testing.TestClient, tmp_path: Path) -> None:
    (tmp_path / "new").write_text("three\n")
    (tmp_path / "new").replace(tmp_path / "tokens")
    assert guarded.simulate_post("/pinglink", headers={"Authorization": "Bearer one"}).status_code == 403
    assert guarded.simulate_post("/pinglink", headers={"Authorization": "Bearer three"}).status_code == 200


def test_a_missing_token_file_lets_nobody_in(guarded: falcon.testing.TestClient, tmp_path: Path) -> None:
    (tmp_path / "tokens").unlink()
    assert guarded.simulate_post("/pinglink", headers={"Authorization": "Bearer one"}).status_code == 503


def test_a_deleted_pods_last_status_is_not_kept(client: falcon.testing.TestClient) -> None:
    send(client, "/create", {"pod": make_pod()})
    send(client, "/delete", make_pod())
    assert client.simulate_get("/changes").json["statuses"][0]["ended"] is True
    assert client.simulate_get("/status", body=b"[]").json is None
