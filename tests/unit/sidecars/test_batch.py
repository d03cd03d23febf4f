"""A sidecar's batches: each call is carried out as if it had come alone, and none waits for another."""

import threading
from collections.abc import Iterator
from typing import Any

import falcon.testing
import msgspec
import pytest

from interlink.sidecars.app import build_app
from interlink.sidecars.backend import Busy, Refused
from interlink.sidecars.mock.backend import MockBackend
from interlink.wire.batch import MOST
from interlink.wire.messages import CreateReply, RetrievedPodData
from tests.unit.sidecars.contract import make_pod


class Site(MockBackend):
    """The mock, which refuses pods by their name and may have creations wait for each other."""

    together: threading.Barrier | None = None

    def create(self, request: RetrievedPodData) -> CreateReply:
        if self.together:
            self.together.wait(10)
        name = request.pod.metadata.name
        if name == "refused":
            raise Refused("Invalid account", "AccountUnknown")
        if name == "early":
            raise Busy("too many jobs", "SlurmPending")
        if name == "broken":
            raise RuntimeError("a fault of ours")
        return super().create(request)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture
def client(site: Site) -> falcon.testing.TestClient:
    return falcon.testing.TestClient(build_app(site))


def uid(number: int) -> str:
    return f"00000000-0000-0000-0000-{number:012}"


def create(number: int, name: str = "p") -> dict[str, Any]:
    pod = make_pod(uid(number))
    pod.metadata.name = name
    return {"path": "/create", "session": f"CreatePod#{number}", "body": RetrievedPodData(pod=pod)}


def post(client: falcon.testing.TestClient, *calls: Any) -> falcon.testing.Result:
    return client.simulate_post("/batch", body=msgspec.json.encode({"calls": calls}))


def answers(client: falcon.testing.TestClient, *calls: Any) -> list[dict[str, Any]]:
    reply = post(client, *calls)
    assert reply.status_code == 200, reply.text
    found: list[dict[str, Any]] = reply.json["answers"]
    return found


def test_each_call_is_answered_in_its_place(client: falcon.testing.TestClient) -> None:
    replies = answers(client, *(create(number) for number in range(20)))
    assert [reply["status"] for reply in replies] == [200] * 20
    assert [msgspec.json.decode(reply["body"])["PodUID"] for reply in replies] == [uid(number) for number in range(20)]
    deletion = {"path": "/delete", "body": make_pod(uid(3))}
    update = {"path": "/update", "body": RetrievedPodData(pod=make_pod(uid(4)))}
    unknown = {"path": "/update", "body": RetrievedPodData(pod=make_pod(uid(99)))}
    replies = answers(client, deletion, update, unknown)
    assert [(reply["status"], reply["body"]) for reply in replies[:2]] == [
        (200, "deletion noted"), (200, "update noted")
    ]  # fmt: skip
    assert replies[2]["status"] == 404


def test_each_condition_of_the_site_is_one_calls_answer(
    client: falcon.testing.TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    calls = [create(1), create(2, "refused"), create(3, "early"), create(4, "broken"), create(5)]
    replies = answers(client, *calls)
    assert [reply["status"] for reply in replies] == [200, 422, 429, 500, 200]
    assert msgspec.json.decode(replies[1]["body"]) == {"title": "AccountUnknown", "description": "Invalid account"}
    assert replies[2]["retryAfter"] == "15"
    assert "CreatePod#4" in replies[3]["body"]
    assert "a fault of ours" not in replies[3]["body"]
    assert "a fault of ours" in caplog.text, "the log has the traceback"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "pod"),
        ({"pod": {"metadata": {"uid": "x"}}}, "name"),
        (None, "object"),
        ({"pod": make_pod("no-uuid")}, "UUID"),
    ],
)
def test_a_malformed_call_is_its_own_fault_alone(client: falcon.testing.TestClient, body: Any, words: str) -> None:
    wrong, right = answers(client, {"path": "/create", "body": body}, create(1))
    assert (wrong["status"], right["status"]) == (400, 200)
    assert words in wrong["body"]


def test_no_call_waits_for_another(client: falcon.testing.TestClient, site: Site) -> None:
    site.together = threading.Barrier(MOST)
    replies = answers(client, *(create(number) for number in range(MOST)))
    assert [reply["status"] for reply in replies] == [200] * MOST


def test_a_batch_of_nothing_is_answered_with_nothing(client: falcon.testing.TestClient) -> None:
    assert answers(client) == []


@pytest.mark.parametrize("path", ["/status", "/changes", "/getLogs", "/batch", "create", "", "/create?x=1"])
def test_only_what_changes_a_pod_comes_in_batches(client: falcon.testing.TestClient, path: str) -> None:
    reply = post(client, create(1), {"path": path, "body": []})
    assert reply.status_code == 400
    assert "calls[1].path" in reply.json["description"]
    assert client.simulate_get("/changes").json["statuses"] == [], "nothing of it was carried out"


def test_a_batch_that_is_too_long_is_refused_whole(client: falcon.testing.TestClient) -> None:
    reply = post(client, *(create(number) for number in range(MOST + 1)))
    assert reply.status_code == 400
    assert str(MOST) in reply.json["description"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b'{"calls":3}', b'{"calls":[3]}', b'{"calls":[{"path":"/create"}]}']
)
def test_what_is_no_batch_is_answered_400(client: falcon.testing.TestClient, body: bytes) -> None:
    assert client.simulate_post("/batch", body=body).status_code == 400
