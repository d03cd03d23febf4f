"""What controllers make runs on a virtual node: Jobs, Deployments, StatefulSets, DaemonSets and CronJobs.

The node and its virtual kubelet are the test's own, of this tree; the edge and Slurm are the bed's.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, conditions, container
from tests.e2e.kubelet import OwnKubelet
from tests.e2e.slurm import Slurm
from tests.e2e.waiting import wait_for
from tests.testbed.bed import Bed

Object = dict[str, Any]
TAINT = "virtual-node.interlink/no-schedule"
#: Until Slurm's controller says "completing" no more, a job counts as alive.
ENDED_WITHIN = 60


@pytest.fixture(scope="module")
def node(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A virtual node of this tree."""
    folder: Path = tmp_path_factory.mktemp("kubelet")
    own = OwnKubelet(bed, folder)
    with own.running():
        wait_for("the node", lambda: bed.kubectl("get", "node", own.node, "--ignore-not-found", "-o", "name"))
        yield own.node
    own.remove_node()


def template(node: str, script: str, app: str = "app", **spec: Any) -> Object:
    """Return a pod template for the node."""
    name = spec.pop("name", "main")
    spec.setdefault("tolerations", [{"key": TAINT, "operator": "Exists"}])
    return {
        "metadata": {"labels": {"app": app}},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": node},
            "terminationGracePeriodSeconds": 1,
            "containers": [container(script, name, **spec.pop("fields", {}))],
            **spec,
        },
    }


def job(name: str, pod: Object, **spec: Any) -> Object:
    pod["spec"].setdefault("restartPolicy", "Never")
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": pod, **spec}}


def app(kind: str, name: str, pod: Object, **spec: Any) -> Object:
    selector = {"matchLabels": pod["metadata"]["labels"]}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"selector": selector, "template": pod, **spec},
    }


def wait_ready(cluster: Cluster, kind: str, name: str, count: int) -> Object:
    """Wait until a controller has this many pods of its newest template, all of them ready, and no other."""

    def good(found: Object) -> bool:
        status = found.get("status", {})
        facts = [status.get(key, 0) for key in ("replicas", "readyReplicas", "updatedReplicas")]
        return facts == [count] * 3 and status.get("observedGeneration") == found["metadata"]["generation"]

    return wait_for(f"{kind} {name} to have {count} pods", lambda: cluster.get(kind, name), good, 180)


def gone_from_slurm(slurm: Slurm, uid: str) -> None:
    wait_for(f"the job of pod {uid} to end", lambda: not slurm.living(uid), within=ENDED_WITHIN)


def test_a_job_runs_its_completions_side_by_side(cluster: Cluster, node: str) -> None:
    cluster.apply(job("four", template(node, "echo done"), completions=4, parallelism=2, completionMode="Indexed"))
    found = cluster.wait_condition("job", "four", "Complete")
    assert found["status"]["succeeded"] == 4
    assert found["status"]["completedIndexes"] == "0-3"
    assert not found["status"].get("failed")
    indexes = {each["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] for each in cluster.pods()}
    assert indexes == {"0", "1", "2", "3"}
    assert {each["status"]["phase"] for each in cluster.pods()} == {"Succeeded"}


def test_a_job_gives_up_after_its_back_off_limit(cluster: Cluster, node: str) -> None:
    cluster.apply(job("failing", template(node, "exit 3"), backoffLimit=1))
    found = cluster.wait_condition("job", "failing", "Failed")
    assert conditions(found)["Failed"] == "BackoffLimitExceeded"
    assert found["status"]["failed"] == 2
    codes = {each["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] for each in cluster.pods()}
    assert codes == {3}


def test_a_pod_failure_policy_knows_the_exit_code(cluster: Cluster, node: str) -> None:
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}
    cluster.apply(job("policy", template(node, "exit 42"), backoffLimit=5, podFailurePolicy={"rules": [rule]}))
    found = cluster.wait_condition("job", "policy", "Failed")
    assert conditions(found)["Failed"] == "PodFailurePolicy"
    assert found["status"]["failed"] == 1


def test_a_deployment_scales_and_rolls(cluster: Cluster, node: str, slurm: Slurm) -> None:
    def pods(version: str) -> Object:
        return template(node, "sleep 600", fields={"env": [{"name": "VERSION", "value": version}]})

    def uids() -> set[str]:
        return {each["metadata"]["uid"] for each in cluster.pods()}

    cluster.apply(app("Deployment", "web", pods("1"), replicas=1))
    wait_ready(cluster, "deployment", "web", 1)
    first = uids()
    cluster.kubectl("scale", "deployment", "web", "--replicas=2")
    wait_ready(cluster, "deployment", "web", 2)
    assert first < uids()
    before = uids()
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    cluster.apply(app("Deployment", "web", pods("2"), replicas=2, strategy=strategy))
    wait_ready(cluster, "deployment", "web", 2)
    wait_for("the old pods to be gone", lambda: not before & uids(), within=ENDED_WITHIN)
    for uid in before:
        gone_from_slurm(slurm, uid)
    after = uids()
    cluster.kubectl("scale", "deployment", "web", "--replicas=0")
    wait_for("no pods", lambda: not cluster.pods(), within=ENDED_WITHIN)
    for uid in after:
        gone_from_slurm(slurm, uid)


def test_a_stateful_set_s_pod_comes_again_under_its_name(cluster: Cluster, node: str, slurm: Slurm) -> None:
    cluster.apply(app("StatefulSet", "db", template(node, "sleep 600"), replicas=1, serviceName="db"))
    wait_ready(cluster, "statefulset", "db", 1)
    old = cluster.pod("db-0")["metadata"]["uid"]
    cluster.kubectl("delete", "pod", "db-0", "--wait=false")
    wait_for(
        "another pod of the name",
        lambda: cluster.kubectl("get", "pod", "db-0", "--ignore-not-found", "-o", "jsonpath={.metadata.uid}"),
        lambda uid: uid not in ("", old),
    )
    found = cluster.wait_phase("db-0", "Running")
    gone_from_slurm(slurm, old)
    assert len(slurm.living(found["metadata"]["uid"])) == 1


def test_daemon_sets_come_by_rule(bed: Bed, cluster: Cluster, node: str) -> None:
    """One that tolerates everything waits and is not made again and again; one that names the taint runs."""
    others = [name for name in bed.kubectl("get", "nodes", "-o", "name").split() if name != f"node/{node}"]
    away = {"key": "kubernetes.io/hostname", "operator": "NotIn", "values": [name[5:] for name in others]}
    terms = [{"matchExpressions": [away]}]
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    everything = [{"operator": "Exists"}]
    proxy = template(node, "sleep 600", "proxy", affinity=affinity, nodeSelector={}, tolerations=everything)
    cluster.apply(
        app("DaemonSet", "proxy", proxy),
        app("DaemonSet", "agent", template(node, "sleep 600", "agent")),
    )
    wait_for(
        "the agent",
        lambda: cluster.get("daemonset", "agent"),
        lambda found: found["status"].get("numberAvailable") == 1,
    )
    (waits,) = [each for each in cluster.pods() if each["metadata"]["labels"]["app"] == "proxy"]
    assert waits["status"]["phase"] == "Pending"
    assert waits["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "DaemonSetIgnored"
    assert "DaemonSetIgnored" in {each["reason"] for each in cluster.events(waits["metadata"]["name"])}
    status = cluster.get("daemonset", "proxy")["status"]
    assert (status["desiredNumberScheduled"], status.get("numberAvailable", 0)) == (1, 0)
    cluster.kubectl("delete", "daemonset", "proxy", "agent")
    wait_for("no pods", lambda: not cluster.pods(), within=ENDED_WITHIN)


def test_a_cron_job_s_minute_comes(cluster: Cluster, node: str) -> None:
    pod = template(node, "date")
    pod["spec"]["restartPolicy"] = "OnFailure"
    spec = {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": pod}}, "successfulJobsHistoryLimit": 1}
    cluster.apply({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick"}, "spec": spec})
    found = wait_for(
        "a job of the minute",
        lambda: cluster.get("cronjob", "tick"),
        lambda found: bool(found.get("status", {}).get("lastSuccessfulTime")),
        within=150,
    )
    assert found["spec"]["suspend"] is False


def test_a_pod_past_the_scheduler_meets_the_node_s_own_checks(cluster: Cluster, node: str) -> None:
    huge = {"requests": {"cpu": "100000"}}
    bound = {"nodeName": node, "restartPolicy": "Never"}
    cluster.apply(
        {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "huge"},
            "spec": {**bound, "containers": [container("true", resources=huge)]},
        },
        {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "elsewhere"},
            "spec": {**bound, "nodeSelector": {"no": "such"}, "containers": [container("true")]},
        },
        {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "fits"},
            "spec": {**bound, "containers": [container("true")]},
        },
    )  # fmt: skip
    found = cluster.wait_phase("huge", "Failed")["status"]
    assert found["reason"] == "OutOfcpu"
    assert found["message"].startswith("Pod was rejected: Node didn't have enough resource: cpu, requested: 100000000,")
    assert found["qosClass"] == "Burstable"
    assert cluster.wait_phase("elsewhere", "Failed")["status"]["reason"] == "NodeAffinity"
    fits = cluster.wait_phase("fits", "Succeeded")["status"]
    assert {"PodScheduled": "True"}.items() <= {each["type"]: each["status"] for each in fits["conditions"]}.items()
