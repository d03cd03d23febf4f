"""A pod's beginning: what it waits for, what it is told, and that nothing but a refusal fails it."""

from collections.abc import Callable
from typing import Any

import pytest

World = Any  # of conftest.py
Eventually = Callable[..., Any]
DONE = {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": "2026-01-01T00:00:09Z"}}


async def test_missing_references_hold_the_pod(world: World, eventually: Eventually) -> None:
    reference = {"configMapKeyRef": {"name": "later", "key": "k"}}
    container = {"name": "c", "image": "busybox", "env": [{"name": "A", "valueFrom": reference}]}
    uid = world.add_pod("p", spec={"containers": [container]})["metadata"]["uid"]
    async with world.running():
        await eventually(lambda: world.pod("p")["status"].get("containerStatuses"))
        waiting = world.pod("p")["status"]["containerStatuses"][0]["state"]["waiting"]
        assert waiting == {"reason": "CreateContainerConfigError", "message": 'configmap "later" not found'}
        assert uid not in world.edge.created
        world.api.put("/api/v1/namespaces/default/configmaps/later", {"data": {"k": "v"}})
        await eventually(lambda: uid in world.edge.created)
    assert world.edge.created[uid]["pod"]["spec"]["containers"][0]["env"] == [{"name": "A", "value": "v"}]


async def test_a_missing_reference_of_an_init_container_is_said_there(world: World, eventually: Eventually) -> None:
    reference = {"configMapKeyRef": {"name": "late", "key": "k"}}
    first = {"name": "first", "image": "i", "env": [{"name": "A", "valueFrom": reference}]}
    world.add_pod("p", spec={"initContainers": [first]})
    async with world.running():
        status = await eventually(lambda: world.pod("p")["status"].get("initContainerStatuses"))
        assert status[0]["state"]["waiting"]["reason"] == "CreateContainerConfigError"
        assert 'configmap "late" not found' in status[0]["state"]["waiting"]["message"]
        main = world.pod("p")["status"]["containerStatuses"][0]
        assert main["state"]["waiting"] == {"reason": "PodInitializing"}
        world.api.put("/api/v1/namespaces/default/configmaps/late", {"data": {"k": "v"}})
        await eventually(lambda: world.edge.created)


async def test_a_reference_that_this_node_never_has_fails_the_pod_at_once(world: World, eventually: Eventually) -> None:
    source = {"fileKeyRef": {"volumeName": "v", "path": "env", "key": "K"}}
    container = {"name": "c", "image": "i", "env": [{"name": "A", "valueFrom": source}]}
    world.add_pod("p", spec={"containers": [container]})
    async with world.running():
        await eventually(lambda: world.phase("p") == "Failed")
    assert world.pod("p")["status"]["reason"] == "UnsupportedPod"
    assert "fileKeyRef" in world.pod("p")["status"]["message"]
    assert not world.edge.count("/create")


@pytest.mark.parametrize("links", [True, False])
async def test_containers_are_told_of_services(world: World, eventually: Eventually, links: bool) -> None:
    """No pod is sent before they are known, and one that comes later knows later ones."""
    spec = {"clusterIP": "10.0.0.7", "ports": [{"port": 80}]}
    world.api.fail("GET /api/v1/services", 500, times=3)
    world.api.put("/api/v1/namespaces/default/services/web", {"metadata": {"namespace": "default"}, "spec": spec})
    uid = world.add_pod("p", spec={"enableServiceLinks": links})["metadata"]["uid"]
    async with world.running():
        request = await eventually(lambda: world.edge.created.get(uid))
        env = {entry["name"]: entry["value"] for entry in request["pod"]["spec"]["containers"][0]["env"]}
        assert env.get("WEB_SERVICE_HOST") == ("10.0.0.7" if links else None)
        world.api.remove("/api/v1/namespaces/default/services/web")
        kubernetes = {"clusterIP": "10.0.0.1", "ports": [{"name": "https", "port": 443}]}
        late = {"metadata": {"namespace": "default"}, "spec": kubernetes}
        world.api.put("/api/v1/namespaces/default/services/kubernetes", late)
        await eventually(lambda: world.kubelet.shared.services.variables("default", links=False))
        second = world.add_pod("q", spec={"enableServiceLinks": links})["metadata"]["uid"]
        request = await eventually(lambda: world.edge.created.get(second))
        env = {entry["name"]: entry["value"] for entry in request["pod"]["spec"]["containers"][0]["env"]}
        assert env["KUBERNETES_SERVICE_HOST"] == "10.0.0.1"
        assert "WEB_SERVICE_HOST" not in env


async def test_services_that_may_not_be_listed_hold_no_pod(world: World, eventually: Eventually) -> None:
    world.api.fail("GET /api/v1/services", 403, times=100)
    uid = world.add_pod("p")["metadata"]["uid"]
    async with world.running():
        await eventually(lambda: uid in world.edge.statuses)


async def test_many_pods_in_pages(world: World, eventually: Eventually) -> None:
    world.api.page_size, world.api.streams_lists = 7, False
    uids = {world.add_pod(f"p{number}")["metadata"]["uid"] for number in range(60)}
    async with world.running():
        await eventually(lambda: uids <= set(world.edge.statuses), 10)
        for uid in uids:
            world.edge.say(uid, DONE, ended=True)
        await eventually(lambda: all(world.phase(f"p{number}") == "Succeeded" for number in range(60)), 10)
    assert world.edge.count("/create") == 60


async def test_a_pull_secret_that_is_not_there_is_told_of_and_holds_nothing_up(
    world: World, eventually: Eventually
) -> None:
    secrets = [{"name": "there"}, {"name": "gone"}, {"name": "away"}, {"name": "gone"}]
    world.api.put("/api/v1/namespaces/default/secrets/there", {"data": {}})
    uid = world.add_pod("p", spec={"imagePullSecrets": secrets})["metadata"]["uid"]
    async with world.running():
        await eventually(lambda: uid in world.edge.created)
        await eventually(lambda: "FailedToRetrieveImagePullSecret" in world.reasons())
    (event,) = [each for each in world.api.objects.values() if each.get("reason") == "FailedToRetrieveImagePullSecret"]
    assert event["message"] == (
        "Unable to retrieve some image pull secrets (gone, away); attempting to pull the image may not succeed."
    )
