"""A workflow from within Slurm: a job's pod makes Jobs through kube-apiserver, with its own token and nothing else.

It is the example of docs/workflows.md, on a node of this tree; the edge and Slurm are the bed's.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.demo.project import ROOT
from tests.e2e.cluster import Cluster, Object, conditions, terminated
from tests.e2e.kubelet import OwnKubelet
from tests.e2e.slurm import Slurm
from tests.e2e.waiting import wait_for
from tests.testbed.bed import Bed
from tests.testbed.layout import API_PORT

EXAMPLE = ROOT / "examples" / "workflow.yaml"
#: What puts a pod onto any virtual node; the test has its own.
SELECTOR = '{"type": "virtual-kubelet"}'
Texts = dict[str, str]


@pytest.fixture(scope="module")
def node(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A virtual node whose pods are told of kube-apiserver where compute nodes reach it."""
    folder: Path = tmp_path_factory.mktemp("kubelet")
    address = f"{bed.cluster_address}:{API_PORT}"
    own = OwnKubelet(bed, folder, vkubelet_pod_ip=bed.network.gateway, kubernetes_address=address)
    with own.running():
        wait_for("the node", lambda: bed.kubectl("get", "node", own.node, "--ignore-not-found", "-o", "name"))
        yield own.node
    own.remove_node()


def flow(cluster: Cluster, node: str, change: Callable[[Texts], None], account: str = "flow") -> None:
    """Apply the example with changed files, and maybe another service account for the pod that makes the steps."""
    text = EXAMPLE.read_text()
    assert text.count(SELECTOR) == 2
    objects = list(yaml.safe_load_all(text.replace(SELECTOR, json.dumps({"kubernetes.io/hostname": node}))))
    (files,) = [each["data"] for each in objects if each["kind"] == "ConfigMap"]
    change(files)
    objects[-1]["spec"]["template"]["spec"]["serviceAccountName"] = account
    for each in objects:
        for subject in each.get("subjects", ()):
            subject["namespace"] = cluster.namespace
    cluster.apply(*objects)
    cluster.wait_condition("job", "flow", "Complete", "Failed", within=240)


def steps(**changes: Object) -> Callable[[Texts], None]:
    """Return what changes steps of the example."""

    def change(files: Texts) -> None:
        dag = json.loads(files["dag.json"])
        for name, fields in changes.items():
            dag[name] |= fields
        files["dag.json"] = json.dumps(dag)

    return change


def pod_of(cluster: Cluster, job: str) -> Object:
    """Return a Job's one pod."""
    (found,) = json.loads(cluster.kubectl("get", "pods", f"--selector=job-name={job}", "-o", "json"))["items"]
    return dict(found)


def test_steps_run_in_their_order_and_hand_on_their_results(cluster: Cluster, node: str, slurm: Slurm) -> None:
    """The two in the middle run on different compute nodes, one of them without a route out of the site."""
    on = {host: {"annotations": {"slurm-job.vk.io/flags": f"--nodelist={host}"}} for host in ("edge", "c1")}
    flow(cluster, node, steps(b=on["edge"], c=on["c1"]))
    log = cluster.logs(pod_of(cluster, "flow")["metadata"]["name"]).splitlines()
    assert (log[0], sorted(log[1:3]), log[3:]) == ("a: 7", ["b: 8", "c: 9"], ["d: 17"])
    times = {name: cluster.get("job", f"flow-{name}")["status"] for name in "abcd"}
    for before, after in (("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")):
        assert times[before]["completionTime"] <= times[after]["startTime"]
    assert "Complete" in conditions(cluster.get("job", "flow"))
    jobs = {name: slurm.job(pod_of(cluster, name)["metadata"]["uid"]) for name in ("flow", "flow-b", "flow-c")}
    assert (jobs["flow-b"]["NodeList"], jobs["flow-c"]["NodeList"]) == ("edge", "c1")
    wait_for("the flow's own job to end", lambda: not slurm.living(jobs["flow"]["Comment"]), within=60)


def test_a_step_that_fails_ends_the_flow_and_with_the_flows_job_all_ends(
    cluster: Cluster, node: str, slurm: Slurm
) -> None:
    flow(cluster, node, steps(b={"run": "echo half; exit 7"}, c={"run": "sleep 600"}))
    message = failed(cluster)
    assert "step b failed: BackoffLimitExceeded: Job has reached the specified backoff limit" in message
    statuses = pod_of(cluster, "flow-b")["status"]["containerStatuses"]
    assert {each["name"]: each["state"]["terminated"]["exitCode"] for each in statuses} == {"wait": 0, "main": 7}
    assert cluster.get("configmap", "flow-b")["data"] == {"result": "half"}
    assert "flow-d" not in cluster.kubectl("get", "jobs", "-o", "name")
    running = pod_of(cluster, "flow-c")["metadata"]["uid"]
    assert slurm.living(running)
    cluster.kubectl("delete", "job", "flow", "--wait=false")
    wait_for("no step", lambda: cluster.kubectl("get", "jobs,pods", "-o", "name"), lambda names: not names)
    wait_for(
        "no result", lambda: cluster.kubectl("get", "configmaps", "-o", "name"), lambda names: "/flow-" not in names
    )
    wait_for("the end of the job that ran", lambda: not slurm.living(running), within=60)


def test_a_token_opens_what_its_role_says_and_no_more(cluster: Cluster, node: str) -> None:
    flow(cluster, node, steps(), account="step")
    user = f"system:serviceaccount:{cluster.namespace}:step"
    forbidden = f'403: jobs.batch is forbidden: User "{user}" cannot create resource "jobs" in API group "batch"'
    assert forbidden in failed(cluster)
    assert "flow-a" not in cluster.kubectl("get", "jobs", "-o", "name")


def test_the_pods_own_authority_is_what_vouches_for_the_server(cluster: Cluster, node: str) -> None:
    def trust_others(files: Texts) -> None:
        assert 'cafile=ACCOUNT / "ca.crt"' in files["kube.py"]
        files["kube.py"] = files["kube.py"].replace('cafile=ACCOUNT / "ca.crt"', "")

    flow(cluster, node, trust_others)
    assert "CERTIFICATE_VERIFY_FAILED" in failed(cluster)


def failed(cluster: Cluster) -> str:
    """Return what the flow's one container said at its end."""
    assert conditions(cluster.get("job", "flow"))["Failed"] == "BackoffLimitExceeded"
    end = terminated(pod_of(cluster, "flow"))
    assert end["exitCode"] == 1
    return str(end["message"])
