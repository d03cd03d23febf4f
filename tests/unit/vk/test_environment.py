"""Environments, expansion and volumes: KUBELET.md section 2 and point 24."""

import base64
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.core.expansion import expand
from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.fake import FakeApiServer
from interlink.vk.gather import NotReadyError, References
from interlink.vk.objects import fetch
from interlink.vk.pods.request import ContainersNotReadyError, create_request
from interlink.vk.volumes.contents import Sources, Volumes

Json = dict[str, Any]
NAMESPACE = "/api/v1/namespaces/default"


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


class Bench:
    def __init__(self, fake: FakeApiServer, api: ApiServer) -> None:
        self.fake = fake
        self.api = api

    async def request(self, container: Json, **spec: Any) -> Json:
        pod = {
            "metadata": {"name": "p", "namespace": "default", "uid": "u-1", "labels": {"b": "2", "a": 'x"y'}},
            "spec": {
                "nodeName": "n",
                "serviceAccountName": "robot",
                "containers": [{"name": "c", "image": "i", **container}],
                **spec,
            },
        }
        volumes = Volumes(Sources(self.api), pod, References(partial(fetch, self.api), "default"), {"cpu": "128"})
        request, _ = await create_request(volumes, "cluster", {"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
        return request

    async def env(self, *entries: Json, **container: Any) -> dict[str, str]:
        request = await self.request({"env": list(entries), **container})
        return {entry["name"]: entry["value"] for entry in request["pod"]["spec"]["containers"][0]["env"]}


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    fake = FakeApiServer()
    async with fake.serve(), ApiServer(fake.access) as api:
        yield Bench(fake, api)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)", "1"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$(B)", "$(B)"),
        ("$(A", "$(A"),
        ("$A$", "$A$"),
        ("a$(A)b$(A)", "a1b1"),
        ("$$$$", "$$"),
        ("$((A))", "$((A))"),
        ("$()", "$()"),
        ("$(A)$", "1$"),
    ],
)
def test_expand(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1"}) == expanded


@given(st.text(alphabet="$()AB x", max_size=30))
def test_expand_takes_anything(text: str) -> None:
    assert isinstance(expand(text, {"A": "1"}), str)


@given(st.text(max_size=50))
def test_doubled_dollars_are_literal(text: str) -> None:
    assert expand(text.replace("$", "$$"), {"A": "1"}) == text


async def test_order_and_references(bench: Bench) -> None:
    env = await bench.env(
        {"name": "A", "value": "1"},
        {"name": "B", "value": "$(A)$(C)"},
        {"name": "C", "value": "3"},
        {"name": "D", "value": "$$(A) $(KUBERNETES_SERVICE_HOST)"},
        {"name": "E"},
    )
    assert env == {
        "A": "1", "B": "1$(C)", "C": "3", "D": "$(A) 10.0.0.1", "E": "", "KUBERNETES_SERVICE_HOST": "10.0.0.1",
    }  # fmt: skip


async def test_downward(bench: Bench) -> None:
    def field(path: str) -> Json:
        return {"name": path, "valueFrom": {"fieldRef": {"fieldPath": path}}}

    def resource(name: str, divisor: str = "0") -> Json:
        return {"name": name + divisor, "valueFrom": {"resourceFieldRef": {"resource": name, "divisor": divisor}}}

    env = await bench.env(
        *[
            field(path)
            for path in ("metadata.name", "metadata.uid", "metadata.labels['b']", "spec.nodeName", "status.podIP")
        ],
        *[resource("limits.cpu"), resource("requests.memory", "1Mi"), resource("requests.cpu", "1m")],
        resources={"requests": {"memory": "1.5Gi", "cpu": "250m"}},
    )
    assert env["metadata.name"] == "p"
    assert env["metadata.labels['b']"] == "2"
    assert env["spec.nodeName"] == "n"
    assert env["status.podIP"] == ""
    assert env["limits.cpu0"] == "128", "no limit: the node's"
    assert env["requests.memory1Mi"] == "1536"
    assert env["requests.cpu1m"] == "250"


async def test_maps_and_secrets(bench: Bench) -> None:
    bench.fake.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "$(A)", "bad=name": "x"}})
    bench.fake.put(f"{NAMESPACE}/secrets/s", {"data": {"password": b64(b"p w\n")}})
    env = await bench.env(
        {"name": "K", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}},
        {"name": "P", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}},
        {"name": "O", "valueFrom": {"secretKeyRef": {"name": "none", "key": "x", "optional": True}}},
        envFrom=[{"prefix": "M_", "configMapRef": {"name": "m"}}, {"secretRef": {"name": "nothing", "optional": True}}],
    )
    assert env["K"] == "$(A)", "a referenced value is taken as it is"
    assert env["P"] == "p w\n"
    assert env["M_k"] == "$(A)"
    assert "O" not in env
    assert "M_bad=name" not in env
    assert bench.fake.count("GET", "configmaps/m") == 1


async def test_command_and_sub_path_are_expanded(bench: Bench) -> None:
    request = await bench.request(
        {
            "env": [{"name": "A", "value": "1"}],
            "command": ["sh", "-c"],
            "args": ["echo $(A) $$(A) $HOME"],
            "volumeMounts": [{"name": "v", "mountPath": "/v", "subPathExpr": "x/$(A)"}],
        }
    )
    container = request["pod"]["spec"]["containers"][0]
    assert container["args"] == ["echo 1 $(A) $HOME"]
    assert container["volumeMounts"][0] == {"name": "v", "mountPath": "/v", "subPath": "x/1"}
    assert request["pod"]["metadata"]["annotations"]["interlink.io/cluster"] == "cluster"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"configMapKeyRef": {"name": "no", "key": "k"}}, 'configmap "no" not found'),
        ({"secretKeyRef": {"name": "s", "key": "k"}}, "couldn't find key k in Secret default/s"),
        ({"secretKeyRef": {"name": "s", "key": "raw"}}, "no UTF-8 text"),
        ({"fieldRef": {"fieldPath": "spec.hostNetwork"}}, "fieldPath spec.hostNetwork is not supported"),
        ({"fileKeyRef": {"volumeName": "v"}}, "environment from fileKeyRef is not supported"),
    ],
)
async def test_what_is_missing_is_named(bench: Bench, source: Json, words: str) -> None:
    bench.fake.put(f"{NAMESPACE}/secrets/s", {"data": {"raw": b64(b"\xff\xfe")}})
    with pytest.raises(ContainersNotReadyError, match=words) as caught:
        await bench.env({"name": "A", "valueFrom": source})
    assert set(caught.value.problems) == {"c"}


async def test_kube_api_access_volume(bench: Bench) -> None:
    bench.fake.put(f"{NAMESPACE}/configmaps/kube-root-ca.crt", {"data": {"ca.crt": "CA"}})
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
    request = await bench.request({}, volumes=[{"name": "kube-api-access-x", "projected": {"sources": sources}}])
    assert request["projectedvolumesmaps"] == [
        {
            "metadata": {"name": "kube-api-access-x"},
            "data": {"token": "token-1-of-u-1", "ca.crt": "CA", "namespace": "default"},
            "binaryData": {},
        }
    ]
    assert bench.fake.count("POST", "/serviceaccounts/robot/token") == 1


async def test_volumes(bench: Bench) -> None:
    bench.fake.put(f"{NAMESPACE}/configmaps/m", {"metadata": {"managedFields": [1]}, "data": {"k": "v"}})
    bench.fake.put(f"{NAMESPACE}/secrets/s", {"data": {"bin": b64(b"\xff\x00")}})
    items = [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]
    request = await bench.request(
        {},
        volumes=[
            {"name": "a", "configMap": {"name": "m"}},
            {"name": "b", "secret": {"secretName": "s"}},
            {"name": "c", "emptyDir": {}},
            {"name": "d", "downwardAPI": {"items": items}},
            {"name": "e", "configMap": {"name": "none", "optional": True}},
            {"name": "f", "projected": {"sources": [{"secret": {"name": "s"}}]}},
        ],
    )
    assert [entry["metadata"]["name"] for entry in request["configmaps"]] == ["m"]
    assert "managedFields" not in request["configmaps"][0]["metadata"]
    assert [entry["metadata"]["name"] for entry in request["secrets"]] == ["s"]
    assert request["projectedvolumesmaps"][0]["data"] == {"labels": 'a="x\\"y"\nb="2"'}
    assert request["projectedvolumesmaps"][1]["binaryData"] == {"bin": b64(b"\xff\x00")}


async def test_what_many_containers_mount_is_sent_once(bench: Bench) -> None:
    bench.fake.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "v"}})
    bench.fake.put(f"{NAMESPACE}/secrets/s", {"data": {"k": b64(b"v")}})
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in "abcd"]
    request = await bench.request(
        {},
        initContainers=[{"name": "i", "image": "i", "volumeMounts": mounts}],
        containers=[{"name": f"c{number}", "image": "i", "volumeMounts": mounts} for number in range(3)],
        volumes=[
            {"name": "a", "configMap": {"name": "m"}},
            {"name": "b", "configMap": {"name": "m", "items": [{"key": "k", "path": "x"}]}},
            {"name": "c", "secret": {"secretName": "s"}},
            {"name": "d", "secret": {"secretName": "s", "defaultMode": 256}},
        ],
    )
    assert [entry["metadata"]["name"] for entry in request["configmaps"]] == ["m"]
    assert [entry["metadata"]["name"] for entry in request["secrets"]] == ["s"]
    assert bench.fake.count("GET", "configmaps/m") == bench.fake.count("GET", "secrets/s") == 1


@pytest.mark.parametrize(
    ("volume", "words"),
    [
        ({"configMap": {"name": "no"}}, 'volume "v" : configmap "no" not found'),
        ({"secret": {"secretName": "no"}}, 'volume "v" : secret "no" not found'),
        ({"configMap": {"name": "m", "items": [{"key": "x", "path": "x"}]}}, "non-existent configmap key: x"),
        ({"projected": {"sources": [{"podCertificate": {}}]}}, "podCertificate is not supported"),
        ({"projected": {"sources": [{}]}}, "removed a projected source that its feature gates"),
    ],
)
async def test_missing_volumes_are_named(bench: Bench, volume: Json, words: str) -> None:
    bench.fake.put(f"{NAMESPACE}/configmaps/m", {"data": {"k": "v"}})
    with pytest.raises(NotReadyError, match=words):
        await bench.request({}, volumes=[{"name": "v", **volume}])


@pytest.mark.parametrize(
    "name", ["../secrets/s", "../../other/secrets/s", "%2e%2e/secrets/s", "s?watch=1", "", ".", "A"]
)
async def test_a_name_leads_to_no_other_object(bench: Bench, name: str) -> None:
    """The API lets a pod refer to any text as a name: it must not become a path to what the pod may not see."""
    for namespace in ("default", "other"):
        bench.fake.put(f"/api/v1/namespaces/{namespace}/secrets/s", {"data": {"k": b64(b"hidden")}})
    asked = len(bench.fake.requests)
    for volume in ({"configMap": {"name": name}}, {"projected": {"sources": [{"configMap": {"name": name}}]}}):
        with pytest.raises(NotReadyError, match="is no name of a"):
            await bench.request({}, volumes=[{"name": "v", **volume}])
    with pytest.raises(ContainersNotReadyError, match="is no name of a"):
        await bench.request({"envFrom": [{"configMapRef": {"name": name, "optional": True}}]})
    assert bench.fake.requests[asked:] == []


async def test_image_pull_secrets_go_along_once_and_those_that_are_missing_do_not(bench: Bench) -> None:
    data = {".dockercfg": b64(b"{}")}
    bench.fake.put(f"{NAMESPACE}/secrets/pull", {"data": data})
    names = [{"name": "pull"}, {"name": "missing"}, {"name": "pull"}, {}]
    request = await bench.request({}, imagePullSecrets=names)
    assert [secret["data"] for secret in request["imagePullSecrets"]] == [data]
    assert (await bench.request({}))["imagePullSecrets"] == []
