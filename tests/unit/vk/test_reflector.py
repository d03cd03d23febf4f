"""List and watch: the picture stays true when watches fail for good and when versions begin anew (etcd restored)."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from interlink.vk.apiserver.errors import ApiError, InvalidError, RetryError
from interlink.vk.apiserver.reflector import Reflector
from interlink.vk.pods.record import PodRecord
from interlink.vk.pods.store import PodStore
from interlink.wire.messages import PodStatus

World = Any  # of conftest.py
Eventually = Callable[..., Any]
TOO_LARGE = {"kind": "Status", "code": 504, "reason": "Timeout", "message": "Too large resource version: 900, 100"}


class ScriptedApi:
    """Lists of versions, and what each watch yields before it breaks or ends."""

    def __init__(self, *watches: list[bytes | ApiError]) -> None:
        self.watches = list(watches)
        self.lists = 0
        self.asked: list[str] = []

    async def pages(self, _path: str, _params: Any) -> Any:
        self.lists += 1
        yield [], str(self.lists)

    async def stream(self, _path: str, params: dict[str, str], silence: float) -> Any:
        if "sendInitialEvents" in params:
            raise InvalidError("sendInitialEvents: Forbidden")
        self.asked.append(params["resourceVersion"])
        for entry in self.watches.pop(0):
            if isinstance(entry, ApiError):
                raise entry
            yield entry
        if not self.watches:
            await asyncio.Event().wait()


class Nobody:
    def replace(self, items: list[Any]) -> None: ...

    def upsert(self, item: Any) -> None: ...

    def remove(self, item: Any) -> None: ...


BOOKMARK = b'{"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7"}}}'
BROKEN: list[bytes | ApiError] = [RetryError("broken")]


@pytest.mark.parametrize(
    ("watches", "lists"),
    [
        ([BROKEN, BROKEN, []], 1),
        ([BROKEN, BROKEN, BROKEN, []], 2),
        ([[b"no event"], [b"{}"], [b'{"type": "ADDED"}'], []], 2),
        ([[], [], [], []], 2),
        ([BROKEN, BROKEN, [BOOKMARK], BROKEN, BROKEN, []], 1),
        ([BROKEN, BROKEN, BROKEN, BROKEN, BROKEN, BROKEN, []], 3),
    ],
)
async def test_three_failed_watches_lead_to_a_new_list(
    eventually: Eventually, monkeypatch: pytest.MonkeyPatch, watches: list[Any], lists: int
) -> None:
    monkeypatch.setattr("interlink.vk.apiserver.reflector.FIRST_PAUSE", 0.001)
    monkeypatch.setattr("interlink.vk.apiserver.reflector.LONGEST_PAUSE", 0.002)
    api: Any = ScriptedApi(*watches)
    reflector: Reflector[Any] = Reflector(api, "/api/v1/pods", {}, dict, Nobody())
    task = asyncio.create_task(reflector.run())
    await eventually(lambda: not api.watches)
    task.cancel()
    assert api.lists == lists


async def test_versions_that_begin_anew(world: World, eventually: Eventually) -> None:
    """After etcd was restored from a backup all versions are lower than those that are known."""
    world.api.version = 900
    uid = world.add_pod("p")["metadata"]["uid"]
    async with world.running() as kubelet:
        await eventually(lambda: uid in world.edge.statuses)
        world.api.version = 200
        world.api._history.clear()
        world.pod("p")["metadata"]["labels"] = {"restored": "yes"}
        second = world.add_pod("q")["metadata"]["uid"]
        world.api.put("/api/v1/namespaces/default/pods/p", world.pod("p"))
        world.api.watch_errors.extend([dict(TOO_LARGE)])
        for _ in range(2):
            await eventually(lambda: not world.api.watch_errors)
            world.api.watch_errors.append(dict(TOO_LARGE))
            await world.api._notify()
        await eventually(lambda: second in world.edge.statuses)
        assert kubelet.store.get(uid).load()["metadata"]["labels"] == {"restored": "yes"}
        await world.delete("p")
        await eventually(lambda: uid in world.edge.deleted)
    assert world.edge.count("/create", uid) == 1


async def test_an_orphan_that_was_heard_of_before_the_pods_were_listed_is_ended(
    world: World, eventually: Eventually
) -> None:
    other = PodStatus(name="q", UID="u-q", namespace="default", cluster="cluster-uid", node="vk-test", containers=[])
    world.edge.tell(other)
    world.api.fail("GET /api/v1/pods", 500, 1000)
    async with world.running() as kubelet:
        await eventually(lambda: hasattr(kubelet, "pods") and "u-q" in kubelet.pods.memories)
        assert not kubelet.store.listed
        world.api.failures.clear()
        await eventually(lambda: "u-q" in world.edge.deleted)


def record(version: str, phase: str = "Pending") -> PodRecord:
    metadata = {"uid": "u", "namespace": "n", "name": "p", "resourceVersion": version}
    return PodRecord.from_object({"metadata": metadata, "spec": {}, "status": {"phase": phase}})


def test_a_list_counts_whatever_its_version() -> None:
    looked_at: list[str] = []
    store = PodStore(looked_at.append)
    store.upsert(record("900", "Running"))
    store.upsert(record("5"))
    assert (store.get("u") or record("")).version == "900", "a watch does not go back"
    store.replace([record("5")])
    assert (store.get("u") or record("")).version == "5"
    store.upsert(record("6", "Failed"))
    assert (store.get("u") or record("")).terminal
    assert looked_at == ["u"] * 3


def event(kind: str, uid: str = "", version: str = "5", code: int = 0, **metadata: Any) -> bytes:
    found = {"metadata": {"uid": uid, "resourceVersion": version, **metadata}, "code": code}
    return msgspec.json.encode({"type": kind, "object": found})


END = event("BOOKMARK", version="9", annotations={"k8s.io/initial-events-end": "true"})


class Picture:
    """What a handler was told, in order."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def replace(self, items: list[Any]) -> None:
        self.told.append([item["metadata"]["uid"] for item in items])

    def upsert(self, item: Any) -> None:
        self.told.append(f"+{item['metadata']['uid']}")

    def remove(self, item: Any) -> None:
        self.told.append(f"-{item['metadata']['uid']}")


class StreamingApi:
    """A server whose streams are given one by one, each as its lines and the error that ends it."""

    def __init__(self, *streams: list[bytes | ApiError | None]) -> None:
        self.streams = list(streams)
        self.asked: list[tuple[str, str]] = []
        self.lists = 0

    async def pages(self, _path: str, _params: Any) -> Any:
        self.lists += 1
        yield [{"metadata": {"uid": "paged"}}], "3"

    async def stream(self, _path: str, params: dict[str, str], silence: float) -> Any:
        self.asked.append((params.get("sendInitialEvents", ""), params.get("resourceVersion", "")))
        for entry in self.streams.pop(0):
            if isinstance(entry, ApiError):
                raise entry
            if entry is None:
                await asyncio.Event().wait()
            yield entry
        if not self.streams:
            await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("streams", "told", "asked"),
    [
        # Whole: what changes or goes while the list comes is in it as it is at its end; then the watch goes on.
        (
            [
                [
                    event("ADDED", "a"), event("ADDED", "b"), event("MODIFIED", "a"), event("DELETED", "b"), END,
                    event("ADDED", "c", "10"),
                ],
                [event("DELETED", "c", "11")],
            ],
            [["a"], "+c", "-c"],
            [("true", ""), ("", "10")],
        ),
        # Half a list is none.
        ([[event("ADDED", "a"), RetryError("broken")], [event("ADDED", "b"), END]], [["b"]], [("true", "")] * 2),
        # A silent list is broken off.
        ([[event("ADDED", "a"), None], [END]], [[]], [("true", "")] * 2),
        # A version that has expired leads to a new streamed list.
        (
            [[END], [event("ERROR", code=410)], [END]],
            [[], []],
            [("true", ""), ("", "9"), ("true", "")],
        ),
        # Servers without it: refused, or (before 1.27) not known, so that no end of the list comes.
        ([[InvalidError("Forbidden")], []], [["paged"]], [("true", ""), ("", "3")]),
        ([[event("ADDED", "a"), event("BOOKMARK")], []], [["paged"]], [("true", ""), ("", "3")]),
        # Streams that break again and again: in pages for once.
        ([[RetryError("broken")]] * 3 + [[]], [["paged"]], [("true", "")] * 3 + [("", "3")]),
    ],
    ids=["whole", "half", "silent", "expired", "refused", "unknown", "broken"],
)  # fmt: skip
async def test_streamed_lists(
    eventually: Eventually, monkeypatch: pytest.MonkeyPatch, streams: list[Any], told: list[Any], asked: list[Any]
) -> None:
    monkeypatch.setattr("interlink.vk.apiserver.reflector.FIRST_PAUSE", 0.001)
    monkeypatch.setattr("interlink.vk.apiserver.reflector.LONGEST_PAUSE", 0.002)
    monkeypatch.setattr("interlink.vk.apiserver.reflector.LIST_SILENCE", 0.05)
    api: Any = StreamingApi(*streams)
    picture = Picture()
    reflector: Reflector[Any] = Reflector(api, "/api/v1/pods", {}, lambda found: found, picture)
    task = asyncio.create_task(reflector.run())
    await eventually(lambda: len(api.asked) >= len(asked) and picture.told == told)
    task.cancel()
    assert api.asked == asked
