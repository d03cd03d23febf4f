"""A pod → its plan, and what is refused on the way."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.core.errors import UnsupportedPod
from interlink.core.plan import Plan, PlanMount
from interlink.core.pod_plan import HOST_RUNTIME_ANNOTATION, PlanSettings, build_plan, image_name
from interlink.wire.pod import Pod
from tests.unit.core.pods import UID, make_pod, make_request

FOLDER = f"/data/jobs/{UID}"
SETTINGS = PlanSettings(image_cache="/data/images", apptainer_options=("--nv",))


def _plan(pod: Pod, settings: PlanSettings = SETTINGS, **share: Any) -> Plan:
    return build_plan(make_request(pod, **share), folder=FOLDER, spool="/data/spool", settings=settings)


def test_a_pod_becomes_a_plan_that_survives_its_json() -> None:
    pod = make_pod(
        {
            "command": ["sh", "-c"], "args": ["echo $A"], "workingDir": "/w", "env": [{"name": "A", "value": "b\nc"}],
            "volumeMounts": [{"name": "v", "mountPath": "/w", "subPath": "x/y/", "readOnly": True}],
        },
        {"name": "second", "image": "/images/x.sif"},
        volumes=[{"name": "v", "emptyDir": {}}], restartPolicy="OnFailure", activeDeadlineSeconds=90,
        terminationGracePeriodSeconds=5,
    )  # fmt: skip
    plan = _plan(pod)
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan
    assert (plan.uid, plan.folder, plan.spool) == (UID, FOLDER, "/data/spool")
    assert (plan.restart_policy, plan.active_deadline_seconds, plan.termination_grace_period_seconds) == (
        "OnFailure", 90, 5)  # fmt: skip
    assert (plan.runtime.kind, plan.runtime.options, plan.runtime.image_cache) == (
        "apptainer",
        ["--nv"],
        "/data/images",
    )
    first, second = plan.containers
    assert (first.command, first.args, first.working_dir) == (["sh", "-c"], ["echo $A"], "/w")
    assert first.env == [("A", "b\nc")]
    assert first.mounts == [PlanMount(volume="v", mount_path="/w", sub_path="x/y", read_only=True)]
    assert (first.image, second.image) == ("docker://busybox:1", "/images/x.sif")
    assert (second.command, second.args) == (None, None)


@pytest.mark.parametrize(
    ("image", "policy", "planned"),
    [
        ("busybox", "", "Always"),
        ("busybox:latest", "", "Always"),
        ("host:5000/busybox", "", "Always"),
        ("host:5000/busybox:1", "", "IfNotPresent"),
        ("busybox@sha256:0", "", "IfNotPresent"),
        ("busybox:latest", "Never", "Never"),
        ("/images/x.sif", "", "IfNotPresent"),
    ],
)
def test_the_pull_policy_is_kubernetes_default(image: str, policy: str, planned: str) -> None:
    assert _plan(make_pod({"image": image, "imagePullPolicy": policy})).containers[0].pull_policy == planned


@pytest.mark.parametrize(
    "image",
    ["", " ", "--bind", "-", "a b", "a\nb", "/", "//", "/data", "/data/jobs", FOLDER, f"{FOLDER}/x.sif", "/x/../data",
     "/proc/self/root", "/proc", "instance://other", "docker-daemon://x"],
)  # fmt: skip
def test_an_image_that_opens_the_site_or_is_an_option_is_refused(image: str) -> None:
    with pytest.raises(UnsupportedPod):
        image_name("container", image, "", FOLDER)


@given(st.text(max_size=30))
def test_no_image_name_is_an_option_or_a_relative_file(image: str) -> None:
    try:
        name = image_name("container", image, "docker://", FOLDER)
    except UnsupportedPod:
        return
    assert name.startswith(("/", "docker://")) or "://" in name


def test_the_host_runtime_needs_the_administrators_leave_and_a_command() -> None:
    host = {HOST_RUNTIME_ANNOTATION: "none"}
    allowed = PlanSettings(allow_host_runtime=True)
    assert _plan(make_pod({"command": ["true"]}, annotations=host), allowed).runtime.kind == "none"
    with pytest.raises(UnsupportedPod, match="not allowed on this site"):
        _plan(make_pod({"command": ["true"]}, annotations=host))
    with pytest.raises(UnsupportedPod, match="give a command"):
        _plan(make_pod(annotations=host), allowed)
    with pytest.raises(UnsupportedPod, match="'docker' is unknown"):
        _plan(make_pod(annotations={HOST_RUNTIME_ANNOTATION: "docker"}))


@pytest.mark.parametrize(
    ("container", "words"),
    [
        ({"livenessProbe": {"exec": {}}}, 'container "main": livenessProbe is not supported yet'),
        ({"readinessProbe": {"exec": {}}}, "readinessProbe"),
        ({"startupProbe": {"exec": {}}}, "startupProbe"),
        ({"lifecycle": {"preStop": {}}}, "lifecycle"),
        ({"restartPolicy": "Always"}, "restartPolicy"),
        ({"name": "Bad/Name"}, "no DNS label"),
        ({"command": ["a\0"]}, "NUL byte"),
        ({"env": [{"name": "a=b"}]}, "no name of a variable"),
        ({"env": [{"name": "a", "value": "\0"}]}, "NUL byte"),
        ({"imagePullPolicy": "Sometimes"}, "none of Always"),
        ({"volumeMounts": [{"name": "w", "mountPath": "/x"}]}, 'mounts volume "w", which the pod does not have'),
        ({"volumeMounts": [{"name": "v", "mountPath": "x"}]}, "absolute path"),
        ({"volumeMounts": [{"name": "v", "mountPath": "/a/../b"}]}, "absolute path"),
        ({"volumeMounts": [{"name": "v", "mountPath": "/x", "subPath": "../y"}]}, "subPath"),
        ({"volumeMounts": [{"name": "v", "mountPath": "/x", "subPathExpr": "$(POD)"}]}, "has no value"),
        ({"volumeMounts": [{"name": "v", "mountPath": "/x", "mountPropagation": "Bidirectional"}]}, "mountPropagation"),
    ],
)
def test_what_would_not_be_done_as_the_pod_says_is_refused(container: dict[str, Any], words: str) -> None:
    with pytest.raises(UnsupportedPod, match=words):
        _plan(make_pod(container, volumes=[{"name": "v", "emptyDir": {}}]))


def test_what_no_pod_can_have_is_refused() -> None:
    with pytest.raises(UnsupportedPod, match="init containers are not supported yet: setup"):
        _plan(make_pod(initContainers=[{"name": "setup"}]))
    with pytest.raises(UnsupportedPod, match="same name"):
        _plan(make_pod({}, {}))
    with pytest.raises(UnsupportedPod, match="restartPolicy 'Now'"):
        _plan(make_pod(restartPolicy="Now"))
    pod = make_pod()
    pod.metadata.uid = "../x"
    with pytest.raises(UnsupportedPod, match="UID"):
        _plan(pod)
