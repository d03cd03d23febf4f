"""Several virtual nodes of one process: each its own object, lease, pods and port, over one connection to the edge."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from interlink.config import NodeResources, NodeTaint
from interlink.config.entries import NodeConfig
from interlink.vk.node import lease
from interlink.wire.messages import (
    CLUSTER_ANNOTATION,
    NODE_FLAVOR_ANNOTATION,
    NODE_PARTITION_ANNOTATION,
    Resources,
)

World = Any  # of conftest.py
Eventually = Callable[..., Any]


@pytest.fixture
def nodes(world: World) -> World:
    world.nodes = {
        "vk-test": NodeConfig(labels={"kind": "cpu"}),
        "vk-gpu": NodeConfig(labels={"kind": "gpu"}, taints=[NodeTaint(key="gpus-only", effect="NoExecute")]),
    }
    return world


def node(world: World, name: str) -> dict[str, Any]:
    found: dict[str, Any] = world.api.objects.get(f"/api/v1/nodes/{name}") or {}
    return found


async def test_each_is_registered_with_what_is_its_own(nodes: World, eventually: Eventually) -> None:
    async with nodes.running():
        await eventually(lambda: node(nodes, "vk-test") and node(nodes, "vk-gpu"))
        await eventually(lambda: f"{lease.FOLDER}/vk-gpu" in nodes.api.objects)
        assert f"{lease.FOLDER}/vk-test" in nodes.api.objects
    ports = {
        name: node(nodes, name)["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
        for name in ("vk-test", "vk-gpu")
    }
    assert len(set(ports.values())) == 2
    assert {name: node(nodes, name)["metadata"]["labels"]["kind"] for name in ports} == {
        "vk-test": "cpu",
        "vk-gpu": "gpu",
    }
    assert [taint["key"] for taint in node(nodes, "vk-gpu")["spec"]["taints"]] == ["gpus-only"]


async def test_pods_of_both_run_and_end_by_one_feed(nodes: World, eventually: Eventually) -> None:
    ids = [
        nodes.add_pod(name, spec={"nodeName": host, "tolerations": [{"operator": "Exists"}]})["metadata"]["uid"]
        for name, host in (("on-cpu", "vk-test"), ("on-gpu", "vk-gpu"))
    ]
    async with nodes.running() as first:
        await eventually(lambda: all(uid in nodes.edge.statuses for uid in ids))
        for uid in ids:
            nodes.edge.say(uid, {"running": {"startedAt": "2026-01-01T00:00:00Z"}})
        await eventually(lambda: nodes.phase("on-cpu") == nodes.phase("on-gpu") == "Running")
        assert set(first.store.pods) == {ids[0]}, "one node's port shows its own pods"
        await nodes.delete("on-gpu")
        await eventually(lambda: ids[1] in nodes.edge.deleted)
        nodes.edge.say(ids[1], {"terminated": {"exitCode": 0}}, ended=True)
        await eventually(lambda: not nodes.pod("on-gpu"))
    assert nodes.phase("on-cpu") == "Running"
    assert ids[0] not in nodes.edge.deleted


async def test_a_node_for_a_part_of_the_site_has_its_capacity_and_its_pods_go_there(
    world: World, eventually: Eventually
) -> None:
    world.nodes = {
        "vk-test": NodeConfig(partition="gpu"),
        "vk-flavor": NodeConfig(flavor="large"),
        "vk-unknown": NodeConfig(partition="gone", resources=NodeResources(cpu="3")),
    }
    world.edge.reply.partitions = {"gpu": Resources(cpu="64", memory="1Ti", pods="7")}
    world.edge.reply.flavors = {"large": Resources(cpu="32")}
    pods = {
        name: world.add_pod(
            name, spec={"nodeName": host}, metadata={"annotations": {NODE_FLAVOR_ANNOTATION: "forged", "mine": "x"}}
        )["metadata"]["uid"]
        for name, host in (("a", "vk-test"), ("b", "vk-flavor"))
    }
    async with world.running():
        await eventually(lambda: set(pods.values()) <= set(world.edge.created))
        await eventually(lambda: all(node(world, name) for name in world.nodes))
        await eventually(lambda: "CapacityUnknown" in world.reasons())
    assert {name: node(world, name)["status"]["capacity"]["cpu"] for name in world.nodes} == {
        "vk-test": "64", "vk-flavor": "32", "vk-unknown": "3",
    }  # fmt: skip
    sent = {name: world.edge.created[uid]["pod"]["metadata"]["annotations"] for name, uid in pods.items()}
    cluster = {CLUSTER_ANNOTATION: "cluster-uid", "mine": "x"}
    assert sent["a"] == {**cluster, NODE_PARTITION_ANNOTATION: "gpu"}, "what a pod says of its node does not count"
    assert sent["b"] == {**cluster, NODE_FLAVOR_ANNOTATION: "large"}
    assert world.edge.asked == "partition=gone&partition=gpu&flavor=large"


async def test_a_relist_of_one_node_loses_no_pod_of_another(nodes: World, eventually: Eventually) -> None:
    uid = nodes.add_pod("on-gpu", spec={"nodeName": "vk-gpu", "tolerations": [{"operator": "Exists"}]})["metadata"][
        "uid"
    ]
    async with nodes.running():
        await eventually(lambda: uid in nodes.edge.statuses)
        nodes.api.compact()
        nodes.add_pod("on-cpu")
        await eventually(lambda: len(nodes.edge.statuses) == 2)
        await asyncio.sleep(0.2)
        assert not nodes.edge.deleted


async def test_one_ping_serves_all(nodes: World, eventually: Eventually) -> None:
    async with nodes.running():
        await eventually(lambda: node(nodes, "vk-test") and node(nodes, "vk-gpu"))
        await nodes.edge.stop()
        for name in ("vk-test", "vk-gpu"):
            await eventually(
                lambda name=name: (
                    "interlink.io/unreachable" in {each["key"] for each in node(nodes, name)["spec"]["taints"]}
                )
            )
    assert nodes.reasons().count("InterLinkAway") == 2, "one event for each node"
