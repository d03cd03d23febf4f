"""A pod that asks for its own address gets what its plugin replaces, where the plugin can."""

from collections.abc import Callable
from typing import Any

from interlink.vk.pods.addresses import with_address
from interlink.wire.messages import EXTENSION_ADDRESS, address_token

World = Any  # of conftest.py, which cannot be imported
Eventually = Callable[..., Any]


def asking() -> dict[str, Any]:
    paths = ("status.podIP", "status.hostIP", "status.podIPs", "metadata.name")
    env = [{"name": path.partition(".")[2], "valueFrom": {"fieldRef": {"fieldPath": path}}} for path in paths]
    return {"containers": [{"name": "c", "image": "b", "env": env, "args": ["--on=$(podIP):80"]}]}


async def sent(world: World, eventually: Eventually) -> dict[str, Any]:
    uid = world.add_pod("p", spec=asking())["metadata"]["uid"]
    async with world.running():
        await eventually(lambda: uid in world.edge.created)
    container: dict[str, Any] = world.edge.created[uid]["pod"]["spec"]["containers"][0]
    env = {entry["name"]: entry["value"] for entry in container["env"]}
    return {**env, "args": container["args"], "token": address_token(uid)}


async def test_a_plugin_that_knows_the_token_gets_it(world: World, eventually: Eventually) -> None:
    assert EXTENSION_ADDRESS in (world.edge.reply.extensions or [])
    found = await sent(world, eventually)
    assert found["podIP"] == found["hostIP"] == found["podIPs"] == found["token"]
    assert (found["name"], found["args"]) == ("p", [f"--on={found['token']}:80"])


async def test_another_plugin_gets_what_is_known_which_is_nothing(world: World, eventually: Eventually) -> None:
    world.edge.reply.extensions = ["changes", "update"]
    found = await sent(world, eventually)
    assert (found["podIP"], found["hostIP"], found["args"]) == ("", "", ["--on=:80"])


def test_the_pod_itself_stays_as_it_was() -> None:
    pod = {"metadata": {"uid": "u"}, "status": {"phase": "Pending"}}
    shown = with_address(pod)
    assert shown["status"]["phase"] == "Pending"
    assert pod["status"] == {"phase": "Pending"}
