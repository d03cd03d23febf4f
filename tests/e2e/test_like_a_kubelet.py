"""The same pods on the bed's real kubelet and on a virtual node: what there is to see of them is the same.

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

POLICIES = ("Never", "OnFailure", "Always")


@pytest.fixture
def nodes(bed: Bed, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The names of both nodes."""
    own = OwnKubelet(bed, tmp_path, vkubelet_pod_ip=bed.network.gateway)
    with own.running():
        wait_for("the node", lambda: bed.kubectl("get", "node", own.node, "--ignore-not-found", "-o", "name"))
        yield {"real": layout.CLUSTER_NODE, "virtual": own.node}
    own.remove_node()


def small(script: str, name: str = "main", **fields: Any) -> Object:
    return container(script, name, resources={"requests": {"cpu": "100m", "memory": "32Mi"}}, **fields)


def on(node: str, name: str, **spec: Any) -> Object:
    """Return a pod that is bound to the node."""
    bound = {"nodeName": node, "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {**bound, **spec}}


def statuses(pod: Object) -> list[Object]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def settled(pod: Object) -> bool:
    """Whether it is over, waits for another start of a container that was started again, or has one that goes on."""
    status = pod.get("status") or {}
    if status.get("phase") in ("Succeeded", "Failed"):
        return True
    everyone = statuses(pod)
    states = {kind for item in everyone for kind in item["state"]}
    again = any(item["restartCount"] and _between_runs(item) for item in everyone)
    return again or (pod["spec"]["restartPolicy"] == "Never" and states == {"running", "terminated"})


def _between_runs(status: Object) -> bool:
    """Whether its last run is over: a kubelet says so by either of these, now the one and now the other."""
    return "terminated" in status["state"] or status["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"


def shape(pod: Object) -> Object:
    """Return what a kubelet's rules make of the pod: nothing of times, identities and sentences."""
    status = pod["status"]
    return {
        "phase": status["phase"],
        "conditions": {item["type"]: (item["status"], item.get("reason", "")) for item in status["conditions"]},
        # In the order of the names under a kubelet, of the spec here.
        "containers": {item["name"]: _container(item) for item in statuses(pod)},
    }


def _container(status: Object) -> Object:
    facts = {"ready": status["ready"], "started": bool(status.get("started"))}
    if status["restartCount"] and _between_runs(status):
        end = status["state"].get("terminated") or status["lastState"]["terminated"]
        return {**facts, "between runs": (end["reason"], end["exitCode"])}
    states = {when: _state(status.get(when) or {}) for when in ("state", "lastState")}
    return {**facts, **states}


def _state(state: Object) -> Object:
    return {kind: (facts.get("reason"), facts.get("exitCode")) for kind, facts in state.items()}


def test_phases_and_conditions_of_failing_containers_are_a_kubelets_under_each_restart_policy(
    cluster: Cluster, nodes: dict[str, str]
) -> None:
    kinds: dict[str, Object] = {
        "init": {"initContainers": [small("exit 4", "setup")], "containers": [small("true")]},
        "main": {"containers": [small("exit 3"), small("sleep 600", "beside")]},
        "ends": {"initContainers": [small("true", "setup")], "containers": [small("true")]},
    }
    names = [(kind, policy, f"{kind}-{policy.lower()}") for kind in kinds for policy in POLICIES]
    cluster.apply(
        *(
            on(node, f"{name}-{which}", restartPolicy=policy, **kinds[kind])
            for kind, policy, name in names
            for which, node in nodes.items()
        )
    )
    shapes: dict[str, Object] = {}

    def differ() -> dict[str, tuple[Object, Object]]:
        for pod in cluster.pods():
            name = pod["metadata"]["name"]
            if settled(pod):
                shapes[name] = shape(pod)
            elif name not in shapes or "unsettled" in shapes[name]:
                shapes[name] = {"unsettled": statuses(pod)}
        pairs = {name: (shapes.get(f"{name}-real", {}), shapes.get(f"{name}-virtual", {})) for _, _, name in names}
        return {name: pair for name, pair in pairs.items() if "phase" not in pair[0] or pair[0] != pair[1]}

    # Two kubelets start a dozen pods each on two cores, and wait 10 and 20 s before they start a container again.
    wait_for("all to settle, and to be the same", differ, lambda pairs: not pairs, within=120)
    phases = {name: shapes[f"{name}-virtual"]["phase"] for _, _, name in names}
    assert phases == {
        "init-never": "Failed", "init-onfailure": "Pending", "init-always": "Pending",
        "main-never": "Running", "main-onfailure": "Running", "main-always": "Running",
        "ends-never": "Succeeded", "ends-onfailure": "Succeeded", "ends-always": "Running",
    }  # fmt: skip
    cluster.kubectl("delete", "pods", "--all", "--grace-period=1", "--wait=false")


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
