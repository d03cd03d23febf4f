"""The virtual node, as the cluster sees it."""

import json
from typing import Any

import pytest

from interlink.core.quantity import parse_quantity
from tests.e2e.waiting import wait_for
from tests.testbed.bed import Bed


@pytest.fixture
def node(bed: Bed) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bed.kubectl("get", "node", "interlink", "-o", "json"))
    return found


def test_it_carries_the_label_that_the_examples_select(node: dict[str, Any]) -> None:
    assert node["metadata"]["labels"]["type"] == "virtual-kubelet"


def test_its_taint_keeps_pods_away_that_do_not_tolerate_it(node: dict[str, Any]) -> None:
    taint = {"key": "virtual-node.interlink/no-schedule", "value": "true", "effect": "NoSchedule"}
    assert taint in node["spec"]["taints"]


def test_its_capacity_is_the_partitions(bed: Bed, node: dict[str, Any]) -> None:
    nodes = bed.site(["sinfo", "--noheader", "--Node", "--partition=main", "--format=%c %m"]).splitlines()
    cpus, memory = (sum(column) for column in zip(*(map(int, line.split()) for line in nodes), strict=True))
    assert node["status"]["capacity"]["cpu"] == str(cpus)
    assert parse_quantity(node["status"]["capacity"]["memory"]) == memory * 1024**2
    assert node["status"]["allocatable"]["pods"] not in ("", "0")


def test_it_is_ready_with_every_condition_of_a_node(node: dict[str, Any]) -> None:
    conditions = {item["type"]: item["status"] for item in node["status"]["conditions"]}
    assert conditions["Ready"] == "True"
    assert conditions["InterLinkReachable"] == "True"
    for pressure in ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"):
        assert conditions[pressure] == "False"


def test_its_lease_is_renewed(bed: Bed) -> None:
    def renewed() -> str:
        return bed.kubectl("-n", "kube-node-lease", "get", "lease", "interlink", "-o", "jsonpath={.spec.renewTime}")

    first = renewed()
    wait_for("a renewed lease (every 10 s)", renewed, lambda seen: seen != first, within=25)


def test_it_runs_in_the_cluster_on_the_real_kubelet(bed: Bed) -> None:
    pods = json.loads(
        bed.kubectl("-n", "interlink", "get", "pods", "-l", "app.kubernetes.io/name=interlink-vk", "-o", "json")
    )["items"]
    living = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    assert [pod["spec"]["nodeName"] for pod in living] == ["testbed-node"] * 2
    assert {pod["status"]["phase"] for pod in living} == {"Running"}


def test_the_port_answers_nobody_without_credentials(bed: Bed) -> None:
    address = bed.kubectl(
        "get", "node", "interlink", "-o", 'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}'
    )
    status = ["curl", "--silent", "--insecure", "--output", "/dev/null", "--write-out", "%{http_code}"]
    cluster = "interlink-cluster"
    assert bed.docker.exec(cluster, [*status, f"https://{address}:10250/pods"]) == "401"
    assert bed.docker.exec(cluster, [*status, f"https://{address}:10250/healthz"]) == "200"
