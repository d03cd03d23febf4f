"""Pods that no scheduler has placed meet the kubelet's own checks; DaemonSets that mean every node meet the rule."""

from collections.abc import Callable
from typing import Any

import pytest

from interlink.vk.pods.admission import Demand, came_by_chance, check, is_of_daemon_set, pod_demand

World = Any  # of conftest.py
Eventually = Callable[..., Any]
Json = dict[str, Any]

OURS = {"key": "virtual-node.interlink/no-schedule", "value": "true", "effect": "NoSchedule"}
NODE: Json = {
    "metadata": {"name": "n", "labels": {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "cores": "64"}},
    "spec": {"taints": [OURS]},
    "status": {"allocatable": {"cpu": "4", "memory": "4Gi", "pods": "3", "nvidia.com/gpu": "2"}},
}
EVERYTHING = {"operator": "Exists"}


def pod(*containers: Json, labels: Json | None = None, **spec: Any) -> Json:
    return {
        "metadata": {"name": "p", "uid": "u", "labels": labels or {}},
        "spec": {"nodeName": "n", "containers": list(containers) or [{"name": "c"}], **spec},
    }


def asks(port: int = 0, policy: str = "", **amounts: str) -> Json:
    amounts = {name.replace("gpu", "nvidia.com/gpu"): amount for name, amount in amounts.items()}
    ports = [{"containerPort": port, "hostPort": port}] if port else []
    return {"name": "c", "resources": {"requests": amounts}, "ports": ports, "restartPolicy": policy}


def verdict(one: Json, used: Demand = Demand()) -> tuple[str, str] | None:  # noqa: B008 - frozen
    refusal = check(one, NODE, pod_demand(one), used)
    return (refusal.reason, refusal.message) if refusal else None


FULL = Demand({"cpu": 3, "memory": 1024**3, "pods": 2, "nvidia.com/gpu": 1})
SHORT = "Node didn't have enough resource: "


@pytest.mark.parametrize(
    ("one", "reason", "message"),
    [
        (pod(asks(cpu="1500m")), "OutOfcpu", SHORT + "cpu, requested: 1500, used: 3000, capacity: 4000"),
        (
            pod(asks(memory="4Gi")),
            "OutOfmemory",
            SHORT + "memory, requested: 4294967296, used: 1073741824, capacity: 4294967296",
        ),
        (pod(asks(gpu="2")), "OutOfnvidia.com/gpu", SHORT + "nvidia.com/gpu, requested: 2, used: 1, capacity: 2"),
        (
            pod(nodeSelector={"cores": "128"}),
            "NodeAffinity",
            "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        ),
        (pod(nodeSelector={"kubernetes.io/arch": "arm64"}), "NodeAffinity", None),
        (pod(os={"name": "windows"}), "PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS"),
        (pod(labels={"kubernetes.io/os": "windows"}), "PodOSSelectorNodeLabelDoesNotMatch", None),
        (pod(securityContext={"supplementalGroupsPolicy": "Strict"}), "SupplementalGroupsPolicyNotSupported", None),
    ],
)
def test_refusals_are_the_kubelet_s(one: Json, reason: str, message: str | None) -> None:
    refusal = verdict(one, FULL)
    assert refusal is not None
    assert refusal[0] == reason
    assert message in (None, refusal[1])


def test_what_fits_exactly_is_taken_and_one_pod_more_is_not() -> None:
    assert verdict(pod(asks(cpu="1", memory="3Gi", gpu="1")), FULL) is None
    assert verdict(pod(), Demand({"pods": 3})) == (
        "OutOfpods",
        SHORT + "pods, requested: 1, used: 3, capacity: 3",
    )


def test_a_resource_that_the_node_does_not_have_is_not_its_matter() -> None:
    one = pod({"name": "c", "resources": {"requests": {"example.com/license": "1"}}})
    assert verdict(one) is None


def test_a_pod_is_counted_as_the_scheduler_counts_it() -> None:
    init = [asks(policy="Always", cpu="1"), asks(cpu="3"), asks(policy="Always", cpu="500m")]
    assert pod_demand(pod(asks(cpu="1"), initContainers=init)).amounts["cpu"] == 4
    assert pod_demand(pod(asks(cpu="3"), initContainers=init, overhead={"cpu": "250m"})).amounts["cpu"] == 4.75
    of_pod = pod(asks(cpu="3"), resources={"requests": {"cpu": "2"}}, overhead={"cpu": "1"})
    assert pod_demand(of_pod).amounts["cpu"] == 3


def test_host_ports_collide() -> None:
    one, other = pod(asks(port=80)), pod(asks(port=80))
    assert verdict(one, pod_demand(other)) == (
        "NodePorts",
        "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
    )
    assert verdict(one, pod_demand(pod(asks(port=81)))) is None
    bound = pod({"name": "c", "ports": [{"hostPort": 80, "hostIP": "127.0.0.1"}]})
    apart = pod({"name": "c", "ports": [{"hostPort": 80, "hostIP": "127.0.0.2"}]})
    assert verdict(bound, pod_demand(apart)) is None
    assert verdict(bound, pod_demand(one)) is not None


@pytest.mark.parametrize(
    ("tolerations", "taken"),
    [
        ([], False),
        ([{"key": "gone", "operator": "Exists"}], True),
        ([{"key": "gone", "operator": "Exists", "effect": "NoSchedule"}], False),
        ([{"key": "gone", "value": "yes"}], True),
        ([{"key": "gone", "value": "no"}], False),
        ([EVERYTHING], True),
    ],
)
def test_no_execute_taints_refuse_what_does_not_tolerate_them(tolerations: list[Json], taken: bool) -> None:
    node = {**NODE, "spec": {"taints": [OURS, {"key": "gone", "value": "yes", "effect": "NoExecute"}]}}
    one = pod(tolerations=tolerations)
    refusal = check(one, node, pod_demand(one), Demand())
    assert (refusal is None) == taken
    assert taken or (refusal and refusal.reason == "TaintToleration")


@pytest.mark.parametrize(
    ("terms", "taken"),
    [
        ([{"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["32"]}]}], True),
        ([{"matchExpressions": [{"key": "cores", "operator": "Lt", "values": ["32"]}]}], False),
        ([{"matchExpressions": [{"key": "none", "operator": "Gt", "values": ["32"]}]}], False),
        ([{"matchExpressions": [{"key": "cores", "operator": "In", "values": ["8", "64"]}]}], True),
        ([{"matchExpressions": [{"key": "cores", "operator": "NotIn", "values": ["8", "64"]}]}], False),
        ([{"matchExpressions": [{"key": "none", "operator": "NotIn", "values": ["8"]}]}], True),
        ([{"matchExpressions": [{"key": "cores", "operator": "Exists"}]}], True),
        ([{"matchExpressions": [{"key": "cores", "operator": "DoesNotExist"}]}], False),
        ([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}], True),
        ([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["m"]}]}], False),
        ([{}], False),
        ([{}, {"matchExpressions": [{"key": "cores", "operator": "Exists"}]}], True),
        ([{"matchExpressions": [{"key": "cores", "operator": "Like"}]}], False),
    ],
)
def test_node_affinity(terms: list[Json], taken: bool) -> None:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    assert (verdict(pod(affinity={"nodeAffinity": required})) is None) == taken


@pytest.mark.parametrize(
    ("tolerations", "selector", "chance"),
    [
        ([EVERYTHING], {}, True),
        ([EVERYTHING], {"kubernetes.io/os": "linux"}, True),
        ([{"operator": "Exists", "effect": "NoSchedule"}], {}, True),
        ([EVERYTHING, {"key": "node.kubernetes.io/not-ready", "operator": "Exists"}], {}, True),
        ([EVERYTHING], {"type": "virtual-kubelet"}, False),
        ([EVERYTHING, {"key": OURS["key"], "operator": "Exists"}], {}, False),
        ([{"key": OURS["key"], "operator": "Exists"}], {}, False),
        ([], {}, False),
    ],
)
def test_daemon_sets_that_mean_every_node(tolerations: list[Json], selector: Json, chance: bool) -> None:
    assert came_by_chance(pod(tolerations=tolerations, nodeSelector=selector), NODE) == chance


@pytest.mark.parametrize(
    ("operator", "key", "chance"),
    [
        ("In", "type", False),
        ("Exists", "cores", False),
        ("NotIn", "eks.amazonaws.com/compute-type", True),
        ("DoesNotExist", "type", True),
        ("In", "kubernetes.io/arch", True),
    ],
)
def test_a_daemon_set_means_a_kind_of_node_by_what_it_wants_of_one(operator: str, key: str, chance: bool) -> None:
    terms = [{"matchExpressions": [{"key": key, "operator": operator, "values": ["x"]}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    assert came_by_chance(pod(tolerations=[EVERYTHING], affinity={"nodeAffinity": required}), NODE) == chance


def owned(kind: str) -> Json:
    return {"ownerReferences": [{"kind": kind, "controller": True, "name": "o", "uid": "1", "apiVersion": "v1"}]}


PLACED = {"conditions": [{"type": "PodScheduled", "status": "True"}]}


def test_a_pod_of_another_owner_is_no_daemon_set_s() -> None:
    assert is_of_daemon_set({"metadata": owned("DaemonSet")})
    assert not is_of_daemon_set({"metadata": owned("ReplicaSet")})
    assert not is_of_daemon_set({"metadata": {}})


async def test_a_daemon_set_s_pod_waits_and_is_not_sent(world: World, eventually: Eventually) -> None:
    """Nothing is failed in a loop: the DaemonSet's controller would make a failed pod anew for ever."""
    world.add_pod("proxy", metadata=owned("DaemonSet"), spec={"tolerations": [EVERYTHING]}, status=PLACED)
    named = [EVERYTHING, {"key": OURS["key"], "operator": "Exists"}]
    meant = world.add_pod("agent", metadata=owned("DaemonSet"), spec={"tolerations": named}, status=PLACED)
    async with world.running():
        await eventually(lambda: meant["metadata"]["uid"] in world.edge.statuses)
        status = await eventually(lambda: world.pod("proxy")["status"].get("containerStatuses"))
        assert world.phase("proxy") == "Pending"
        assert status[0]["state"]["waiting"]["reason"] == "DaemonSetIgnored"
        assert "type NotIn virtual-kubelet" in status[0]["state"]["waiting"]["message"]
        await eventually(lambda: "DaemonSetIgnored" in world.reasons())
        version = world.pod("proxy")["metadata"]["resourceVersion"]
        world.kubelet.pods.look_at_all()
        await world.delete("agent")
        await eventually(lambda: world.edge.deleted)
        assert world.pod("proxy")["metadata"]["resourceVersion"] == version
        await world.delete("proxy")
        await eventually(lambda: not world.pod("proxy"))
    assert world.edge.count("/create") == 1
    assert world.reasons().count("DaemonSetIgnored") == 1


async def test_a_daemon_set_s_pod_is_rejected_where_the_site_says_so(world: World, eventually: Eventually) -> None:
    world.changes["daemon_sets"] = "reject"
    world.add_pod("proxy", metadata=owned("DaemonSet"), spec={"tolerations": [EVERYTHING]}, status=PLACED)
    async with world.running():
        await eventually(lambda: world.phase("proxy") == "Failed")
    assert world.pod("proxy")["status"]["reason"] == "DaemonSetRejected"
    assert not world.edge.count("/create")


async def test_a_pod_that_no_scheduler_placed_is_counted(world: World, eventually: Eventually) -> None:
    """The node has 128 cores by the site's word; what has ended, here or unseen, takes none of them."""
    half = {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "64"}}}]}
    world.add_pod("scheduled", spec=half, status=PLACED)
    async with world.running():
        first = world.pod("scheduled")["metadata"]["uid"]
        await eventually(lambda: first in world.edge.statuses)
        second = world.add_pod("fits", spec=half)["metadata"]["uid"]
        await eventually(lambda: second in world.edge.statuses)
        world.add_pod("late", spec=half)
        await eventually(lambda: world.phase("late") == "Failed")
        status = world.pod("late")["status"]
        assert status["reason"] == "OutOfcpu"
        assert status["message"] == (
            "Pod was rejected: Node didn't have enough resource: cpu, requested: 64000, used: 128000, capacity: 128000"
        )
        await eventually(lambda: "OutOfcpu" in world.reasons())
    # A virtual kubelet that was started anew counts what the edge has.
    async with world.running():
        world.add_pod("later", spec=half)
        await eventually(lambda: world.phase("later") == "Failed")
        world.edge.say(second, {"terminated": {"exitCode": 0}}, ended=True)
        await eventually(lambda: world.phase("fits") == "Succeeded")
        third = world.add_pod("again", spec=half)["metadata"]["uid"]
        await eventually(lambda: third in world.edge.statuses)
        # What a scheduler has placed is let wait by the site, not failed by the node.
        fourth = world.add_pod("placed", spec=half, status=PLACED)["metadata"]["uid"]
        await eventually(lambda: fourth in world.edge.statuses)


async def test_one_of_two_that_come_at_once_is_taken(world: World, eventually: Eventually) -> None:
    most = {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "100"}}}]}
    names = [f"p{number}" for number in range(5)]
    async with world.running() as kubelet:
        await eventually(lambda: kubelet.store.listed)
        for name in names:
            world.add_pod(name, spec=most)
        await eventually(lambda: sum(world.phase(name) == "Failed" for name in names) == 4)
        await eventually(lambda: len(world.edge.statuses) == 1)
