"""What this edge does not do is refused by name, and what charts carry as a matter of course is not."""

from typing import Any

import pytest

from interlink.core.errors import UnsupportedPod
from interlink.core.pod.unsupported import refuse_unsupported
from tests.unit.core.pods import make_pod

EMPTY_DIR = [{"name": "v", "emptyDir": {}}]


def _mounts(*sub_paths: str, name: str = "v", **fields: Any) -> dict[str, Any]:
    mounts = [{"name": name, "mountPath": f"/{at}", "subPath": path} for at, path in enumerate(sub_paths)]
    return {"volumeMounts": mounts, **fields}


@pytest.mark.parametrize(
    "container",
    [
        {},
        {"livenessProbe": None, "lifecycle": {}, "restartPolicy": ""},
        {"securityContext": {"privileged": False, "runAsUser": 1000, "capabilities": {"drop": ["ALL"]}}},
        {"volumeMounts": [{"name": "v", "mountPath": "/x", "mountPropagation": "None", "subPathExpr": "plain"}]},
    ],
)
def test_what_every_container_runs_with_is_accepted(container: dict[str, Any]) -> None:
    refuse_unsupported(make_pod(container, volumes=EMPTY_DIR))


@pytest.mark.parametrize("field", ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle"])
def test_a_field_that_would_be_ignored_is_refused_with_its_container(field: str) -> None:
    value = {"exec": {"command": ["true"]}}
    with pytest.raises(UnsupportedPod, match=f'container "second": {field} is not supported yet'):
        refuse_unsupported(make_pod({}, {"name": "second", field: value}))


def test_a_restart_policy_of_its_own_is_a_sidecars() -> None:
    refuse_unsupported(make_pod(initContainers=[{"name": "a", "restartPolicy": "Always"}, {"name": "b"}]))
    with pytest.raises(UnsupportedPod, match='container "main": a restartPolicy of its own'):
        refuse_unsupported(make_pod({"restartPolicy": "Always"}))
    with pytest.raises(UnsupportedPod, match="init container \"a\": restartPolicy 'Never'"):
        refuse_unsupported(make_pod(initContainers=[{"name": "a", "restartPolicy": "Never"}]))


def test_a_pod_without_containers_is_refused() -> None:
    pod = make_pod()
    pod.spec.containers = []
    with pytest.raises(UnsupportedPod, match="the pod has no containers"):
        refuse_unsupported(pod)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"hostPID": True}, "the pod's hostPID"),
        ({"hostIPC": True}, "the pod's hostIPC"),
        ({"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["x"]}]}, "the pod's hostAliases"),
        ({"securityContext": {"runAsUser": 0}}, 'container "main": runAsUser 0'),
    ],
)
def test_what_the_whole_pod_cannot_have_is_refused(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(UnsupportedPod, match=words):
        refuse_unsupported(make_pod(**spec))


@pytest.mark.parametrize(
    ("context", "words"),
    [
        ({"privileged": True}, 'container "main": privileged'),
        ({"runAsUser": 0}, 'container "main": runAsUser 0'),
        ({"capabilities": {"add": ["NET_ADMIN", "SYS_ADMIN"]}}, "NET_ADMIN, SYS_ADMIN"),
    ],
)
def test_more_rights_than_a_batch_job_has_are_refused(context: dict[str, Any], words: str) -> None:
    with pytest.raises(UnsupportedPod, match=words):
        refuse_unsupported(make_pod({"securityContext": context}))


def test_the_containers_user_counts_before_the_pods() -> None:
    refuse_unsupported(make_pod({"securityContext": {"runAsUser": 5}}, securityContext={"runAsUser": 0}))
    with pytest.raises(UnsupportedPod, match="runAsUser 0"):
        refuse_unsupported(make_pod({"securityContext": {"runAsUser": 0}}, securityContext={"runAsUser": 5}))


@pytest.mark.parametrize("propagation", ["HostToContainer", "Bidirectional"])
def test_mount_propagation_is_refused_with_its_volume(propagation: str) -> None:
    mount = {"name": "v", "mountPath": "/x", "mountPropagation": propagation}
    with pytest.raises(UnsupportedPod, match=f'mountPropagation {propagation} of volume "v"'):
        refuse_unsupported(make_pod({"volumeMounts": [mount]}, volumes=EMPTY_DIR))


def test_a_path_with_a_variable_nobody_resolved_is_refused() -> None:
    mount = {"name": "v", "mountPath": "/x", "subPathExpr": "a/$(POD)"}
    with pytest.raises(UnsupportedPod, match=r'subPathExpr "a/\$\(POD\)" names a variable that has no value'):
        refuse_unsupported(make_pod({"volumeMounts": [mount]}, volumes=EMPTY_DIR))


@pytest.mark.parametrize(("above", "below"), [("", "a"), ("a", "a/b"), ("a/", "a//b/c")])
def test_a_sub_path_below_a_folder_that_another_container_can_swap_is_refused(above: str, below: str) -> None:
    pod = make_pod(_mounts(above), _mounts(below) | {"name": "second"}, volumes=EMPTY_DIR)
    with pytest.raises(UnsupportedPod, match=r'container "second": subPath .* container "main" mounts a folder above'):
        refuse_unsupported(pod)


def test_sub_paths_that_do_not_lie_in_each_other_are_accepted() -> None:
    refuse_unsupported(make_pod(_mounts("a", "ab", "b/c"), _mounts("a") | {"name": "second"}, volumes=EMPTY_DIR))


def test_sub_paths_of_a_volume_that_no_container_can_write_are_accepted() -> None:
    volumes = [{"name": "v", "configMap": {"name": "m"}}]
    refuse_unsupported(make_pod(_mounts("", "a"), volumes=volumes))
