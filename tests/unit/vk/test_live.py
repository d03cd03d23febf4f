"""A configuration that changes while the virtual kubelet runs: what follows at once, and what is only said."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from interlink.config import NodeResources, NodeTaint
from interlink.config.entries import NodeConfig
from interlink.wire.messages import NODE_PARTITION_ANNOTATION, PingReply, Resources

World = Any  # of conftest.py
Eventually = Callable[..., Any]


def node(world: World, name: str = "vk-test") -> dict[str, Any]:
    found: dict[str, Any] = world.api.objects.get(f"/api/v1/nodes/{name}") or {}
    return found


def labels(world: World) -> dict[str, str]:
    found: dict[str, str] = (node(world).get("metadata") or {}).get("labels") or {}
    return found


def taints(world: World) -> list[str]:
    return [taint["key"] for taint in node(world)["spec"].get("taints") or []]


async def test_labels_taints_and_capacity_follow_without_a_restart(world: World, eventually: Eventually) -> None:
    world.edge.reply = PingReply(extensions=["changes"])
    world.nodes = {"vk-test": NodeConfig(labels={"a": "1", "b": "1"}, taints=[NodeTaint(key="mine/old")])}
    async with world.running():
        await eventually(lambda: "interlink.io/owned" in (node(world).get("metadata") or {}).get("annotations", {}))
        held = node(world)
        held["metadata"]["labels"]["foreign"] = "yes"
        held["spec"] |= {
            "unschedulable": True,
            "taints": [*held["spec"]["taints"], {"key": "f", "effect": "NoExecute"}],
        }
        world.api.put("/api/v1/nodes/vk-test", held)
        world.nodes = {
            "vk-test": NodeConfig(
                labels={"a": "2"}, taints=[NodeTaint(key="mine/new")], resources=NodeResources(cpu="7")
            )
        }
        await eventually(lambda: labels(world).get("a") == "2")
        await eventually(lambda: sorted(taints(world)) == ["f", "mine/new"])
        await eventually(lambda: node(world)["status"]["capacity"]["cpu"] == "7")
    assert "b" not in labels(world), "a label that the configuration no longer has goes"
    assert labels(world)["foreign"] == "yes"
    assert node(world)["spec"]["unschedulable"] is True


async def test_the_node_s_part_of_the_site_may_change(world: World, eventually: Eventually) -> None:
    world.edge.reply.partitions = {"gpu": Resources(cpu="64"), "big": Resources(cpu="96")}
    world.nodes = {"vk-test": NodeConfig(partition="gpu")}
    async with world.running():
        await eventually(lambda: (node(world).get("status") or {}).get("capacity", {}).get("cpu") == "64")
        world.nodes = {"vk-test": NodeConfig(partition="big")}
        await eventually(lambda: node(world)["status"]["capacity"]["cpu"] == "96")
        uid = world.add_pod("p")["metadata"]["uid"]
        sent = await eventually(lambda: world.edge.created.get(uid))
    assert sent["pod"]["metadata"]["annotations"][NODE_PARTITION_ANNOTATION] == "big"


async def test_what_needs_a_restart_is_said_once(
    world: World, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    async with world.running():
        await eventually(lambda: node(world))
        world.nodes = {"vk-test": NodeConfig(kubelet_port=1, labels={"a": "1"}), "vk-more": NodeConfig()}
        world.changes = {"interlink_port": 1}
        await eventually(lambda: labels(world).get("a") == "1")
        await asyncio.sleep(0.3)
    said = [record.getMessage() for record in caplog.records if "with the next start only" in record.getMessage()]
    assert said == [
        "the configuration has changed; with the next start only: key InterlinkPort, node vk-more, port of node vk-test"
    ]
    assert node(world)["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"] != 1
    assert not node(world, "vk-more")


async def test_a_configuration_that_cannot_be_used_changes_nothing(world: World, eventually: Eventually) -> None:
    world.nodes = {"vk-test": NodeConfig(labels={"a": "1"})}
    async with world.running():
        await eventually(lambda: labels(world).get("a") == "1")
        world.nodes = {"vk-test": NodeConfig(labels={"a": "2", "a b": "x"})}
        await eventually(lambda: "InvalidConfiguration" in world.reasons())
        await asyncio.sleep(0.3)
        assert labels(world)["a"] == "1"
        world.nodes = {"vk-test": NodeConfig(labels={"a": "3"})}
        await eventually(lambda: labels(world).get("a") == "3")
    assert world.reasons().count("InvalidConfiguration") == 1
