"""Calls that come close together go as one request, and nobody who made one can tell."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from interlink.vk.edge import batcher
from interlink.vk.edge.client import EdgeClient
from interlink.vk.edge.errors import AwayError, BusyError, RefusedError
from interlink.vk.edge.fake import FakeEdge
from interlink.vk.edge.transport import Transport
from interlink.vk.leader.fence import Fence
from interlink.vk.tokenfile import TokenFile
from interlink.wire.batch import MOST
from interlink.wire.messages import CLUSTER_ANNOTATION

Json = dict[str, Any]


@pytest.fixture
async def edge() -> AsyncIterator[FakeEdge]:
    async with FakeEdge().serve() as fake:
        yield fake


@pytest.fixture
def offered() -> list[bool]:
    """Whether the plugin takes batches, as its newest ping reply says."""
    return [True]


@pytest.fixture
async def client(edge: FakeEdge, offered: list[bool], fence: Fence) -> AsyncIterator[EdgeClient]:
    client = EdgeClient(Transport("http://127.0.0.1", edge.port, TokenFile(None), fence), lambda: offered[-1])
    yield client
    await client.close()


@pytest.fixture
def fence() -> Fence:
    fence = Fence()
    fence.open_until(float("inf"))
    return fence


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the second call wait for the third."""
    monkeypatch.setattr(batcher, "AT_ONCE", 1.0)


def request(number: int, **more: Any) -> Json:
    metadata = {
        "uid": f"uid-{number}", "name": f"p{number}", "namespace": "ns", "annotations": {CLUSTER_ANNOTATION: "c"},
    }  # fmt: skip
    return {"pod": {"metadata": metadata, "spec": {"containers": [{"name": "main"}]}}, **more}


async def all_of(count: int, call: Callable[[int], Any]) -> list[Any]:
    return await asyncio.gather(*(call(number) for number in range(count)), return_exceptions=True)


async def test_one_call_alone_is_a_request_of_its_own(client: EdgeClient, edge: FakeEdge) -> None:
    await client.create(request(0))
    assert edge.requests == [("/create", "uid-0")]


async def test_calls_that_come_together_are_one_request(client: EdgeClient, edge: FakeEdge) -> None:
    replies = await all_of(30, lambda number: client.create(request(number)))
    assert [reply.PodUID for reply in replies] == [f"uid-{number}" for number in range(30)]
    assert edge.count("/batch") == 1
    assert len(edge.batches[0]) == 29, "the first one came alone"
    assert len(edge.created) == 30


@pytest.mark.parametrize(("busy", "batches"), [(True, [30]), (False, [])])
async def test_while_kube_apiserver_is_busy_calls_wait_for_each_other_however_quiet_it_was(
    edge: FakeEdge, fence: Fence, monkeypatch: pytest.MonkeyPatch, *, busy: bool, batches: list[int]
) -> None:
    monkeypatch.setattr(batcher, "AT_ONCE", 100.0)
    transport = Transport("http://127.0.0.1", edge.port, TokenFile(None), fence)
    client = EdgeClient(transport, lambda: True, lambda: busy)
    await all_of(30, lambda number: client.create(request(number)))
    await client.close()
    assert [len(sessions) for sessions in edge.batches] == batches


async def test_each_call_of_a_batch_has_a_session_of_its_own(client: EdgeClient, edge: FakeEdge) -> None:
    await all_of(4, lambda number: client.delete(request(number)["pod"]))
    (sessions,) = edge.batches
    assert len(set(sessions)) == 3
    assert all(session.startswith("DeletePod#") for session in sessions)


async def test_a_batch_has_a_limit(client: EdgeClient, edge: FakeEdge) -> None:
    await all_of(2 * MOST + 2, lambda number: client.create(request(number)))
    assert [len(sessions) for sessions in edge.batches] == [MOST, MOST], "the first and the last one went alone"
    assert len(edge.created) == 2 * MOST + 2


async def test_each_caller_gets_its_own_answer(client: EdgeClient, edge: FakeEdge) -> None:
    edge.deleted["uid-2"] = []
    edge.failures["/update"] = (422, {"title": "Invalid", "description": "no such volume"})
    calls = [client.create(request(number)) for number in range(4)] + [client.update(request(9))]
    *replies, refused = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(reply).__name__ for reply in replies] == ["CreateReply", "CreateReply", "DeletedError", "CreateReply"]
    assert isinstance(refused, RefusedError)
    assert (refused.reason, str(refused)) == ("Invalid", "no such volume")
    assert edge.count("/batch") == 1


async def test_a_busy_site_says_so_to_each_call_of_a_batch(client: EdgeClient, edge: FakeEdge) -> None:
    edge.failures["/create"] = (429, {"title": "SlurmPending", "description": "too many jobs"})
    replies = await all_of(3, lambda number: client.create(request(number)))
    assert [(type(reply), str(reply)) for reply in replies] == [(BusyError, "too many jobs")] * 3
    assert edge.count("/batch") == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_a_batch_that_is_not_answered_is_every_callers_to_send_again(
    client: EdgeClient, edge: FakeEdge, status: int
) -> None:
    edge.failures["/batch"] = (status, {"title": "the sidecar is away"})
    first, *others = await all_of(4, lambda number: client.create(request(number)))
    assert first.PodUID == "uid-0"
    assert [(type(other), "the sidecar is away" in str(other)) for other in others] == [(AwayError, True)] * 3


@pytest.mark.parametrize(
    "reply", [{"answers": []}, {"answers": [{"status": 200}] * 9}, {"answers": [{}] * 3}, [], {"title": "hello"}]
)
async def test_what_is_no_answer_to_a_batch_is_every_callers_to_send_again(
    client: EdgeClient, edge: FakeEdge, reply: Any
) -> None:
    edge.failures["/batch"] = (200, reply)
    _, *others = await all_of(4, lambda number: client.create(request(number)))
    assert [type(other) for other in others] == [AwayError] * 3


@pytest.mark.parametrize("status", [400, 413])
async def test_a_batch_that_is_refused_as_one_goes_one_by_one(client: EdgeClient, edge: FakeEdge, status: int) -> None:
    edge.failures["/batch"] = (status, {"title": "request entity too large"})
    replies = await all_of(4, lambda number: client.create(request(number)))
    assert [reply.PodUID for reply in replies] == ["uid-0", "uid-1", "uid-2", "uid-3"]
    assert edge.count("/create") == 4


async def test_an_interlink_that_knows_no_batches_is_not_asked_again(
    client: EdgeClient, edge: FakeEdge, caplog: pytest.LogCaptureFixture
) -> None:
    """The public InterLink passes the plugin's ping reply on as it is, and has no such route."""
    edge.failures["/batch"] = (404, {"title": "404 page not found"})
    for _ in range(2):
        replies = await all_of(4, lambda number: client.create(request(number)))
        assert [reply.PodUID for reply in replies] == ["uid-0", "uid-1", "uid-2", "uid-3"]
    assert edge.count("/batch") == 1
    assert "takes no batches" in caplog.text


async def test_where_the_plugin_offers_no_batches_nothing_waits(
    client: EdgeClient, edge: FakeEdge, offered: list[bool]
) -> None:
    offered.append(False)
    await all_of(30, lambda number: client.create(request(number)))
    assert edge.count("/batch") == 0


async def test_a_large_call_travels_alone(client: EdgeClient, edge: FakeEdge) -> None:
    large = [{"metadata": {"name": "c"}, "data": {"file": "x" * batcher.LARGE}}]
    await all_of(3, lambda number: client.create(request(number, configmaps=large)))
    assert edge.count("/batch") == 0
    assert len(edge.created) == 3


async def test_a_call_whose_caller_has_gone_is_not_sent(client: EdgeClient, edge: FakeEdge) -> None:
    calls = [asyncio.create_task(client.create(request(number))) for number in range(4)]
    await calls[0]
    calls[2].cancel()
    replies = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(replies[2], asyncio.CancelledError)
    assert sorted(edge.created) == ["uid-0", "uid-1", "uid-3"]


async def test_a_fence_that_closes_while_calls_wait_for_each_other_holds_them_back(
    client: EdgeClient, edge: FakeEdge, fence: Fence
) -> None:
    calls = [asyncio.create_task(client.create(request(number))) for number in range(3)]
    await calls[0]
    fence.close()
    replies = await asyncio.gather(*calls[1:], return_exceptions=True)
    assert [(type(reply), "another replica may lead" in str(reply)) for reply in replies] == [(AwayError, True)] * 2
    assert list(edge.created) == ["uid-0"]
