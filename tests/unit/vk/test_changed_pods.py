"""Deadlines and images that change while a pod lives reach the edge, whoever is away meanwhile; over HTTP."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from tests.unit.vk.test_updates import MAP, NAMESPACE, QUIET, Eventually, Json, World, add, events, sent, start


def edit(world: World, name: str, image: str = "", **spec: Any) -> None:
    """Change a pod's spec as a user does."""
    pod = world.pod(name)
    pod["spec"] = {**pod["spec"], **spec}
    if image:
        pod["spec"]["containers"] = [{**pod["spec"]["containers"][0], "image": image}]
    world.api.put(f"{NAMESPACE}/pods/{name}", pod)


def told(world: World, uid: str) -> list[tuple[int | None, str]]:
    """Return the deadline and the image of each update."""
    specs = [each["pod"]["spec"] for each in world.edge.updates.get(uid, [])]
    return [(spec.get("activeDeadlineSeconds"), spec["containers"][0]["image"]) for spec in specs]


async def test_a_changed_deadline_and_image_reach_the_edge_once_each(world: World, eventually: Eventually) -> None:
    world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "1"}})
    async with world.running():
        uid = await start(world, eventually, MAP)
        other = await start(world, eventually, name="other")
        edit(world, "p", activeDeadlineSeconds=60)
        await eventually(lambda: told(world, uid) == [(60, "busybox")])
        assert sent(world, uid) == [[]], "its volume has not changed"
        edit(world, "p", image="busybox:2")
        await eventually(lambda: told(world, uid) == [(60, "busybox"), (60, "busybox:2")])
        edit(world, "p", tolerations=[{"operator": "Exists"}])
        await asyncio.sleep(QUIET)
        assert len(told(world, uid)) == 2
        assert not told(world, other)


async def test_a_pod_that_waits_in_the_queue_gets_its_change_too(world: World, eventually: Eventually) -> None:
    async with world.running():
        uid = add(world, "p")
        await eventually(lambda: uid in world.edge.statuses)
        edit(world, "p", activeDeadlineSeconds=60)
        await eventually(lambda: told(world, uid) == [(60, "busybox")])
        assert world.phase("p") == "Pending"


async def test_a_pod_that_is_not_submitted_yet_is_submitted_as_it_is_then(world: World, eventually: Eventually) -> None:
    world.edge.failures["/create"] = (503, {"title": "away"})
    async with world.running():
        uid = add(world, "p")
        await eventually(lambda: world.edge.count("/create", uid))
        edit(world, "p", image="busybox:2", activeDeadlineSeconds=60)
        world.edge.failures.clear()
        await eventually(lambda: uid in world.edge.created)
        spec = world.edge.created[uid]["pod"]["spec"]
        assert (spec["containers"][0]["image"], spec["activeDeadlineSeconds"]) == ("busybox:2", 60)


async def test_a_change_while_the_create_is_under_way_follows_it(world: World, eventually: Eventually) -> None:
    world.edge.gate.clear()
    async with world.running():
        uid = add(world, "p")
        await eventually(lambda: world.edge.count("/create", uid))
        edit(world, "p", activeDeadlineSeconds=60)
        await asyncio.sleep(QUIET)
        world.edge.gate.set()
        await eventually(lambda: told(world, uid) == [(60, "busybox")])
        assert "activeDeadlineSeconds" not in world.edge.created[uid]["pod"]["spec"]


async def test_of_changes_while_the_edge_is_away_the_last_one_counts(world: World, eventually: Eventually) -> None:
    async with world.running():
        uid = await start(world, eventually)
        world.edge.failures[""] = (503, {"title": "away"})
        edit(world, "p", activeDeadlineSeconds=600)
        await eventually(lambda: world.edge.count("/update", uid) > 1)
        edit(world, "p", activeDeadlineSeconds=60)
        world.edge.failures.clear()
        await eventually(lambda: (60, "busybox") in told(world, uid))
        await asyncio.sleep(QUIET)
        assert told(world, uid)[-1] == (60, "busybox")


async def test_a_change_while_no_virtual_kubelet_runs_is_sent_by_the_next_one(
    world: World, eventually: Eventually
) -> None:
    async with world.running():
        uid = await start(world, eventually)
    edit(world, "p", activeDeadlineSeconds=60)
    async with world.running():
        await eventually(lambda: told(world, uid) == [(60, "busybox")])
        await asyncio.sleep(QUIET)
        assert len(told(world, uid)) == 1


async def test_a_volume_that_cannot_be_gathered_does_not_hold_up_a_deadline(
    world: World, eventually: Eventually
) -> None:
    world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "1"}})
    async with world.running():
        uid = await start(world, eventually, MAP)
        world.api.remove(f"{NAMESPACE}/configmaps/m")
        await eventually(lambda: events(world, "FailedMount"))
        edit(world, "p", activeDeadlineSeconds=60)
        await eventually(lambda: told(world, uid) == [(60, "busybox")])
        await asyncio.sleep(QUIET)
        assert len(told(world, uid)) == 1


async def test_a_plugin_that_takes_no_updates_is_said_once_for_each_change(
    world: World, eventually: Eventually
) -> None:
    world.edge.reply.extensions = ["changes"]
    async with world.running() as kubelet:
        uid = await start(world, eventually, MAP | {"configMap": {"name": "m", "optional": True}})
        await asyncio.sleep(QUIET)
        assert not events(world, "FieldIgnored")
        edit(world, "p", activeDeadlineSeconds=60)
        await eventually(lambda: events(world, "FieldIgnored"))
        await asyncio.sleep(QUIET)
        (words,) = events(world, "FieldIgnored")
        assert words.startswith("the change of activeDeadlineSeconds or an image has no effect: the node's plugin")
        assert world.edge.count("/update") == 0
        world.edge.reply.extensions = ["changes", "update"]
        await eventually(lambda: kubelet.shared.link.has_update)
        await eventually(lambda: told(world, uid) == [(60, "busybox")])


async def test_a_refused_change_is_an_event_and_holds_up_no_volume(
    world: World, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "1"}})
    update = world.edge._update
    refused: list[Json] = []

    async def picky(request: Any, document: Json) -> Any:
        if document["pod"]["spec"].get("activeDeadlineSeconds") and not document["pod"]["spec"]["volumes"]:
            refused.append(document)
            return web.json_response({"title": "UnsupportedPod", "description": "not here"}, status=422)
        return await update(request, document)

    monkeypatch.setattr(world.edge, "_update", picky)
    async with world.running():
        uid = await start(world, eventually, MAP)
        edit(world, "p", activeDeadlineSeconds=60)
        await eventually(lambda: any("not here" in words for words in events(world, "FieldIgnored")))
        world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "2"}})
        await eventually(lambda: world.edge.shown(uid, "v") == {"k": "2"})
        await asyncio.sleep(QUIET)
        assert len(refused) == 1, "the same is not asked for again"
