"""What this edge does not do is refused by name, and what charts carry as a matter of course is not."""

from typing import Any

import pytest

from interlink.core.errors import UnsupportedPod
from interlink.core.pod.unsupported import refuse_unsupported
from tests.unit.core.pods import make_pod


@pytest.mark.parametrize(
    "container",
    [
        {},
        {"livenessProbe": None, "lifecycle": {}, "restartPolicy": ""},
        {"securityContext": {"privileged": False, "runAsUser": 1000, "capabilities": {"drop": ["ALL"]}}},
    ],
)
def test_what_every_container_runs_with_is_accepted(container: dict[str, Any]) -> None:
    refuse_unsupported(make_pod(container))


@pytest.mark.parametrize("field", ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle"])
def test_an_init_container_has_probes_and_hooks_only_where_it_runs_on(field: str) -> None:
    value = {"exec": {"command": ["true"]}}
    refuse_unsupported(make_pod(initContainers=[{"name": "first", "restartPolicy": "Always", field: value}]))
    with pytest.raises(UnsupportedPod, match=f'init container "first" .* no {field}'):
        refuse_unsupported(make_pod(initContainers=[{"name": "first", field: value}]))


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
        ({"securityContext": {"runAsUser": 0}}, 'container "main": runAsUser 0'),
    ],
)
def test_what_the_whole_pod_cannot_have_is_refused(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(UnsupportedPod, match=words):
        refuse_unsupported(make_pod(**spec))


def test_what_a_runtime_cannot_do_is_refused_under_that_alone() -> None:
    pod = make_pod(hostAliases=[{"ip": "10.0.0.1", "hostnames": ["x"]}])
    refuse_unsupported(pod, runtime="apptainer")
    with pytest.raises(UnsupportedPod, match="the pod's hostAliases is not possible under this container runtime"):
        refuse_unsupported(pod, runtime="enroot")


@pytest.mark.parametrize(
    ("context", "words"),
    [
        ({"privileged": True}, 'container "main": securityContext.privileged'),
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
