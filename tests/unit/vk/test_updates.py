"""Volumes of running pods stay current as under a kubelet: ConfigMaps, Secrets, downward API and tokens, over HTTP."""

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

World = Any  # of conftest.py
Eventually = Callable[..., Any]
Json = dict[str, Any]
NAMESPACE = "/api/v1/namespaces/default"
RUNNING = {"running": {"startedAt": "2026-01-01T00:00:01Z"}}
MAP = {"name": "v", "configMap": {"name": "m"}}
#: Longer than everything that could still send something takes in these tests.
QUIET = 0.4


def secret(text: str) -> Json:
    return {"data": {"k": base64.b64encode(text.encode()).decode()}}


def add(world: World, name: str, *volumes: Json, **metadata: Any) -> str:
    mounts = [{"name": volume["name"], "mountPath": f"/{volume['name']}"} for volume in volumes]
    container = {"name": "c", "image": "busybox", "volumeMounts": mounts}
    pod = world.add_pod(name, spec={"containers": [container], "volumes": list(volumes)}, metadata=metadata)
    return str(pod["metadata"]["uid"])


async def start(world: World, eventually: Eventually, *volumes: Json, name: str = "p", **metadata: Any) -> str:
    """Have a pod run that mounts the volumes; return its UID."""
    uid = add(world, name, *volumes, **metadata)
    await eventually(lambda: uid in world.edge.statuses)
    world.edge.say(uid, RUNNING)
    await eventually(lambda: world.phase(name) == "Running")
    return uid


def sent(world: World, uid: str) -> list[list[str]]:
    """Return the names of the volumes in each update."""
    return [[volume["name"] for volume in each["pod"]["spec"]["volumes"]] for each in world.edge.updates.get(uid, [])]


def events(world: World, reason: str) -> list[str]:
    found = [value for key, value in world.api.objects.items() if "/events/" in key]
    return [event["message"] for event in found if event["reason"] == reason]


async def test_a_changed_config_map_and_secret_reach_their_pods_alone(world: World, eventually: Eventually) -> None:
    world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "1"}})
    world.api.put(f"{NAMESPACE}/secrets/s", secret("1"))
    key = {"name": "s", "secret": {"secretName": "s"}}
    async with world.running():
        uid = await start(world, eventually, MAP, key)
        other = await start(world, eventually, key, name="other")
        await asyncio.sleep(QUIET)
        assert not world.edge.updates, "nothing has changed"
        world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "2"}})
        await eventually(lambda: world.edge.shown(uid, "v") == {"k": "2"})
        assert sent(world, uid) == [["v"]], "what has not changed is not sent"
        assert not sent(world, other)
        world.api.put(f"{NAMESPACE}/secrets/s", secret("2"))
        await eventually(lambda: world.edge.shown(uid, "s") == world.edge.shown(other, "s") == {"k": "2"})
        await asyncio.sleep(QUIET)
        assert sent(world, uid) == [["v"], ["s"]]
    (update, _) = world.edge.updates[uid]
    assert update["pod"]["metadata"]["annotations"] == {"interlink.io/cluster": "cluster-uid"}
    assert update["pod"]["spec"]["containers"][0]["volumeMounts"]
    assert not events(world, "FailedMount")


async def test_a_change_that_shows_nothing_new_is_not_sent(world: World, eventually: Eventually) -> None:
    world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "1", "hidden": "1"}})
    chosen = {"name": "v", "configMap": {"name": "m", "items": [{"key": "k", "path": "p"}]}}
    async with world.running():
        uid = await start(world, eventually, chosen)
        world.api.put(f"{NAMESPACE}/configmaps/m", {"metadata": {"labels": {"a": "b"}}, "data": {"k": "1"}})
        gets = world.api.count("GET", "configmaps/m")
        await eventually(lambda: world.api.count("GET", "configmaps/m") > gets + 3)
        assert not sent(world, uid)


async def test_one_object_of_many_pods_is_asked_for_and_fetched_once(world: World, eventually: Eventually) -> None:
    world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "1"}})
    async with world.running() as kubelet:
        uids = [add(world, f"p{number}", MAP) for number in range(20)]
        await eventually(lambda: len(world.edge.statuses) == 20)
        fetched: list[str] = []
        get = kubelet.shared.api.get

        async def counted(path: str, params: Any = None, accept: str = "application/json") -> Any:
            if path.endswith("/m"):
                fetched.append(accept)
            return await get(path, params, accept)

        kubelet.shared.api.get = counted
        world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "2"}})
        await eventually(lambda: all(world.edge.shown(uid, "v") == {"k": "2"} for uid in uids))
        assert [accept for accept in fetched if "PartialObjectMetadata" not in accept] == ["application/json"]
        assert all(len(sent(world, uid)) == 1 for uid in uids)


async def test_labels_reach_a_downward_volume_and_nothing_else_of_the_pod_does(
    world: World, eventually: Eventually
) -> None:
    def field(path: str) -> Json:
        return {"path": path.rpartition(".")[2], "fieldRef": {"fieldPath": path}}

    shown = {"name": "d", "downwardAPI": {"items": [field("metadata.labels"), field("metadata.name")]}}
    async with world.running():
        uid = await start(world, eventually, shown, labels={"a": "1"})
        pod = world.pod("p")
        pod["metadata"]["annotations"] = {"not": "shown"}
        world.api.put(f"{NAMESPACE}/pods/p", pod)
        await asyncio.sleep(QUIET)
        assert not sent(world, uid)
        pod["metadata"]["labels"] = {"a": "2"}
        world.api.put(f"{NAMESPACE}/pods/p", pod)
        await eventually(lambda: world.edge.shown(uid, "d") == {"labels": 'a="2"', "name": "p"})
        await asyncio.sleep(QUIET)
        assert sent(world, uid) == [["d"]]


def token(**source: Any) -> Json:
    return {"serviceAccountToken": {"path": "token", **source}}


async def test_a_token_is_renewed_at_four_fifths_of_its_life(world: World, eventually: Eventually) -> None:
    world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "1"}})
    sources = [token(expirationSeconds=600), {"configMap": {"name": "m"}}]
    async with world.running():
        uid = await start(world, eventually, {"name": "t", "projected": {"sources": sources}})
        first = f"token-1-of-{uid}"
        assert world.edge.shown(uid, "t") == {"token": first, "k": "1"}
        world.ahead = 460.0
        world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "2"}})
        await eventually(lambda: world.edge.shown(uid, "t") == {"token": first, "k": "2"})
        assert world.api.tokens == 1, "another source's change is no reason for a new token"
        world.ahead = 481.0
        await eventually(lambda: world.edge.shown(uid, "t") == {"token": f"token-2-of-{uid}", "k": "2"})
        await asyncio.sleep(QUIET)
        assert world.api.tokens == 2
        world.ahead += 481.0
        await eventually(lambda: world.edge.shown(uid, "t")["token"] == f"token-3-of-{uid}")


async def test_a_token_of_a_pod_that_waits_in_the_queue_is_renewed_too(world: World, eventually: Eventually) -> None:
    async with world.running():
        uid = add(world, "p", {"name": "t", "projected": {"sources": [token()]}})
        await eventually(lambda: uid in world.edge.statuses)
        assert world.phase("p") == "Pending"
        world.ahead = 2900.0
        await eventually(lambda: world.edge.shown(uid, "t") == {"token": f"token-2-of-{uid}"})


async def test_a_token_that_is_not_renewed_serves_until_it_expires(world: World, eventually: Eventually) -> None:
    world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "1"}})
    sources = [token(expirationSeconds=600), {"configMap": {"name": "m"}}]
    async with world.running():
        uid = await start(world, eventually, {"name": "t", "projected": {"sources": sources}})
        world.api.fail(f"POST {NAMESPACE}/serviceaccounts/", 500, times=1000)
        world.ahead = 500.0
        world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "2"}})
        await eventually(lambda: world.edge.shown(uid, "t") == {"token": f"token-1-of-{uid}", "k": "2"})
        assert not events(world, "FailedMount")
        world.ahead = 601.0
        await eventually(lambda: any("/token" in words for words in events(world, "FailedMount")))
        world.api.failures.clear()
        await eventually(lambda: world.edge.shown(uid, "t")["token"] == f"token-2-of-{uid}")
        assert world.phase("p") == "Running"


async def test_immutable_objects_are_not_read_again(world: World, eventually: Eventually) -> None:
    world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "1"}, "immutable": True})
    sources = [token(), {"configMap": {"name": "m"}}]
    async with world.running():
        uid = await start(world, eventually, MAP, {"name": "t", "projected": {"sources": sources}})
        gets = world.api.count("GET", "configmaps/m")
        world.api.remove(f"{NAMESPACE}/configmaps/m")
        world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "2"}})
        world.ahead = 3000.0
        await eventually(lambda: world.edge.shown(uid, "t") == {"token": f"token-2-of-{uid}", "k": "1"})
        assert world.api.count("GET", "configmaps/m") == gets
        assert sent(world, uid) == [["t"]]


async def test_an_optional_object_turns_up_and_goes(world: World, eventually: Eventually) -> None:
    optional = {"name": "v", "configMap": {"name": "m", "optional": True}}
    async with world.running():
        uid = await start(world, eventually, optional)
        assert world.edge.shown(uid, "v") == {}
        world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "1"}})
        await eventually(lambda: world.edge.shown(uid, "v") == {"k": "1"})
        world.api.remove(f"{NAMESPACE}/configmaps/m")
        await eventually(lambda: world.edge.shown(uid, "v") == {})
        assert not events(world, "FailedMount")


async def test_trust_bundles_of_a_signer_come_and_go(world: World, eventually: Eventually) -> None:
    def bundle(name: str) -> Json:
        pem = f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(name.encode()).decode()}\n-----END CERTIFICATE-----\n"
        world.api.put(f"{group}/clustertrustbundles/{name}", {"spec": {"signerName": "a.io/ca", "trustBundle": pem}})
        return {"ca.pem": pem}

    group = "/apis/certificates.k8s.io/v1beta1"
    world.api.put(group, {"resources": [{"name": "clustertrustbundles"}]})
    first = bundle("first")
    source = {"clusterTrustBundle": {"path": "ca.pem", "signerName": "a.io/ca", "labelSelector": {}}}
    async with world.running():
        uid = await start(world, eventually, {"name": "t", "projected": {"sources": [source]}})
        assert world.edge.shown(uid, "t") == first
        second = bundle("second")
        await eventually(lambda: len(world.edge.shown(uid, "t")["ca.pem"]) == len(first["ca.pem"] + second["ca.pem"]))
        world.api.remove(f"{group}/clustertrustbundles/first")
        await eventually(lambda: world.edge.shown(uid, "t") == second)
        world.api.remove(f"{group}/clustertrustbundles/second")
        await eventually(lambda: any("matched zero" in words for words in events(world, "FailedMount")))
        assert world.edge.shown(uid, "t") == second


async def test_a_vanished_object_leaves_the_old_contents_and_holds_up_no_other_volume(
    world: World, eventually: Eventually
) -> None:
    world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "1"}})
    world.api.put(f"{NAMESPACE}/secrets/s", secret("1"))
    async with world.running():
        uid = await start(world, eventually, MAP, {"name": "s", "secret": {"secretName": "s"}})
        world.api.remove(f"{NAMESPACE}/configmaps/m")
        await eventually(lambda: events(world, "FailedMount"))
        world.api.put(f"{NAMESPACE}/secrets/s", secret("2"))
        await eventually(lambda: world.edge.shown(uid, "s") == {"k": "2"})
        assert world.edge.shown(uid, "v") == {"k": "1"}
        assert events(world, "FailedMount") == ['MountVolume.SetUp failed for volume "v" : configmap "m" not found']
        assert world.phase("p") == "Running"
        world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "3"}})
        await eventually(lambda: world.edge.shown(uid, "v") == {"k": "3"})


async def test_a_new_virtual_kubelet_sends_once_what_pods_show(world: World, eventually: Eventually) -> None:
    world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "1"}})
    tokens = {"name": "t", "projected": {"sources": [token()]}}
    async with world.running():
        uid = await start(world, eventually, MAP, tokens)
        plain = await start(world, eventually, name="plain")
    world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "2"}})
    async with world.running():
        await eventually(lambda: sent(world, uid) == [["v", "t"]])
        assert world.edge.shown(uid, "v") == {"k": "2"}
        await asyncio.sleep(QUIET)
        assert len(sent(world, uid)) == 1
        assert sent(world, plain) == [[]], "it may have another deadline or image by now"
        world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "3"}})
        await eventually(lambda: world.edge.shown(uid, "v") == {"k": "3"})
    assert world.edge.count("/create", uid) == 1


async def test_a_create_without_an_answer_is_followed_by_an_update(world: World, eventually: Eventually) -> None:
    """Which attempt's contents the pod began with is not known, so it is told."""
    world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "1"}})
    world.edge.failures["/create"] = (502, {"title": "lost"})
    async with world.running():
        uid = add(world, "p", MAP)
        await eventually(lambda: world.edge.count("/create", uid))
        del world.edge.failures["/create"]
        await eventually(lambda: sent(world, uid) == [["v"]])
        await asyncio.sleep(QUIET)
        assert len(sent(world, uid)) == 1


async def test_an_edge_that_is_away_gets_it_when_it_is_back(world: World, eventually: Eventually) -> None:
    world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "1"}})
    async with world.running():
        uid = await start(world, eventually, MAP)
        world.edge.failures[""] = (503, {"title": "away"})
        world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "2"}})
        await eventually(lambda: world.edge.count("/update", uid) > 1)
        world.edge.failures.clear()
        await eventually(lambda: world.edge.shown(uid, "v") == {"k": "2"})
        assert len(sent(world, uid)) == 1


async def test_a_refusal_is_an_event_and_does_not_hold_up_the_other_volumes(
    world: World, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("m", "n"):
        world.api.put(f"{NAMESPACE}/configmaps/{name}", {"data": {"k": "1"}})
    update = world.edge._update

    async def picky(request: Any, document: Json) -> Any:
        if any(volume["name"] == "v" for volume in document["pod"]["spec"]["volumes"]):
            return web.json_response({"title": "UnsupportedPod", "description": "a file and a folder"}, status=422)
        return await update(request, document)

    monkeypatch.setattr(world.edge, "_update", picky)
    both = {"sources": [{"configMap": {"name": "n"}}, {"configMap": {"name": "m"}}]}
    async with world.running():
        uid = await start(world, eventually, MAP, {"name": "w", "projected": both})
        world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "2"}})
        await eventually(lambda: sent(world, uid) == [["w"]])
        await eventually(lambda: any("a file and a folder" in words for words in events(world, "FailedMount")))
        asked = world.edge.count("/update", uid)
        await asyncio.sleep(QUIET)
        assert world.edge.count("/update", uid) == asked, "the same contents are not sent again"
        assert world.edge.shown(uid, "v") == {"k": "1"}


async def test_a_plugin_that_takes_no_updates_gets_none(world: World, eventually: Eventually) -> None:
    world.edge.reply.extensions = ["changes"]
    world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "1"}})
    async with world.running() as kubelet:
        uid = await start(world, eventually, MAP)
        gets = world.api.count("GET", "configmaps/m")
        world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "2"}})
        await asyncio.sleep(QUIET)
        assert world.edge.count("/update") == 0
        assert world.api.count("GET", "configmaps/m") == gets, "nobody wants to know"
        world.edge.reply.extensions = ["changes", "update"]
        await eventually(lambda: kubelet.shared.link.has_update)
        await eventually(lambda: world.edge.shown(uid, "v") == {"k": "2"})


async def test_nothing_is_kept_of_pods_that_are_over(world: World, eventually: Eventually) -> None:
    world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "1"}})
    world.edge.end_on_delete = True
    async with world.running() as kubelet:
        volumes = [MAP, {"name": "t", "projected": {"sources": [token()]}}]
        done = await start(world, eventually, *volumes, name="done")
        await start(world, eventually, *volumes, name="deleted")
        world.edge.say(done, {"terminated": {"exitCode": 0}}, ended=True)
        await world.delete("deleted", 1)
        await eventually(lambda: world.phase("done") == "Succeeded" and not world.pod("deleted"))
        updates = kubelet.updates
        await eventually(lambda: not updates._shown and not updates.versions._users and not updates.versions._uses)
        await eventually(lambda: not kubelet.updates.context.sources.tokens._held)
        world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "2"}})
        await asyncio.sleep(QUIET)
    assert not world.edge.updates


async def test_a_pod_that_goes_while_its_volumes_are_gathered_leaves_nothing(
    world: World, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "1"}})
    going, gone = asyncio.Event(), asyncio.Event()
    async with world.running() as kubelet:
        uid = await start(world, eventually, MAP)
        fetch = kubelet.updates._fetch

        async def slow(*arguments: Any) -> Any:
            going.set()
            await gone.wait()
            return await fetch(*arguments)

        monkeypatch.setattr(kubelet.updates, "_fetch", slow)
        world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "2"}})
        await eventually(going.is_set)
        world.api.remove(f"{NAMESPACE}/pods/p")
        await eventually(lambda: uid in world.edge.deleted)
        gone.set()
        await asyncio.sleep(QUIET)
        assert not kubelet.updates._shown
        assert not kubelet.updates.versions._users
    assert not world.edge.updates


async def test_an_unknown_right_is_said_and_does_not_stop_the_others(world: World, eventually: Eventually) -> None:
    world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "1"}})
    world.api.put(f"{NAMESPACE}/secrets/s", secret("1"))
    async with world.running():
        uid = await start(world, eventually, {"name": "s", "secret": {"secretName": "s"}}, MAP)
        world.api.fail(f"GET {NAMESPACE}/secrets/s", 403, times=1000)
        world.api.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "2"}})
        await eventually(lambda: world.edge.shown(uid, "v") == {"k": "2"})
