"""The same pod on the bed's real kubelet and on a virtual node: what it sees is the same.

The virtual kubelet is the test's own, of this tree; the edge and Slurm are the bed's.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, Object, container
from tests.e2e.kubelet import OwnKubelet
from tests.e2e.waiting import wait_for
from tests.testbed import layout
from tests.testbed.bed import Bed


@pytest.fixture
def nodes(bed: Bed, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The names of both nodes."""
    own = OwnKubelet(bed, tmp_path, vkubelet_pod_ip=bed.network.gateway)
    with own.running():
        wait_for("the node", lambda: bed.kubectl("get", "node", own.node, "--ignore-not-found", "-o", "name"))
        yield {"real": layout.CLUSTER_NODE, "virtual": own.node}
    own.remove_node()


def on(node: str, name: str, **spec: Any) -> Object:
    """Return a pod that is bound to the node."""
    bound = {"nodeName": node, "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {**bound, **spec}}


def test_environments_are_a_kubelets(cluster: Cluster, nodes: dict[str, str]) -> None:
    data = {"T_COLOUR": "blue", "T_SHAPE": "round", "odd": "$(T_FIRST)"}
    cluster.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": data},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"password": "s3 cret"}},
    )

    def value(name: str, **source: Object) -> Object:
        return {"name": name, "valueFrom": source}

    def amount(name: str, what: str, divisor: str) -> Object:
        return value(name, resourceFieldRef={"resource": what, "divisor": divisor})

    missing = {"name": "nobody", "key": "x", "optional": True}
    env = [
        {"name": "T_FIRST", "value": "1"},
        {"name": "T_EARLY", "value": "$(T_FIRST) $(T_LATE) $(T_COLOUR)"},
        {"name": "T_LATE", "value": "late"},
        {"name": "T_DOLLARS", "value": "$$(T_FIRST) $$$(T_FIRST) $(T_NONE) $T_FIRST $"},
        {"name": "T_SHAPE", "value": "square, not $(T_SHAPE)"},
        {"name": "T_FIRST", "value": "$(T_FIRST) again"},
        value("T_PASSWORD", secretKeyRef={"name": "keys", "key": "password"}),
        value("T_ODD", configMapKeyRef={"name": "settings", "key": "odd"}),
        value("T_NO_MAP", configMapKeyRef=missing),
        value("T_NO_SECRET", secretKeyRef=missing),
        value("T_NO_KEY", secretKeyRef={**missing, "name": "keys"}),
        value("T_NAMESPACE", fieldRef={"fieldPath": "metadata.namespace"}),
        value("T_LABEL", fieldRef={"fieldPath": "metadata.labels['colour']"}),
        value("T_IP", fieldRef={"fieldPath": "status.podIP"}),
        amount("T_MILLI", "requests.cpu", "1m"),
        amount("T_CORES", "limits.cpu", "1"),
        amount("T_MEBI", "requests.memory", "1Mi"),
        amount("T_MEGA", "limits.memory", "1M"),
        amount("T_BYTES", "limits.memory", "0"),
        {"name": "T_AFTER", "value": "$(T_PASSWORD)/$(T_MILLI)/$(T_NO_KEY)"},
    ]
    sources = [
        {"configMapRef": {"name": "settings"}},
        {"prefix": "T_P_", "configMapRef": {"name": "settings"}},
        {"secretRef": {"name": "nobody", "optional": True}},
    ]
    resources = {"requests": {"cpu": "250m", "memory": "48Mi"}, "limits": {"cpu": "1500m", "memory": "64Mi"}}
    shown = container('env | grep ^T_ | sort; echo "$0 $1"', env=env, envFrom=sources, resources=resources)
    shown["command"] += ["$(T_LATE) $(T_COLOUR)", "$$(T_LATE) $(T_NONE)"]
    for which, node in nodes.items():
        pod = on(node, which, restartPolicy="Never", containers=[shown])
        pod["metadata"]["labels"] = {"colour": "red"}
        cluster.apply(pod)
    said = {}
    for which in nodes:
        address = cluster.wait_phase(which, "Succeeded", "Failed")["status"]["podIP"]
        said[which] = cluster.logs(which).replace(f"T_IP={address}\n", "T_IP=its own\n")
    assert "T_IP=its own\n" in said["virtual"]
    assert said["virtual"] == said["real"]
