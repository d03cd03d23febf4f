"""The HTTP side of every sidecar: messages in and out, and each condition of the site as its status."""

from collections.abc import Iterator
from typing import Any

import falcon.testing
import msgspec
import pytest

from interlink.sidecars.app import build_app
from interlink.sidecars.backend import Busy, Deleted, NotStarted, Refused, Unavailable
from interlink.sidecars.mock.backend import MockBackend
from interlink.wire.messages import CreateReply, LogRequest, RetrievedPodData
from tests.unit.sidecars.contract import OTHER, UID, make_pod


class Site(MockBackend):
    """The mock, made to fail as a site does."""

    failure: Exception | None = None

    def create(self, request: RetrievedPodData) -> CreateReply:
        if self.failure:
            raise self.failure
        return super().create(request)

    def logs(self, request: LogRequest) -> Iterator[bytes]:
        if self.failure:
            raise self.failure
        yield from super().logs(request)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture
def client(site: Site) -> falcon.testing.TestClient:
    return falcon.testing.TestClient(build_app(site))


def post(client: falcon.testing.TestClient, path: str, message: Any, method: str = "POST") -> falcon.testing.Result:
    return client.simulate_request(method, path, body=msgspec.json.encode(message))


LOG_REQUEST = {"Namespace": "ns", "PodUID": UID, "PodName": "p", "ContainerName": "first"}


def test_a_pod_is_created_followed_and_deleted(client: falcon.testing.TestClient) -> None:
    assert post(client, "/create", RetrievedPodData(pod=make_pod())).json["PodUID"] == UID
    assert [item["UID"] for item in post(client, "/status", [make_pod(), make_pod(OTHER)], "GET").json] == [UID]
    everything = client.simulate_get("/changes").json
    assert [item["UID"] for item in everything["statuses"]] == [UID]
    assert post(client, "/getLogs", LOG_REQUEST, "GET").text.startswith("this is the log of first")
    assert post(client, "/delete", make_pod(), "DELETE").status_code == 200
    news = client.simulate_get("/changes", params={"after": everything["cursor"], "wait": 5}).json
    assert [item["ended"] for item in news["statuses"]] == [True]


def test_new_contents_are_taken_for_a_pod_that_runs(client: falcon.testing.TestClient) -> None:
    assert post(client, "/update", RetrievedPodData(pod=make_pod())).status_code == 404
    post(client, "/create", RetrievedPodData(pod=make_pod()))
    assert post(client, "/update", RetrievedPodData(pod=make_pod())).status_code == 200


def test_an_empty_status_request_is_a_ping(client: falcon.testing.TestClient) -> None:
    for body in (b"[]", b"null"):
        assert client.simulate_get("/status", body=body).json["extensions"] == ["changes", "update", "batch"]


def test_a_ping_may_ask_about_parts_of_the_site(client: falcon.testing.TestClient) -> None:
    asked = "partition=gpu&partition=a%20b&partition=--all&flavor=large"
    reply = client.simulate_get("/status", body=b"[]", query_string=asked).json
    assert (list(reply["partitions"]), list(reply["flavors"])) == (["gpu"], ["large"])


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (Refused("the words"), 422),
        (Unavailable("the words"), 503),
        (Busy("the words", "SlurmPending"), 429),
        (Deleted("the words"), 409),
    ],
)
def test_each_condition_of_the_site_has_its_status_and_keeps_its_words(
    client: falcon.testing.TestClient, site: Site, failure: Exception, status: int
) -> None:
    site.failure = failure
    answer = post(client, "/create", RetrievedPodData(pod=make_pod()))
    assert answer.status_code == status
    assert answer.json["description"] == "the words"
    assert (status in (429, 503)) == ("Retry-After" in answer.headers)


def test_a_log_that_has_not_begun_is_an_error_and_not_an_empty_log(
    client: falcon.testing.TestClient, site: Site
) -> None:
    site.failure = NotStarted('container "first" in pod "p" is waiting to start')
    answer = post(client, "/getLogs", LOG_REQUEST, "GET")
    assert answer.status_code == 400
    assert "waiting to start" in answer.json["description"]


def test_a_cursor_of_another_run_is_gone(client: falcon.testing.TestClient) -> None:
    assert client.simulate_get("/changes", params={"after": "other:1"}).status_code == 410


def test_an_unforeseen_fault_is_a_500_without_its_details(client: falcon.testing.TestClient, site: Site) -> None:
    site.failure = RuntimeError("a secret")
    answer = post(client, "/create", RetrievedPodData(pod=make_pod()))
    assert answer.status_code == 500
    assert "secret" not in answer.text


BAD_NAMES: list[dict[str, Any]] = [
    {"name": "../p", "uid": UID},
    {"name": "p", "uid": "../../etc"},
    {"name": "p", "uid": UID.upper()[:-1] + "F"},
    {"name": "p", "uid": UID + "\n"},
    {"name": "p", "uid": UID, "namespace": "a/b"},
    {"name": "p" * 254, "uid": UID},
    {"name": 3, "uid": UID},
    {"uid": UID},
]


@pytest.mark.parametrize("metadata", BAD_NAMES)
def test_names_that_kubernetes_would_not_give_are_malformed(
    client: falcon.testing.TestClient, metadata: dict[str, Any]
) -> None:
    pod = {"metadata": metadata, "spec": {"containers": []}}
    for path, message in (("/create", {"pod": pod}), ("/delete", pod), ("/status", [pod])):
        answer = post(client, path, message)
        assert answer.status_code == 400, path
        assert answer.json["description"]


@pytest.mark.parametrize(
    "change",
    [
        {"Namespace": ".."},
        {"ContainerName": "../x"},
        {"PodUID": ".."},
        {"Opts": {"Tail": 1, "Bytes": 1}},
        {"Opts": {"Tail": 1, "LimitBytes": 1}},
        {"Opts": {"SinceTime": "yesterday"}},
        {"Opts": {"Tail": -1}},
        {"Opts": {"Stream": "both"}},
        {"Opts": {"Stream": "Stdout", "Tail": 1}},
        {"Opts": {"SinceSeconds": 10**15}},
        {"Opts": {"SinceSeconds": -(10**15)}},
        {"Opts": {"SinceSeconds": 1, "SinceTime": "2026-01-01T00:00:00Z"}},
    ],
)
def test_log_requests_that_the_protocol_forbids_are_malformed(
    client: falcon.testing.TestClient, change: dict[str, Any]
) -> None:
    post(client, "/create", RetrievedPodData(pod=make_pod()))
    assert post(client, "/getLogs", LOG_REQUEST | change, "GET").status_code == 400


@pytest.mark.parametrize("path", ["/create", "/update", "/delete", "/status", "/getLogs"])
@pytest.mark.parametrize("body", [b"", b"{", b"3", b'"x"', b"\xff", b"[" * 100_000, b'{"pod":{"metadata":null}}'])
def test_whatever_is_no_message_is_answered_400(client: falcon.testing.TestClient, path: str, body: bytes) -> None:
    answer = client.simulate_post(path, body=body)
    assert answer.status_code == 400
    assert answer.json["title"] == "malformed request"


def test_a_container_named_twice_is_malformed(client: falcon.testing.TestClient) -> None:
    pod = make_pod()
    pod.spec.containers[1].name = "first"
    assert post(client, "/create", RetrievedPodData(pod=pod)).status_code == 400
