"""A pod's status is replaced as long as nobody else has changed the pod, else patched; what the answers tell."""

from collections.abc import Callable
from typing import Any

import pytest

from interlink.vk.apiserver.fake import FakeApiServer

World = Any  # of conftest.py, which cannot be imported
Eventually = Callable[..., Any]
Json = dict[str, Any]

POD = "/api/v1/namespaces/default/pods/p"
STATUS = f"{POD}/status"
RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


def meanwhile(world: World, monkeypatch: pytest.MonkeyPatch, act: Callable[[FakeApiServer], Any]) -> None:
    """Have something happen once, after the first status was decided on and before it is written, unseen by watches."""
    write = world.api._put
    done: list[str] = []

    def act_and_write(path: str, body: Json) -> Any:
        if path == STATUS and not done:
            done.append(path)
            with monkeypatch.context() as silent:  # by the time that the watch tells of both, the answer has
                silent.setattr(world.api, "_tell", lambda *_: None)
                act(world.api)
        return write(path, body)

    monkeypatch.setattr(world.api, "_put", act_and_write)


def methods(world: World) -> list[str]:
    return [method for method, path in world.api.requests if path == STATUS]


async def job_runs(world: World, eventually: Eventually, uid: str) -> None:
    """Have the pod's job run, and the pod show it."""
    await eventually(lambda: uid in world.edge.statuses)
    world.edge.say(uid, RUNNING)
    await eventually(lambda: world.phase("p") == "Running")


async def test_a_deletion_that_is_first_seen_in_the_answer_to_our_own_patch_ends_the_job(
    world: World, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = world.add_pod("p")["metadata"]["uid"]
    meanwhile(world, monkeypatch, lambda api: api._delete(POD, {"gracePeriodSeconds": 30}))
    async with world.running():
        await eventually(lambda: uid in world.edge.deleted)
    assert methods(world)[:2] == ["PUT", "PATCH"]


async def test_what_somebody_else_has_changed_meanwhile_stays(
    world: World, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = world.add_pod("p")["metadata"]["uid"]
    gate = {"type": "example.com/gate", "status": "True"}
    news = {"metadata": {"labels": {"new": "1"}}}

    def change(api: FakeApiServer) -> None:
        api._patch(POD, news)
        api._patch(STATUS, {"status": {"conditions": [gate]}})

    meanwhile(world, monkeypatch, change)
    async with world.running():
        await job_runs(world, eventually, uid)
    pod = world.pod("p")
    assert pod["metadata"]["labels"] == {"new": "1"}
    assert gate in pod["status"]["conditions"]
    assert methods(world)[:2] == ["PUT", "PATCH"]


async def test_the_spec_is_not_sent_along_for_the_status_endpoint_does_not_look_at_it(
    world: World, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, sent = world.api._put, []

    def note(path: str, body: Json) -> Any:
        if path == STATUS:
            sent.append(body)
        return write(path, body)

    monkeypatch.setattr(world.api, "_put", note)
    uid = world.add_pod("p", metadata={"labels": {"mine": "1"}})["metadata"]["uid"]
    async with world.running():
        await job_runs(world, eventually, uid)
    assert sent
    assert not any("spec" in body for body in sent)
    assert all(body["metadata"]["labels"] == {"mine": "1"} for body in sent), "a label that is not sent is removed"
    assert world.pod("p")["spec"]["containers"]


async def test_where_a_rule_of_the_cluster_refuses_the_whole_the_status_is_patched(
    world: World, eventually: Eventually
) -> None:
    world.api.fail(f"PUT {STATUS}", 422, times=100)
    uid = world.add_pod("p")["metadata"]["uid"]
    async with world.running():
        await job_runs(world, eventually, uid)
    assert methods(world)[:2] == ["PUT", "PATCH"]


async def test_an_account_that_may_only_patch_is_told_so_once_and_patches(
    world: World, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    world.api.fail(f"PUT {STATUS}", 403, times=100)
    uid = world.add_pod("p")["metadata"]["uid"]
    async with world.running():
        await job_runs(world, eventually, uid)
        world.edge.say(uid, {"terminated": {"exitCode": 0, "reason": "Completed"}}, ended=True)
        await eventually(lambda: world.phase("p") == "Succeeded")
    assert methods(world) == ["PUT", *["PATCH"] * (len(methods(world)) - 1)]
    assert caplog.text.count("statuses are patched, at a higher cost") == 1


async def test_a_token_that_is_not_known_says_nothing_of_rights(
    world: World, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    world.api.fail(f"PUT {STATUS}", 401)
    uid = world.add_pod("p")["metadata"]["uid"]
    async with world.running():
        await job_runs(world, eventually, uid)
    assert set(methods(world)) == {"PUT"}
    assert "statuses are patched, at a higher cost" not in caplog.text


async def test_a_large_pod_s_status_does_not_carry_the_pod(world: World, eventually: Eventually) -> None:
    noise = "".join(chr(33 + number * number % 90) + hex(number**3) for number in range(5000))
    uid = world.add_pod("p", metadata={"annotations": {"large": noise}})["metadata"]["uid"]
    async with world.running():
        await job_runs(world, eventually, uid)
    assert set(methods(world)) == {"PATCH"}
