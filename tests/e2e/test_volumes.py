"""Volumes on real parts: what the site opens to pods, what it refuses, and new contents for a pod that runs."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, container, terminated
from tests.e2e.kubelet import OwnKubelet
from tests.e2e.waiting import wait_for
from tests.testbed.bed import Bed
from tests.testbed.inventory import OPEN, READ_ONLY

SIDECAR = "/run/interlink-slurm/slurm.sock"


@pytest.fixture
def land(bed: Bed, cluster: Cluster) -> Iterator[str]:
    """A folder that is open to pods, on every host of the site."""
    land = f"{OPEN}/{cluster.namespace}"
    script = (
        f"umask 022; mkdir -p {land} {OPEN}/claims {READ_ONLY} && echo fixed > {READ_ONLY}/file && "
        f"ln -s /etc {land}/out && ln -s {READ_ONLY} {land}/over && chown -R interlink: {OPEN}"
    )
    for host in bed.layout.site:
        bed.site(["sh", "-c", script], host=host.name)
    yield land
    for host in bed.layout.site:
        bed.site(["rm", "-r", "-f", land, f"{OPEN}/claims/{cluster.namespace}"], host=host.name)


@pytest.fixture
def claims(bed: Bed, cluster: Cluster) -> Iterator[None]:
    """The claims data-1 and other, bound as the scheduler wants them; what they are bound to, the site ignores."""
    names = {claim: f"{cluster.namespace}-{claim}" for claim in ("data-1", "other")}
    for claim, volume in names.items():
        size: dict[str, Any] = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
        reference = {"namespace": cluster.namespace, "name": claim}
        source = {"capacity": {"storage": "1Gi"}, "claimRef": reference, "hostPath": {"path": "/nowhere"}}
        wanted = {"volumeName": volume, "resources": {"requests": {"storage": "1Gi"}}}
        cluster.apply(
            {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": volume}, "spec": {**size, **source}},
            {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": claim},
             "spec": {**size, **wanted}},
        )  # fmt: skip
    yield
    bed.kubectl("delete", "persistentvolume", "--wait=false", *names.values())


@pytest.fixture
def kubelet(bed: Bed, tmp_path: Path) -> Iterator[OwnKubelet]:
    kubelet = OwnKubelet(bed, tmp_path)
    yield kubelet
    kubelet.remove_node()


def mount(name: str, path: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "mountPath": path, **fields}


def test_a_pod_mounts_all_that_a_site_can_give(cluster: Cluster, bed: Bed, land: str, claims: None) -> None:
    cluster.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "one\n"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"key": "s3cret"}},
    )
    script = """
        set -e
        cat /all/conf /all/key /all/labels; echo; test -s /all/token; stat -L -c %a /all/conf /all/key
        echo x > /memory/x; df /memory | grep -q shm && echo memory
        echo kept > /claim/kept; echo made > /logs/file
        cat /host/over/file 2>/dev/null || echo "not in the container"
        cat /over/file; touch /over/no 2>/dev/null || echo read-only
        until [ -f /sub/done ]; do sleep 0.1; done; cat /sub/done
    """
    reader = container(
        script,
        name="reader",
        env=[{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        volumeMounts=[
            mount("all", "/all"), mount("memory", "/memory"), mount("claim", "/claim"), mount("host", "/host"),
            mount("over", "/over"), mount("claim", "/logs", subPathExpr="logs/$(POD)"),
            mount("scratch", "/sub", subPath="below"),
        ],
    )  # fmt: skip
    script = "mkdir -p /all/below; echo shared > /all/below/t; mv /all/below/t /all/below/done; sleep 1"
    writer = container(script, name="writer", volumeMounts=[mount("scratch", "/all")])
    sources = [
        {"configMap": {"name": "settings", "items": [{"key": "a", "path": "conf", "mode": 0o440}]}},
        {"secret": {"name": "keys"}},
        {"serviceAccountToken": {"path": "token"}},
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.name"}}]}},
    ]
    cluster.start(
        "all",
        containers=[reader, writer],
        volumes=[
            {"name": "all", "projected": {"sources": sources, "defaultMode": 0o400}},
            {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "10Mi"}},
            {"name": "scratch", "emptyDir": {}},
            {"name": "claim", "persistentVolumeClaim": {"claimName": "data-1"}},
            {"name": "host", "hostPath": {"path": f"{land}/new", "type": "DirectoryOrCreate"}},
            {"name": "over", "hostPath": {"path": f"{land}/over", "type": "Directory"}},
        ],
    )
    found = cluster.wait_phase("all", "Succeeded", "Failed")
    said = cluster.logs("all", "-c", "reader")
    assert said.splitlines() == [
        "one", "s3cretall", "440", "400", "memory", "not in the container", "fixed", "read-only", "shared",
    ], found["status"]  # fmt: skip
    kept = f"cat {OPEN}/claims/{cluster.namespace}/data-1/kept {OPEN}/claims/{cluster.namespace}/data-1/logs/all/file"
    assert bed.site(["sh", "-c", kept]) == "kept\nmade\n"
    # The last report is told first, and then the job's folders on the node go.
    left = "ls -d /dev/shm/interlink-* 2>/dev/null || true"
    wait_for("the memory volume to be gone", lambda: bed.site(["sh", "-c", left]), lambda seen: not seen)


@pytest.mark.parametrize(
    ("volume", "words"),
    [
        ({"hostPath": {"path": "/etc"}}, "hostPath /etc is not open to pods on this site"),
        ({"hostPath": {"path": "/srv/interlink/jobs"}}, "would show other pods' files"),
        ({"persistentVolumeClaim": {"claimName": "other"}}, 'PersistentVolumeClaim "other" of namespace'),
    ],
)
def test_what_the_site_does_not_open_is_refused_by_name(
    cluster: Cluster, claims: None, volume: dict[str, Any], words: str
) -> None:
    shown = container("true", volumeMounts=[mount("v", "/v")])
    cluster.start("refused", containers=[shown], volumes=[{"name": "v", **volume}])
    status = cluster.wait_phase("refused", "Failed")["status"]
    assert words in status["message"]


def test_a_link_out_of_what_is_open_and_a_full_volume_end_their_pods_in_words(cluster: Cluster, land: str) -> None:
    out = container("true", volumeMounts=[mount("v", "/v")])
    cluster.start("out", containers=[out], volumes=[{"name": "v", "hostPath": {"path": f"{land}/out"}}])
    full = container("head -c 3000000 /dev/zero > /v/big; sleep 60", volumeMounts=[mount("v", "/v")])
    cluster.start("full", containers=[full], volumes=[{"name": "v", "emptyDir": {"sizeLimit": "2Mi"}}])
    state = terminated(cluster.wait_phase("out", "Failed"))
    assert "leads to /etc, which the site's administrator has not allowed" in state["message"]
    status = cluster.wait_phase("full", "Failed")["status"]
    assert (status["reason"], status["message"]) == (
        "Evicted", 'Usage of EmptyDir volume "v" exceeds the limit "2Mi".',
    )  # fmt: skip


def test_new_contents_reach_a_running_pod_at_once_and_whole(cluster: Cluster, bed: Bed) -> None:
    data = {"a": "1", "b": "1"}
    cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": data})
    shown = container(
        "echo began; until [ $(cat /c/a) = 2 ]; do sleep 0.1; done; cat /c/b /sub",
        volumeMounts=[mount("c", "/c"), mount("c", "/sub", subPath="a")],
    )
    cluster.start("fresh", containers=[shown], volumes=[{"name": "c", "configMap": {"name": "settings"}}])
    cluster.wait_phase("fresh", "Running")
    wait_for("the container to begin", lambda: cluster.logs("fresh"), lambda said: "began" in said)
    newer = {"metadata": {"name": "settings"}, "data": {"a": "2", "b": "2"}}
    request = {"pod": cluster.pod("fresh"), "container": [{"name": "main", "configMaps": [newer]}]}
    encoded = base64.b64encode(json.dumps(request).encode()).decode()
    post = f"echo {encoded} | base64 -d | curl -sS --unix-socket {SIDECAR} --data-binary @- http://sidecar/update"
    assert bed.site(["sh", "-c", post]) == "update noted"
    cluster.wait_phase("fresh", "Succeeded", within=30)
    assert cluster.logs("fresh") == "began\n21"


def test_what_changes_in_kubernetes_reaches_a_running_pods_files(cluster: Cluster, bed: Bed) -> None:
    def config_map(value: str) -> dict[str, Any]:
        data = {"a": value, "b": value}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": data}

    def secret(value: str) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"key": value}}

    def late(value: str) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}, "data": {"a": value}}

    script = """
        echo began
        until [ "$(cat /c/a /p/key /d/label /p/late 2>/dev/null)" = 222two ]; do sleep 0.2; done
        cat /c/b /sub; echo $A; echo changed
        until [ "$(cat /p/key)" = 3 ]; do sleep 0.2; done
        cat /c/a
    """
    mounts = [mount(name, f"/{name}") for name in "cpd"]
    shown = container(
        script,
        env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "a"}}}],
        volumeMounts=[*mounts, mount("c", "/sub", subPath="a")],
    )
    label = {"path": "label", "fieldRef": {"fieldPath": "metadata.labels['show']"}}
    optional = {"name": "late", "optional": True, "items": [{"key": "a", "path": "late"}]}
    volumes = [
        {"name": "c", "configMap": {"name": "settings"}},
        {"name": "p", "projected": {"sources": [{"secret": {"name": "keys"}}, {"configMap": optional}]}},
        {"name": "d", "downwardAPI": {"items": [label]}},
    ]
    cluster.apply(config_map("1"), secret("1"))
    cluster.start("current", containers=[shown], volumes=volumes)
    cluster.wait_phase("current", "Running")
    wait_for("the container to begin", lambda: cluster.logs("current"), lambda said: "began" in said)
    cluster.apply(config_map("2"), secret("2"), late("two"))
    cluster.kubectl("label", "pod", "current", "show=2")
    wait_for("all the changes", lambda: cluster.logs("current"), lambda said: "changed" in said)
    assert cluster.logs("current").splitlines() == ["began", "211", "changed"]

    cluster.kubectl("delete", "configmap", "settings")
    words = 'MountVolume.SetUp failed for volume "c" : configmap "settings" not found'
    wait_for(
        "an event about the lost ConfigMap",
        lambda: [event["message"] for event in cluster.events("current") if event["reason"] == "FailedMount"],
        lambda seen: seen == [words],
    )
    assert cluster.pod("current")["status"]["phase"] == "Running"
    cluster.apply(secret("3"))
    cluster.wait_phase("current", "Succeeded")
    assert cluster.logs("current").endswith("changed\n2")


def test_a_short_lived_token_is_renewed_for_a_running_pod(
    cluster: Cluster, bed: Bed, land: str, kubelet: OwnKubelet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node of the test's own, whose clock is turned on by eight minutes: 80 % of the shortest life of a token."""
    monkeypatch.setattr("interlink.vk.volumes.updates.LOOK_SECONDS", 1.0)
    script = """
        cat /t/token > /h/first; touch /h/began
        until ! cmp -s /t/token /h/first; do sleep 0.2; done
        cat /t/token > /h/second
    """
    shown = container(script, volumeMounts=[mount("t", "/t"), mount("h", "/h")])
    source = {"serviceAccountToken": {"path": "token", "expirationSeconds": 600, "audience": "vault"}}
    volumes = [
        {"name": "t", "projected": {"sources": [source]}},
        {"name": "h", "hostPath": {"path": f"{land}/tokens", "type": "DirectoryOrCreate"}},
    ]
    with kubelet.running():
        wait_for("its node", lambda: bed.kubectl("get", "node", kubelet.node, "--ignore-not-found", "-o", "name"))
        cluster.start("token", containers=[shown], volumes=volumes, nodeName=kubelet.node)
        began = f"test -f {land}/tokens/began && echo began || true"
        wait_for("the container to begin", lambda: bed.site(["sh", "-c", began]))
        kubelet.ahead = 485.0
        cluster.wait_phase("token", "Succeeded")
    first, second = (_claims(bed.site(["cat", f"{land}/tokens/{name}"])) for name in ("first", "second"))
    assert second["kubernetes.io"]["pod"] == first["kubernetes.io"]["pod"]
    assert second["aud"] == first["aud"] == ["vault"]
    assert second["iat"] > first["iat"]


def test_what_changed_while_no_virtual_kubelet_was_there_is_brought_by_the_next(
    cluster: Cluster, bed: Bed, land: str, kubelet: OwnKubelet
) -> None:
    def config_map(value: str) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": value}}

    script = "touch /h/began; until [ $(cat /c/a) = 2 ]; do sleep 0.2; done"
    shown = container(script, volumeMounts=[mount("c", "/c"), mount("h", "/h")])
    volumes = [
        {"name": "c", "configMap": {"name": "settings"}},
        {"name": "h", "hostPath": {"path": f"{land}/restart", "type": "DirectoryOrCreate"}},
    ]
    cluster.apply(config_map("1"))
    with kubelet.running():
        wait_for("its node", lambda: bed.kubectl("get", "node", kubelet.node, "--ignore-not-found", "-o", "name"))
        cluster.start("restart", containers=[shown], volumes=volumes, nodeName=kubelet.node)
        began = f"test -f {land}/restart/began && echo began || true"
        wait_for("the container to begin", lambda: bed.site(["sh", "-c", began]))
        cluster.wait_phase("restart", "Running")
    cluster.apply(config_map("2"))
    with kubelet.running():
        cluster.wait_phase("restart", "Succeeded")


def _claims(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims
