"""The deployed virtual kubelet: its node stays Ready through kills and drains; kustomizations/ installs the same."""

import json
import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.demo import kustomizations
from tests.demo.project import ROOT
from tests.e2e.cluster import Cluster
from tests.e2e.rights import put_once
from tests.e2e.slurm import Slurm
from tests.e2e.waiting import wait_for
from tests.testbed.bed import Bed
from tests.testbed.errors import CommandError

Json = dict[str, Any]
MADE_BY = "app.kubernetes.io/managed-by=kustomize"
NAMESPACE, OBJECT, NODE = "interlink", "vk-interlink", "interlink"


class Deployed:
    """The virtual kubelet that site.yml has put into the cluster."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed

    def pods(self) -> list[Json]:
        """Return its pods that are not on their way out."""
        words = ("-n", NAMESPACE, "get", "pods", "-l", "app.kubernetes.io/instance=interlink", "-o", "json")
        return [
            pod for pod in json.loads(self.bed.kubectl(*words))["items"] if not pod["metadata"].get("deletionTimestamp")
        ]

    def pod(self, name: str) -> Json:
        """Return one of them."""
        (found,) = (pod for pod in self.pods() if pod["metadata"]["name"] == name)
        return found

    def leader(self) -> str:
        """Return the name of the pod that leads."""
        words = ("-n", NAMESPACE, "get", "lease", OBJECT, "-o", "jsonpath={.spec.holderIdentity}")
        return self.bed.kubectl(*words).partition("_")[0]

    def wait_whole(self) -> list[str]:
        """Wait until both replicas are ready; return their names, the leader's first."""

        def names() -> list[str]:
            ready = [pod["metadata"]["name"] for pod in self.pods() if is_ready(pod)]
            leader = self.leader()
            return sorted(ready, key=lambda name: name != leader) if leader in ready else []

        return wait_for("two ready replicas, one of which leads", names, lambda seen: len(seen) == 2, within=180)

    def kill(self, pod: Json) -> bool:
        """Kill the pod's process from its host, as nothing in Kubernetes would; False where there is none now."""
        uid = re.sub("[-_]", ".", pod["metadata"]["uid"])
        script = (
            "for pid in $(pgrep --full '/opt/interlink/bin/interlink vk'); do "
            f"if grep --quiet '{uid}' /proc/$pid/cgroup; then kill -KILL $pid && echo killed; fi; done"
        )
        return "killed" in self.bed.docker.exec("interlink-cluster", ["sh", "-c", script])

    def ready(self) -> tuple[str, str]:
        """Return the node's condition Ready and since when it has it."""
        words = ("get", "node", NODE, "-o", 'jsonpath={range .status.conditions[?(@.type=="Ready")]}'
                 "{.status} {.lastTransitionTime}{end}")  # fmt: skip
        status, _, since = self.bed.kubectl(*words).partition(" ")
        return status, since


def is_ready(pod: Json) -> bool:
    return any(item["type"] == "Ready" and item["status"] == "True" for item in pod["status"].get("conditions", []))


def state(pod: Json) -> Json:
    found: Json = pod["status"]["containerStatuses"][0]
    return found


@pytest.fixture
def deployed(bed: Bed) -> Deployed:
    found = Deployed(bed)
    found.wait_whole()
    return found


@pytest.fixture
def readiness(deployed: Deployed) -> Iterator[set[tuple[str, str]]]:
    """All that the node's condition Ready was during the test, looked at once a second."""
    seen, over = {deployed.ready()}, threading.Event()

    def watch() -> None:
        while not over.wait(1):
            seen.add(deployed.ready())

    thread = threading.Thread(target=watch)
    thread.start()
    yield seen
    over.set()
    thread.join(30)


def test_the_node_stays_ready_while_a_replica_is_killed_again_and_again(
    deployed: Deployed, readiness: set[tuple[str, str]], cluster: Cluster, slurm: Slurm
) -> None:
    uid = cluster.start("runs", script="sleep 900")["metadata"]["uid"]
    before = cluster.wait_phase("runs", "Running")
    victim, other = deployed.wait_whole()
    restarts = state(deployed.pod(victim))["restartCount"]
    # Kubernetes starts it at once, and then lets 10, 20, 40 s pass: alone it would be away for longer than its node's
    # lease lasts (40 s), and the node NotReady.
    for _ in range(4):
        wait_for("the replica to run", lambda: deployed.kill(deployed.pod(victim)), within=120)
    wait_for(
        "its next start to be put off for long", lambda: state(deployed.pod(victim)),
        lambda seen: "CrashLoopBackOff" in str(seen["state"]) and seen["restartCount"] >= restarts + 3, within=120,
    )  # fmt: skip
    wait_for("the other one to lead", deployed.leader, lambda name: name == other, within=30)
    until = time.monotonic() + 45  # for longer than a node may be silent
    while time.monotonic() < until:
        deployed.kill(deployed.pod(victim))
        time.sleep(0.5)
    assert is_ready(deployed.pod(other))
    assert not is_ready(deployed.pod(victim))
    # And all the while the node did its work.
    assert cluster.start("beside", script="true")
    cluster.wait_phase("beside", "Succeeded")
    after = cluster.pod("runs")
    assert (after["status"], len(slurm.jobs(uid))) == (before["status"], 1)
    assert len(readiness) == 1, readiness
    assert {status for status, _ in readiness} == {"True"}


def test_a_drain_takes_one_replica_at_a_time(deployed: Deployed, readiness: set[tuple[str, str]], bed: Bed) -> None:
    leader, standby = deployed.wait_whole()

    def evict(name: str) -> str:
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": NAMESPACE}}
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/eviction"
        return bed.kubectl("create", "--raw", path, "-f", "-", input=json.dumps(body))

    def may_go() -> str:
        words = ("-n", NAMESPACE, "get", "poddisruptionbudgets", "-o", "jsonpath={.items[*].status.disruptionsAllowed}")
        return bed.kubectl(*words)

    wait_for("the budget to let one go", may_go, lambda seen: seen == "1")
    evict(leader)
    with pytest.raises(CommandError, match="disruption budget"):
        evict(standby)
    began = time.monotonic()
    # The standby, or the drained one's successor: whichever looks first.
    wait_for("another one to lead", deployed.leader, lambda name: name not in ("", leader), within=25)
    print(f"drained leader: taken over after {time.monotonic() - began:.1f} s")
    assert leader not in deployed.wait_whole()
    wait_for("the budget to let one go", may_go, lambda seen: seen == "1")
    evict(standby)
    wait_for("both to be new ones", deployed.wait_whole, lambda names: not {leader, standby} & {*names})
    assert len(readiness) == 1, readiness


#: The rights of every service account, which come with Kubernetes.
NOBODY = "system:serviceaccount:default:nobody-at-all"


def rules(bed: Bed, who: str, namespace: str) -> set[tuple[str, str, tuple[str, ...], str]]:
    """Return (verb, resource, names, API group) of all that somebody may do in a namespace, as kube-apiserver says."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    groups = [f"--as-group={name}" for name in ("system:serviceaccounts", "system:authenticated")]
    answer = bed.kubectl("create", "--raw", path, f"--as={who}", *groups, "-f", "-", input=json.dumps(review))
    return {
        (verb, resource, tuple(rule.get("resourceNames") or ()), group)
        for rule in json.loads(answer)["status"]["resourceRules"]
        for verb in rule["verbs"]
        for resource in rule["resources"]
        for group in rule["apiGroups"]
    }


def listed(namespace: str) -> set[tuple[str, str, tuple[str, ...], str]]:
    """Return what the role's template gives in a namespace."""
    text = kustomizations.manifest("rbac", namespace=NAMESPACE, manager="interlink-ansible")
    return {
        (verb, resource, tuple(rule.get("resourceNames") or ()), group)
        for item in yaml.safe_load_all(text)
        if item["kind"] == "ClusterRole" or (item["kind"] == "Role" and item["metadata"]["namespace"] == namespace)
        for rule in item["rules"]
        for verb in rule["verbs"]
        for resource in rule["resources"]
        for group in rule["apiGroups"]
    }


@pytest.mark.parametrize("namespace", [NAMESPACE, "kube-node-lease", "kube-system", "default"])
def test_the_virtual_kubelet_may_do_what_is_listed_and_nothing_else(bed: Bed, namespace: str) -> None:
    who = f"system:serviceaccount:{NAMESPACE}:{OBJECT}"
    assert rules(bed, who, namespace) - rules(bed, NOBODY, namespace) == listed(namespace)


def test_kustomizations_install_a_virtual_kubelet_that_works_with_exactly_these_rights(
    bed: Bed, slurm: Slurm, cluster: Cluster, tmp_path: Path
) -> None:
    folder = tmp_path / "kustomizations"
    shutil.copytree(ROOT / "kustomizations", folder)
    namespace, node = f"{cluster.namespace}-vk", cluster.namespace
    image = json.loads(bed.kubectl("-n", NAMESPACE, "get", "deployment", OBJECT, "-o", "json"))
    name, _, tag = image["spec"]["template"]["spec"]["containers"][0]["image"].rpartition(":")
    settings = {
        "namespace=vk": f"namespace={namespace}",
        "node=interlink": f"node={node}",
        "newName: interlink-vk": f"newName: {name}",
        'newTag: "latest"': f"newTag: {json.dumps(tag)}",
    }
    put_once(folder / "kustomization.yaml", settings)
    config = folder / "InterLinkConfig.yaml"
    config.write_text(config.read_text().replace("edge1.site.example", bed.edge_address))
    token = next(line for line in bed.site(["cat", "/etc/interlink/vk-tokens"]).splitlines() if line and line[0] != "#")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": OBJECT}, "stringData": {"token": token}}
    apply = ("-n", namespace, "apply", "-k", str(folder))
    try:
        bed.kubectl(*apply)
        # It comes up without the token, and says what is missing.
        wait_for("the node to say that it has no token", lambda: message(bed, node), lambda said: "token" in said)
        bed.kubectl("-n", namespace, "apply", "-f", "-", input=json.dumps(secret))
        wait_for("both replicas", lambda: available(bed, namespace), lambda count: count == 2, within=120)
        wait_for("the edge", lambda: message(bed, node), lambda said: "InterLink answers" in said, within=180)
        before = generations(bed, namespace)
        bed.kubectl(*apply)
        assert generations(bed, namespace) == before, "applied again it changes nothing"
        use(cluster, slurm, node)
        logs = bed.kubectl(
            "-n", namespace, "logs", "--prefix", "--tail=-1", "-l", "app.kubernetes.io/name=interlink-vk"
        )
        assert "forbidden" not in logs.lower(), logs
        with pytest.raises(CommandError, match="does not match the namespace"):
            bed.kubectl("-n", "default", "apply", "-k", str(folder))
    finally:
        bed.kubectl("-n", namespace, "delete", "-k", str(folder), "--ignore-not-found", "--timeout=120s", timeout=150)
        bed.kubectl("delete", "node", node, "--ignore-not-found")


def use(cluster: Cluster, slurm: Slurm, node: str) -> None:
    """Do everything that takes a right: a pod with every kind of volume, its log, its events, its deletion."""
    cluster.kubectl("create", "configmap", "words", "--from-literal=word=one")
    cluster.kubectl("create", "secret", "generic", "secrets", "--from-literal=word=two")
    volumes = [{
        "name": "all",
        "projected": {"sources": [
            {"configMap": {"name": "words", "items": [{"key": "word", "path": "one"}]}},
            {"secret": {"name": "secrets", "items": [{"key": "word", "path": "two"}]}},
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}},
            {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        ]},
    }]  # fmt: skip
    small = {"requests": {"cpu": "1", "memory": "64Mi"}}
    main = {
        "name": "main", "image": "busybox", "imagePullPolicy": "IfNotPresent", "resources": small,
        "command": ["sh", "-c", "cat /all/one /all/two /all/name; test -s /all/token && echo; sleep 900 & wait"],
        "volumeMounts": [{"name": "all", "mountPath": "/all"}],
    }  # fmt: skip
    uid = cluster.start("user", nodeName=node, nodeSelector={}, containers=[main], volumes=volumes,
                        terminationGracePeriodSeconds=2)["metadata"]["uid"]  # fmt: skip
    cluster.wait_phase("user", "Running")
    wait_for("its log", lambda: cluster.logs("user"), lambda text: text == "onetwouser\n", within=30)
    assert [event for event in cluster.events("user") if event["source"].get("component") == "interlink-vk"]
    cluster.kubectl("delete", "pod", "user", "--wait=false")
    cluster.wait_gone("user")
    assert slurm.living(uid) == {}


def generations(bed: Bed, namespace: str) -> dict[str, Any]:
    """Return what changes of each object when its spec does."""
    kinds = "deployment,poddisruptionbudget,flowschema,clusterrole,role,configmap"
    items = json.loads(bed.kubectl("-n", namespace, "get", kinds, "-o", "json", "-l", MADE_BY))["items"]
    return {
        f"{item['kind']}/{item['metadata']['name']}": item["metadata"].get("generation")
        or item.get("rules")
        or item.get("data")
        for item in items
    }


def message(bed: Bed, node: str) -> str:
    """Return what the node says of its edge, empty while it is not there."""
    path = 'jsonpath={.status.conditions[?(@.type=="InterLinkReachable")].message}'
    return bed.kubectl("get", "node", node, "--ignore-not-found", "-o", path)


def available(bed: Bed, namespace: str) -> int:
    """Return how many replicas are ready."""
    found = bed.kubectl("-n", namespace, "get", "deployment", OBJECT, "-o", "jsonpath={.status.availableReplicas}")
    return int(found or 0)
