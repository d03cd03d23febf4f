"""The create request on its way through InterLink: each container gets the contents of what it mounts, no more."""

from collections.abc import Mapping

import msgspec

from interlink.api.translate import plugin_request
from interlink.wire.messages import PodCreateRequest, RetrievedPodData
from interlink.wire.pod import Pod

POD = {
    "metadata": {"name": "p", "namespace": "ns", "uid": "u", "managedFields": [{"kept": "as it came"}]},
    "spec": {
        "volumes": [
            {"name": "config", "configMap": {"name": "cm"}},
            {"name": "keys", "secret": {"secretName": "s"}},
            {"name": "token", "projected": {"sources": []}},
            {"name": "scratch", "emptyDir": {}},
            {"name": "odd", "configMap": None},
        ],
        "initContainers": [{"name": "first", "volumeMounts": [{"name": "keys", "mountPath": "/k"}]}],
        "containers": [
            {
                "name": "main",
                "volumeMounts": [{"name": name, "mountPath": f"/{name}"} for name in ("config", "token", "scratch")],
            },
            {"name": "bare", "volumeMounts": None},
        ],
    },
}
REQUEST = {
    "pod": POD,
    "configmaps": [{"metadata": {"name": "cm"}, "data": {"a": "1"}}, {"metadata": {"name": "other"}}],
    "secrets": [{"metadata": {"name": "s"}, "data": {"k": "dg=="}}],
    "projectedvolumesmaps": [{"metadata": {"name": "token"}, "data": {"token": "t"}}],
}


def translated(request: Mapping[str, object]) -> bytes:
    message = msgspec.json.decode(msgspec.json.encode(request), type=PodCreateRequest)
    return msgspec.json.encode(plugin_request(message, msgspec.json.decode(message.pod, type=Pod)))


def test_containers_come_init_first_each_with_its_own_volumes_contents() -> None:
    plugin = msgspec.json.decode(translated(REQUEST), type=RetrievedPodData)
    assert plugin.container is not None
    first, main, bare = plugin.container
    assert [container.name for container in plugin.container] == ["first", "main", "bare"]
    assert first.secrets == REQUEST["secrets"]
    assert first.configMaps is None
    assert main.configMaps == [{"metadata": {"name": "cm"}, "data": {"a": "1"}}]
    assert main.projectedvolumemaps == REQUEST["projectedvolumesmaps"]
    assert main.emptyDirs == ["scratch"]
    assert (bare.configMaps, bare.secrets, bare.projectedvolumemaps, bare.emptyDirs) == (None, None, None, None)


def test_image_pull_secrets_are_passed_on_where_there_are_any() -> None:
    secrets = [{"metadata": {"name": "pull"}, "data": {".dockerconfigjson": "e30="}}]
    plugin = msgspec.json.decode(translated({**REQUEST, "imagePullSecrets": secrets}), type=RetrievedPodData)
    assert plugin.imagePullSecrets == secrets
    assert "imagePullSecrets" not in msgspec.json.decode(translated({**REQUEST, "imagePullSecrets": []}))


def test_the_pod_is_passed_on_as_it_came() -> None:
    assert msgspec.json.decode(translated(REQUEST))["pod"] == POD


def test_the_job_configuration_that_plugins_rely_on_is_always_there() -> None:
    assert set(msgspec.json.decode(translated({"pod": POD}))["jobConfig"]) == {
        "SingularityHubProxy",
        "ApptainerOptions",
        "Volumes",
    }


def test_lists_that_are_null_are_empty() -> None:
    nulls = {"pod": POD, "configmaps": None, "secrets": None, "projectedvolumesmaps": None}
    plugin = msgspec.json.decode(translated(nulls), type=RetrievedPodData)
    assert plugin.container is not None
    assert all(container.secrets is None for container in plugin.container)
