"""The table of the Pod API's support against a real kube-apiserver: the fields that it knows, and what a user sees."""

import json
from typing import Any

import pytest

from interlink.core.pod.support import TYPES, Row
from tests.e2e.cluster import Cluster, container, terminated
from tests.e2e.waiting import wait_for
from tests.testbed import kubernetes
from tests.testbed.bed import Bed

Json = dict[str, Any]
CORE = "io.k8s.api.core.v1."
#: What the API calls the types that the table names by their use.
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
API_NAMES = {
    "PodResources": "ResourceRequirements",
    "LabelSelector": META + "LabelSelector",
    "LabelSelectorRequirement": META + "LabelSelectorRequirement",
}


@pytest.fixture(scope="module")
def schemas(bed: Bed) -> Json:
    """Return the types of core/v1 as the bed's kube-apiserver has them."""
    document = json.loads(bed.kubectl("get", "--raw", "/openapi/v3/api/v1"))
    found: Json = document["components"]["schemas"]
    return found


def fields_of(schemas: Json, name: str) -> Json:
    known = API_NAMES.get(name, name)
    fields: Json = schemas[known if "." in known else CORE + known]["properties"]
    return fields


def is_object(field: Json) -> bool:
    """Whether a field's value has fields of its own; a quantity, a port and a time have none."""
    inner = field.get("items", field)
    references = [inner, *inner.get("allOf", [])]
    return any(CORE in each.get("$ref", "") for each in references)


def in_this_release(row: Row) -> bool:
    here = _release(kubernetes.version())
    return (not row.since or _release(row.since) <= here) and (not row.until or here <= _release(row.until))


def _release(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


@pytest.mark.parametrize("name", TYPES)
def test_every_field_of_kube_apiservers_has_a_row_and_no_other(schemas: Json, name: str) -> None:
    fields, rows = fields_of(schemas, name), {row.field: row for row in TYPES[name]}
    assert not set(fields) - set(rows), (
        f"nobody has thought of these fields of v1.{name}; docs/pod-api.md must say them"
    )
    here = {field for field, row in rows.items() if in_this_release(row)}
    assert not here - set(fields), f"v1.{name} of {kubernetes.version()} has no such fields"
    for field, shape in fields.items():
        if is_object(shape) and rows[field].done and not rows[field].cluster:
            assert rows[field].of in TYPES, f"v1.{name}.{field} has fields of its own, which need rows"


def test_the_user_is_told_what_has_no_effect_and_what_is_refused(cluster: Cluster) -> None:
    cluster.start("quiet", script="true")
    cluster.start("told", setHostnameAsFQDN=True, containers=[
        container("true", name=name, securityContext={"seLinuxOptions": {"level": "s0"}}) for name in ("a", "b")
    ])  # fmt: skip
    cluster.start("refused", script="true", shareProcessNamespace=True)
    status = cluster.wait_phase("refused", "Failed")["status"]
    assert status["reason"] == "UnsupportedPod"
    assert status["message"].startswith("the pod's shareProcessNamespace is not possible on a batch site")
    cluster.wait_phase("quiet", "Succeeded")
    cluster.wait_phase("told", "Succeeded")
    (event,) = wait_for("the event", lambda: ignored(cluster, "told"))
    assert (event["type"], event["count"]) == ("Warning", 1)
    assert set(event["message"].split("; ")) == {
        "the pod's setHostnameAsFQDN has no effect: the cluster's domain is not known on compute nodes",
        'container "a", container "b": securityContext.seLinuxOptions has no effect: labels are the site\'s',
    }
    assert not ignored(cluster, "quiet"), "of a pod as kube-apiserver writes it, nothing is said"


def test_what_cannot_be_gathered_is_refused_and_not_waited_for(cluster: Cluster) -> None:
    """kube-apiserver lets these in where its feature gates do, and removes them with a warning where they do not."""
    key = {"volumeName": "v", "path": "f", "key": "k"}
    cluster.start("from-file", volumes=[{"name": "v", "emptyDir": {}}], containers=[
        container("true", env=[{"name": "A", "valueFrom": {"fileKeyRef": key}}])
    ])  # fmt: skip
    status = cluster.wait_phase("from-file", "Failed")["status"]
    assert status["reason"] == "UnsupportedPod"
    assert status["message"] == 'container "main": variable A is from fileKeyRef, which is not supported on this node'


def test_a_read_only_root_leaves_the_volumes_and_the_last_words_alone(cluster: Cluster) -> None:
    script = """
        for place in / /etc /usr/local; do touch $place/new 2>/dev/null && echo "$place can be written to"; done
        set -e; touch /data/new /not/in/the/image/new /tmp/new; echo last > /words/said; echo done"""
    mounts = [{"name": "v", "mountPath": path} for path in ("/data", "/not/in/the/image")]
    cluster.start("read-only", volumes=[{"name": "v", "emptyDir": {}}], containers=[
        container(script, volumeMounts=mounts, terminationMessagePath="/words/said",
                  securityContext={"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False})
    ])  # fmt: skip
    seen = cluster.wait_phase("read-only", "Succeeded", "Failed")
    assert cluster.logs("read-only") == "done\n"
    assert terminated(seen)["message"] == "last\n"
    assert not ignored(cluster, "read-only")


def test_a_pod_has_the_names_that_it_says(cluster: Cluster, bed: Bed) -> None:
    own = bed.site(["cat", "/etc/hosts"]).splitlines()[0]
    dns = {"nameservers": ["192.0.2.53"], "searches": ["example.org"], "options": [{"name": "ndots", "value": "3"}]}
    alias = {"ip": "192.0.2.7", "hostnames": ["one", "two.example.org"]}
    script = "hostname; grep -v '^#' /etc/hosts; echo; cat /etc/resolv.conf"
    cluster.start("names", script=script, hostname="web-0", hostAliases=[alias], dnsPolicy="None", dnsConfig=dns)
    script = "while ! test -s /tmp/hook; do sleep 0.1; done; cat /tmp/hook /etc/resolv.conf"
    hook = {"postStart": {"exec": {"command": ["sh", "-c", "hostname > /tmp/hook"]}}}
    cluster.start("mine", containers=[container(script, lifecycle=hook)], hostname="web-1", dnsConfig=dns)
    address = cluster.wait_phase("names", "Succeeded", "Failed")["status"]["hostIP"]
    lines = cluster.logs("names").splitlines()
    assert lines[0] == "web-0"
    assert {own, f"{address}\tweb-0", "192.0.2.7\tone\ttwo.example.org"} <= set(lines)
    assert lines[-3:] == ["nameserver 192.0.2.53", "search example.org", "options ndots:3"]
    cluster.wait_phase("mine", "Succeeded", "Failed")
    lines = cluster.logs("mine").splitlines()
    assert lines[0] == "web-1"
    assert lines[-2:] == ["search example.org", "options ndots:3"]
    assert lines.count("nameserver 192.0.2.53") == 1
    assert len([line for line in lines if line.startswith("nameserver")]) > 1, "the node's own stand before it"
    assert not ignored(cluster, "names")


def test_a_pod_is_told_its_own_address(cluster: Cluster) -> None:
    env = [
        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": f"status.{path}"}}}
        for name, path in (("POD_IP", "podIP"), ("HOST_IP", "hostIP"), ("POD_IPS", "podIPs"))
    ]
    command = ["sh", "-c", "echo $POD_IP $HOST_IP $POD_IPS $0", "$(POD_IP):80"]
    cluster.start("addressed", containers=[container("", env=env, command=command)])
    address = cluster.wait_phase("addressed", "Succeeded", "Failed")["status"]["podIP"]
    assert cluster.logs("addressed").split() == [address, address, address, f"{address}:80"]


def test_a_debug_container_says_why_it_waits(cluster: Cluster) -> None:
    cluster.start("patient", script="sleep 60")
    cluster.wait_phase("patient", "Running")
    debug = ["debug", "patient", "--image=busybox", "--container=debugger", "--quiet", "--", "true"]
    cluster.kubectl(*debug)
    (status,) = wait_for(
        "the debug container's status", lambda: cluster.pod("patient")["status"].get("ephemeralContainerStatuses")
    )
    words = "the pod's ephemeralContainers is not possible on a batch site: none of them is started"
    assert status["state"] == {"waiting": {"reason": "NotSupported", "message": words}}
    (event,) = wait_for("the event", lambda: ignored(cluster, "patient"))
    assert (event["message"], event["count"]) == (words, 1)


def ignored(cluster: Cluster, name: str) -> list[Json]:
    return [event for event in cluster.events(name) if event["reason"] == "FieldIgnored"]
