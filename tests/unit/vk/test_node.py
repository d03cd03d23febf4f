"""The node object, its taints and conditions, and its lease: KUBELET.md section 1 and point 17."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from interlink.config import NodeResources
from interlink.config.entries import AcceleratorConfig, NodeConfig
from interlink.vk.main import StartupTimeoutError
from interlink.vk.node import lease
from interlink.wire.messages import Accelerator, PingReply, Resources, Taint

World = Any  # of conftest.py
Eventually = Callable[..., Any]
NODE = "/api/v1/nodes/vk-test"


def condition(world: World, kind: str) -> dict[str, Any]:
    node = world.api.objects.get(NODE) or {"status": {}}
    return next((c for c in node["status"].get("conditions") or [] if c["type"] == kind), {})


def taints(world: World) -> set[str]:
    return {taint["key"] for taint in world.api.objects[NODE]["spec"].get("taints") or []}


def capacity(world: World) -> dict[str, str]:
    held: dict[str, str] = (world.api.objects.get(NODE) or {"status": {}})["status"].get("capacity") or {}
    return held


async def test_registers(world: World, eventually: Eventually) -> None:
    async with world.running() as kubelet:
        await eventually(lambda: NODE in world.api.objects)
        node = world.api.objects[NODE]
        port = kubelet.server.port
    assert node["metadata"]["labels"]["type"] == "virtual-kubelet"
    assert node["metadata"]["labels"]["kubernetes.io/os"] == "linux"
    assert node["status"]["capacity"] | {"ephemeral-storage": ""} == {
        "cpu": "128", "memory": "512Gi", "pods": "1000", "ephemeral-storage": "",
    }  # fmt: skip
    assert node["status"]["addresses"] == [{"type": "InternalIP", "address": "127.0.0.1"}]
    assert {c["type"]: c["status"] for c in node["status"]["conditions"]} == {
        "Ready": "True",
        "MemoryPressure": "False",
        "DiskPressure": "False",
        "PIDPressure": "False",
        "NetworkUnavailable": "False",
        "InterLinkReachable": "True",
    }
    assert taints(world) == {"virtual-node.interlink/no-schedule"}
    assert port > 0


async def test_edge_away_and_back(world: World, eventually: Eventually) -> None:
    async with world.running():
        await eventually(lambda: condition(world, "InterLinkReachable").get("status") == "True")
        since = condition(world, "Ready")["lastTransitionTime"]
        await world.edge.stop()
        await eventually(lambda: condition(world, "InterLinkReachable").get("status") == "False")
        await eventually(lambda: "interlink.io/unreachable" in taints(world))
        assert condition(world, "Ready")["status"] == "True"
        assert condition(world, "Ready")["lastTransitionTime"] == since
        assert "cannot be reached" in condition(world, "InterLinkReachable")["message"]
        await world.edge.start()
        await eventually(lambda: "interlink.io/unreachable" not in taints(world))
        assert capacity(world)["cpu"] == "128"


async def test_refused_token_says_what_to_look_at(world: World, eventually: Eventually) -> None:
    world.edge.failures[""] = (403, {"title": "Forbidden"})
    async with world.running():
        await eventually(lambda: "VKTokenFile" in condition(world, "InterLinkReachable").get("message", ""))
        assert capacity(world)["cpu"] == "2", "nobody said better yet"


async def test_17_what_others_set_stays(world: World, eventually: Eventually) -> None:
    async with world.running():
        await eventually(
            lambda: (
                "interlink.io/owned" in (world.api.objects.get(NODE) or {}).get("metadata", {}).get("annotations", {})
            )
        )
        node = world.api.objects[NODE]
        node["metadata"]["labels"] |= {"foreign": "yes", "type": "wrong"}
        node["spec"] |= {"unschedulable": True}
        node["spec"]["taints"] = [{"key": "foreign", "effect": "NoExecute"}]
        node["status"]["conditions"].append({"type": "Foreign", "status": "True"})
        world.api.put(NODE, node)
        await eventually(lambda: "virtual-node.interlink/no-schedule" in taints(world))
        await eventually(lambda: world.api.objects[NODE]["metadata"]["labels"]["type"] == "virtual-kubelet")
        world.edge.reply.resources = Resources(cpu="64")
        await eventually(lambda: capacity(world)["cpu"] == "64")
        node = world.api.objects[NODE]
        assert node["metadata"]["labels"]["foreign"] == "yes"
        assert node["spec"]["unschedulable"] is True
        assert "foreign" in taints(world)
        assert condition(world, "Foreign")["status"] == "True"


async def test_the_plugin_s_taints_and_accelerators_come_and_go(world: World, eventually: Eventually) -> None:
    gpu = Accelerator(resourceType="nvidia.com/gpu", available="8")
    rubbish = [
        Accelerator(resourceType="x", available="1"),
        Accelerator(resourceType="a b/c", available="1"),
        Accelerator(resourceType="half.of/one", available="0.5"),
    ]
    world.edge.reply = PingReply(
        extensions=["changes"],
        resources=Resources(cpu="lots", memory="1Ti", accelerators=[gpu, *rubbish]),
        taints=[
            Taint(key="site/full", effect="NoSchedule"),
            Taint(key="site/wrong", effect="Never"),
            Taint(key="no key", effect="NoSchedule"),
        ],
    )
    async with world.running():
        await eventually(lambda: capacity(world).get("nvidia.com/gpu") == "8")
        await eventually(lambda: "site/full" in taints(world))
        assert capacity(world)["cpu"] == "2", "rubbish is not passed on"
        assert {name: amount for name, amount in capacity(world).items() if "/" in name} == {
            "nvidia.com/gpu": "8", "half.of/one": "0",
        }  # fmt: skip
        assert taints(world) == {"site/full", "virtual-node.interlink/no-schedule"}
        world.edge.reply = PingReply(extensions=["changes"], resources=Resources(memory="1Ti"))
        await eventually(lambda: "nvidia.com/gpu" not in capacity(world))
        assert "site/full" in taints(world), "absent means unchanged"
    async with world.running():
        await asyncio.sleep(0.3)
        assert "site/full" in taints(world), "also for one that was started anew"
        world.edge.reply = PingReply(extensions=["changes"], taints=[])
        await eventually(lambda: "site/full" not in taints(world))


async def test_nothing_is_written_while_nothing_changes(world: World, eventually: Eventually) -> None:
    async with world.running():
        await eventually(lambda: condition(world, "InterLinkReachable"))
        await asyncio.sleep(0.3)
        patches = world.api.count("PATCH", NODE)
        await asyncio.sleep(0.7)
        assert world.api.count("PATCH", NODE) == patches


async def test_deleted_node_comes_again(world: World, eventually: Eventually) -> None:
    async with world.running():
        await eventually(lambda: NODE in world.api.objects)
        world.api.remove(NODE)
        await eventually(lambda: NODE in world.api.objects)


async def test_lease_is_renewed_and_survives_conflicts(
    world: World, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)
    path = f"{lease.FOLDER}/vk-test"
    async with world.running():
        await eventually(lambda: (world.api.objects.get(path) or {"metadata": {}})["metadata"].get("ownerReferences"))
        first = world.api.objects[path]["spec"]["renewTime"]
        await eventually(lambda: world.api.objects[path]["spec"]["renewTime"] > first)
        world.api.put(path, dict(world.api.objects[path]))
        world.api.fail(f"PUT {path}", 500, 2)
        second = world.api.objects[path]["spec"]["renewTime"]
        await eventually(lambda: world.api.objects[path]["spec"]["renewTime"] > second)
    assert world.api.objects[path]["spec"]["leaseDurationSeconds"] == 40
    assert (
        world.api.objects[path]["metadata"]["ownerReferences"][0]["uid"] == world.api.objects[NODE]["metadata"]["uid"]
    )


async def test_stop_touches_nothing(world: World, eventually: Eventually) -> None:
    uid = world.add_pod("p")["metadata"]["uid"]
    async with world.running():
        await eventually(lambda: uid in world.edge.statuses)
    assert world.api.count("DELETE", "/") == 0
    assert not world.edge.deleted
    assert NODE in world.api.objects


async def test_a_loop_that_dies_ends_the_process(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: object, _items: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("interlink.vk.pods.store.PodStore.replace", broken)
    with pytest.raises(ZeroDivisionError):
        async with world.running() as _:
            await asyncio.sleep(0.5)


async def test_the_configuration_s_accelerators_count_where_the_site_names_none(
    world: World, eventually: Eventually
) -> None:
    own = [AcceleratorConfig(resource_type="nvidia.com/gpu", available="4")]
    world.nodes = {"vk-test": NodeConfig(resources=NodeResources(accelerators=own))}
    async with world.running():
        await eventually(lambda: capacity(world).get("nvidia.com/gpu") == "4")
        world.edge.reply = PingReply(resources=Resources(cpu="1", accelerators=[]))
        await eventually(lambda: "nvidia.com/gpu" not in capacity(world))


async def test_a_start_that_takes_too_long_is_given_up(world: World) -> None:
    world.changes = {"startup_timeout": 0.3}
    world.api.fail("GET /api/v1/pods", 500, 1000)
    with pytest.raises(StartupTimeoutError, match="node vk-test has not listed its pods yet"):
        async with world.running():
            await asyncio.sleep(0.8)
    world.api.failures.clear()
    world.api.fail("GET /api/v1/namespaces/kube-system", 500, 1000)
    with pytest.raises(StartupTimeoutError, match="kube-apiserver did not answer within"):
        async with world.running():
            await asyncio.sleep(0.8)


async def test_one_that_has_started_in_time_goes_on(world: World, eventually: Eventually) -> None:
    world.changes = {"startup_timeout": 1.0}
    async with world.running() as node:
        await eventually(lambda: not node.unready())
        await asyncio.sleep(1.2)
        assert not node.unready()


async def test_a_site_may_have_its_node_not_ready_when_the_edge_is_away_for_long(
    world: World, eventually: Eventually
) -> None:
    world.changes = {"not_ready_after": 0.5}
    async with world.running():
        await eventually(lambda: condition(world, "Ready").get("status") == "True")
        await world.edge.stop()
        await eventually(lambda: condition(world, "InterLinkReachable").get("status") == "False")
        assert condition(world, "Ready")["status"] == "True"
        await eventually(lambda: condition(world, "Ready")["status"] == "False")
        assert condition(world, "Ready")["reason"] == "InterLinkAway"
        await world.edge.start()
        await eventually(lambda: condition(world, "Ready")["status"] == "True")
