"""Who may ask at the kubelet port, and what asking costs the cluster (point 20)."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.errors import ApiError
from interlink.vk.apiserver.fake import FakeApiServer
from interlink.vk.kubelet import access
from interlink.vk.kubelet.access import REMEMBERED, Gate, User, attributes

READER = User("reader")


class Site:
    def __init__(self, api: FakeApiServer, gate: Gate) -> None:
        self.api = api
        self.gate = gate

    async def who(self, token: str) -> User | None:
        return await self.gate.identify(None, f"Bearer {token}")

    def reviews(self, kind: str = "tokenreviews") -> int:
        return self.api.count("POST", kind)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    api = FakeApiServer()
    api.reviews = {"good": {"username": "reader"}}
    api.rules = {("reader", "get", "proxy")}
    async with api.serve(), ApiServer(api.access) as client:
        yield Site(api, Gate(client, "n"))


async def test_two_hundred_at_once_are_one_review(site: Site) -> None:
    assert await asyncio.gather(*[site.who("good") for _ in range(200)]) == [READER] * 200
    assert site.reviews() == 1
    assert all(await asyncio.gather(*[site.gate.allows(READER, "GET", "/containerLogs/a/b/c") for _ in range(200)]))
    assert site.reviews("subjectaccessreviews") == 1


async def test_who_goes_away_takes_the_answer_from_nobody_else(site: Site) -> None:
    first = asyncio.create_task(site.who("good"))
    second = asyncio.create_task(site.who("good"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == READER
    assert site.reviews() == 1


async def test_nobody_is_remembered_for_a_while(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        assert await site.who("bad") is None
    assert site.reviews() == 1
    monkeypatch.setattr(access, "NO_TOKEN_SECONDS", 0.0)
    for _ in range(3):
        assert await site.who("worse") is None
    assert site.reviews() == 4


async def test_a_flood_of_made_up_tokens_pushes_nobody_out(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "REMEMBERED", 4)
    assert await site.who("good") == READER
    await asyncio.gather(*[site.who(f"made up {number}") for number in range(20)])
    before = site.reviews()
    assert await site.who("good") == READER
    assert site.reviews() == before
    assert len(site.gate._nobodies._entries) <= 4 < REMEMBERED


async def test_few_reviews_are_under_way_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    under_way, most = 0, 0
    real = site.gate.api.post

    async def post(path: str, body: dict[str, object]) -> dict[str, object]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await real(path, body)
        finally:
            under_way -= 1

    monkeypatch.setattr(site.gate.api, "post", post)
    await asyncio.gather(*[site.who(f"made up {number}") for number in range(60)])
    assert most == access.REVIEWS


async def test_a_review_that_fails_lets_nobody_in_and_is_not_remembered(site: Site) -> None:
    site.api.fail("POST /apis", 500, 2)
    with pytest.raises(ApiError):
        await site.who("good")
    with pytest.raises(ApiError):
        await site.gate.allows(READER, "GET", "/pods")
    assert await site.who("good") == READER
    assert await site.gate.allows(READER, "GET", "/pods")


async def test_a_ruling_ends(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "ALLOW_SECONDS", 0.05)
    assert await site.gate.allows(READER, "GET", "/containerLogs/a/b/c")
    site.api.rules = set()
    assert await site.gate.allows(READER, "GET", "/containerLogs/a/b/c")
    await asyncio.sleep(0.06)
    assert not await site.gate.allows(READER, "GET", "/containerLogs/a/b/c")


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Basic Zm9vOmJhcg==", "good", "Bearer  "])
async def test_no_bearer_token_is_nobody_and_costs_nothing(site: Site, authorization: str) -> None:
    assert await site.gate.identify(None, authorization) is None
    assert site.reviews() == 0


@pytest.mark.parametrize(
    ("method", "path", "verb", "subresources"),
    [
        ("GET", "/pods", "get", ["pods", "proxy"]),
        ("GET", "/runningpods/", "get", ["pods", "proxy"]),
        ("GET", "/configz", "get", ["configz", "proxy"]),
        ("GET", "/stats/summary", "get", ["stats"]),
        ("GET", "/metrics/resource", "get", ["metrics"]),
        ("GET", "/logs/x", "get", ["log"]),
        ("GET", "/containerLogs/a/b/c", "get", ["proxy"]),
        ("GET", "/exec/a/b/c", "create", ["proxy"]),
        ("GET", "/portForward/a/b", "create", ["proxy"]),
        ("POST", "/run/a/b/c", "create", ["proxy"]),
        ("DELETE", "/whatever", "delete", ["proxy"]),
        ("GET", "/podsandmore", "get", ["proxy"]),
    ],
)
def test_which_right_a_request_needs(method: str, path: str, verb: str, subresources: list[str]) -> None:
    assert attributes(method, path) == (verb, subresources)


@given(st.text(), st.text())
def test_any_path_needs_some_right(method: str, path: str) -> None:
    verb, subresources = attributes(method, path)
    assert verb
    assert subresources
