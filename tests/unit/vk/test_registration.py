"""A node that kube-apiserver does not take at once comes all the same, soon, and its pods with it."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.vk.conftest import NODE, World

Eventually = Callable[..., Any]


@pytest.fixture(autouse=True)
def no_second_ping(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the node have what comes of one ping, so that no test waits for the next; ``world`` first, which has more."""
    monkeypatch.setattr("interlink.vk.edge.pinger.PING_SECONDS", 600.0)


@pytest.mark.parametrize("status", [409, 429, 500, 503])
async def test_a_node_that_was_refused_is_tried_again_without_waiting_for_a_ping(
    world: World, eventually: Eventually, status: int
) -> None:
    world.api.fail("POST /api/v1/nodes", status, times=4)
    async with world.running():
        await eventually(lambda: f"/api/v1/nodes/{NODE}" in world.api.objects)
    assert world.api.count("POST", "/api/v1/nodes") == 5
    assert world.edge.count("/pinglink") == 1


async def test_pods_that_wait_for_their_node_s_registration_come_as_soon_as_it_is_there(
    world: World, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlink.vk.pods.queue.FIRST_PAUSE", 600.0)
    monkeypatch.setattr("interlink.vk.pods.queue.LONGEST_PAUSE", 600.0)
    uid = world.add_pod("p")["metadata"]["uid"]
    world.api.fail("POST /api/v1/nodes", 503, times=3)
    async with world.running():
        await eventually(lambda: uid in world.edge.created)


async def test_a_status_that_could_not_be_written_is_written_without_waiting_for_a_ping(
    world: World, eventually: Eventually
) -> None:
    world.api.put(f"/api/v1/nodes/{NODE}", {"metadata": {"name": NODE}, "spec": {}})
    world.api.fail(f"PATCH /api/v1/nodes/{NODE}", 500, times=3)
    async with world.running():
        await eventually(lambda: (world.api.objects[f"/api/v1/nodes/{NODE}"].get("status") or {}).get("conditions"))
