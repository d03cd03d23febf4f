"""Virtual nodes of a test's own in the real cluster: what others put there, several of one process, an end in time."""

import json
import time
from collections.abc import Iterator
from functools import partial
from operator import eq
from pathlib import Path
from typing import Any

import pytest

from interlink.config import NodeTaint
from interlink.config.entries import NodeConfig
from interlink.core.quantity import parse_quantity
from interlink.vk.main import WalltimeOverError
from tests.e2e.cluster import Cluster, Object
from tests.e2e.kubelet import OwnKubelet
from tests.e2e.rights import pilot_rights
from tests.e2e.slurm import Slurm
from tests.e2e.waiting import wait_for
from tests.testbed.bed import Bed

#: The label by which a node's own pods find it, and what they tolerate.
HOSTNAME = "kubernetes.io/hostname"
OURS: Object = {"key": "virtual-node.interlink/no-schedule", "operator": "Exists"}

OURS_ONLY = NodeTaint(key=OURS["key"], value="true", effect="NoSchedule")


@pytest.fixture
def kubelet(bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnKubelet]:
    """A virtual kubelet whose port kube-apiserver reaches, and which looks at its configuration every second."""
    monkeypatch.setattr("interlink.vk.live.LOOK_SECONDS", 1.0)
    kubelet = OwnKubelet(bed, tmp_path, vkubelet_pod_ip=bed.network.gateway)
    yield kubelet
    kubelet.remove_node()


def node(bed: Bed, name: str) -> Object:
    """Return the node, an empty object where there is none."""
    found: Object = json.loads(bed.kubectl("get", "node", name, "--ignore-not-found", "-o", "json") or "{}")
    return found


def conditions(found: Object) -> dict[str, str]:
    return {item["type"]: item["status"] for item in found.get("status", {}).get("conditions") or []}


def taints(found: Object) -> set[str]:
    return {f"{item['key']}:{item['effect']}" for item in found.get("spec", {}).get("taints") or []}


def wait_ready(bed: Bed, name: str) -> Object:
    return wait_for(
        f"node {name} to be Ready",
        lambda: node(bed, name),
        lambda found: (
            conditions(found).get("Ready") == "True"
            and conditions(found).get("InterLinkReachable") == "True"
            and "interlink.io/owned" in found["metadata"].get("annotations", {})
        ),
        within=30,
    )


def on(name: str, script: str, **spec: Any) -> Object:
    """Return what a pod says that the scheduler is to bind to this node."""
    return {"script": script, "nodeSelector": {HOSTNAME: name}, "tolerations": [OURS], **spec}


def test_what_others_put_on_a_node_survives_its_loop_its_configuration_and_a_restart(
    bed: Bed, kubelet: OwnKubelet
) -> None:
    name = kubelet.node
    kubelet.change(node_labels={"mine": "1", "old": "1"}, node_taints=[NodeTaint(key="mine/old")])
    foreign = {"type": "Foreign", "status": "True", "reason": "ByATest", "message": "m"}
    with kubelet.running():
        wait_ready(bed, name)
        bed.kubectl("label", "node", name, "foreign=yes")
        bed.kubectl("annotate", "node", name, "foreign=yes")
        bed.kubectl("taint", "node", name, "foreign=yes:NoSchedule")
        bed.kubectl("cordon", name)
        patch = json.dumps({"status": {"conditions": [foreign]}})
        bed.kubectl("patch", "node", name, "--subresource=status", "--type=strategic", "-p", patch)
        kubelet.change(node_labels={"mine": "2"}, node_taints=[NodeTaint(key="mine/new")])
        wait_for("the changed taint", lambda: taints(node(bed, name)), lambda seen: "mine/new:NoSchedule" in seen, 30)
        bed.kubectl("label", "node", name, "mine=wrong", "--overwrite")
        wait_for("our label again", lambda: node(bed, name)["metadata"]["labels"]["mine"], lambda seen: seen == "2", 30)
    kubelet.change(node_taints=[])
    with kubelet.running():
        found = wait_for(
            "the taint to go", lambda: node(bed, name), lambda seen: "mine/new:NoSchedule" not in taints(seen), 30
        )
    labels = found["metadata"]["labels"]
    assert (labels["mine"], labels["foreign"], labels.get("old")) == ("2", "yes", None)
    assert found["metadata"]["annotations"]["foreign"] == "yes"
    assert found["spec"]["unschedulable"] is True
    assert {"foreign:NoSchedule", "node.kubernetes.io/unschedulable:NoSchedule"} <= taints(found)
    assert conditions(found)["Foreign"] == "True"
    assert conditions(found)["Ready"] == "True"


def test_an_idle_minute_writes_nothing_to_node_and_pod(cluster: Cluster, bed: Bed, kubelet: OwnKubelet) -> None:
    def versions() -> tuple[str, str]:
        return node(bed, kubelet.node)["metadata"]["resourceVersion"], cluster.pod("idle")["metadata"][
            "resourceVersion"
        ]

    with kubelet.running():
        wait_ready(bed, kubelet.node)
        cluster.start("idle", **on(kubelet.node, "sleep 120"))
        cluster.wait_phase("idle", "Running")
        # Kubernetes' own controllers have their say when a node is new.
        time.sleep(15)
        before = versions()
        time.sleep(60)
        assert versions() == before
        cluster.kubectl("delete", "pod", "idle", "--grace-period=1", "--wait=false")
        cluster.wait_gone("idle")


def test_pods_are_ready_again_when_the_virtual_kubelet_is_back_after_the_node_was_given_up(
    cluster: Cluster, bed: Bed, kubelet: OwnKubelet, slurm: Slurm
) -> None:
    def ready() -> str:
        return conditions(cluster.pod("waits"))["Ready"]

    with kubelet.running():
        wait_ready(bed, kubelet.node)
        uid = cluster.start("waits", **on(kubelet.node, "sleep 300"))["metadata"]["uid"]
        cluster.wait_phase("waits", "Running")
        jobs = slurm.jobs(uid)
    wait_for("the node to be given up", lambda: conditions(node(bed, kubelet.node)).get("Ready"),
             lambda seen: seen == "Unknown", within=120)  # fmt: skip
    wait_for("the pod not to be ready", ready, lambda seen: seen == "False", within=30)
    with kubelet.running():
        wait_ready(bed, kubelet.node)
        wait_for("the pod to be ready again", ready, lambda seen: seen == "True", within=30)
        assert slurm.jobs(uid) == jobs, "the same job, still running"
        assert cluster.pod("waits")["status"]["containerStatuses"][0]["restartCount"] == 0
        cluster.kubectl("delete", "pod", "waits", "--grace-period=1", "--wait=false")
        cluster.wait_gone("waits")


def test_one_process_serves_a_node_for_each_partition(
    cluster: Cluster, bed: Bed, kubelet: OwnKubelet, slurm: Slurm
) -> None:
    short, high = f"{kubelet.node}-short", f"{kubelet.node}-high"
    kubelet.change(
        nodes={
            short: NodeConfig(partition="short", labels={"kind": "short"}),
            high: NodeConfig(partition="high", taints=[OURS_ONLY]),
        }
    )
    with kubelet.running():
        found = {name: wait_ready(bed, name) for name in (short, high)}
        for name, partition in ((short, "short"), (high, "high")):
            lines = bed.site(["sinfo", "--noheader", "--Node", f"--partition={partition}", "--format=%c %m"])
            sizes = [line.split() for line in lines.splitlines()]
            capacity = found[name]["status"]["capacity"]
            assert capacity["cpu"] == str(sum(int(cpus) for cpus, _ in sizes))
            assert parse_quantity(capacity["memory"]) == sum(int(memory) for _, memory in sizes) * 1024**2
            assert bed.kubectl("-n", "kube-node-lease", "get", "lease", name, "-o", "name")
        assert found[short]["metadata"]["labels"]["kind"] == "short"
        uids = {}
        for name, partition in ((short, "short"), (high, "high")):
            script = f"echo hello from {partition}; sleep 5"
            uids[partition] = cluster.start(partition, **on(name, script))["metadata"]["uid"]
        cluster.start("own", annotations={"slurm-job.vk.io/partition": "main"}, **on(short, "true"))
        for partition, name in (("short", short), ("high", high)):
            seen = cluster.wait_phase(partition, "Running", "Succeeded")
            assert seen["spec"]["nodeName"] == name, "the scheduler bound it there"
            assert slurm.job(uids[partition])["Partition"] == partition
            wait_for("its words, by that node's own port", partial(cluster.logs, partition),
                     partial(eq, f"hello from {partition}\n"))  # fmt: skip
        for each in (*uids, "own"):
            cluster.wait_phase(each, "Succeeded")
        assert slurm.job(cluster.pod("own")["metadata"]["uid"])["Partition"] == "main"


def test_a_node_drains_and_goes_with_the_rights_of_a_pilot_when_its_walltime_is_over(
    cluster: Cluster, bed: Bed, kubelet: OwnKubelet, slurm: Slurm, tmp_path: Path
) -> None:
    with pilot_rights(bed, tmp_path, f"{cluster.namespace}-pilot", kubelet.node) as kubeconfig:
        kubelet.change(walltime=60, node_type="cpu", node_site="Local", kubeconfig=kubeconfig)
        with pytest.raises(WalltimeOverError):
            _live_a_minute(cluster, bed, kubelet, slurm)
    assert not node(bed, kubelet.node), "the object is gone, and its pods with it"
    cluster.wait_gone("evicted")
    cluster.wait_gone("stays")


def _live_a_minute(cluster: Cluster, bed: Bed, kubelet: OwnKubelet, slurm: Slurm) -> None:
    name = kubelet.node
    with kubelet.running():
        labels = wait_ready(bed, name)["metadata"]["labels"]
        assert {key: labels.get(f"jiriaf.{key}") for key in ("walltime", "nodetype", "site")} == {
            "walltime": "60", "nodetype": "cpu", "site": "Local",
        }  # fmt: skip
        assert int(labels["jiriaf.alivetime"]) in range(30, 61, 10)
        needs = {"key": "jiriaf.alivetime", "operator": "Gt", "values": ["10"]}
        affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [needs]}]}}}  # fmt: skip
        script = "trap 'exit 0' TERM; sleep 600 & wait"
        short = {"terminationGracePeriodSeconds": 5}
        uids = [
            cluster.start("evicted", **on(name, script, affinity=affinity, **short))["metadata"]["uid"],
            cluster.start("stays", **on(name, script, **short, tolerations=[{"operator": "Exists"}]))["metadata"][
                "uid"
            ],
        ]
        for each in ("evicted", "stays"):
            cluster.wait_phase(each, "Running", within=25)
        wait_for("the node to be closed", lambda: taints(node(bed, name)),
                 lambda seen: "interlink.io/walltime:NoSchedule" in seen, within=45)  # fmt: skip
        wait_for("the eviction", lambda: cluster.kubectl("get", "pods", "-o", "json"),
                 lambda seen: _leaves(seen, "evicted") and not _leaves(seen, "stays"), within=30)  # fmt: skip
        wait_for("the end of what tolerates all", lambda: cluster.kubectl("get", "pods", "-o", "json"),
                 lambda seen: _leaves(seen, "stays"), within=30)  # fmt: skip
        wait_for("the jobs' end", lambda: [slurm.living(uid) for uid in uids], lambda seen: not any(seen), within=60)
        wait_for("the node to go", lambda: node(bed, name), lambda seen: not seen, within=60)


def _leaves(pods: str, name: str) -> bool:
    """Whether the pod is gone or about to go."""
    found = {item["metadata"]["name"]: item for item in json.loads(pods)["items"]}
    return name not in found or "deletionTimestamp" in found[name]["metadata"]
