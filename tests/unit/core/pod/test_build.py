"""A pod → its plan, and what is refused on the way."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.core.errors import UnsupportedPod
from interlink.core.plan import Plan, PlanMount
from interlink.core.pod.build import PlanSettings, build_plan
from interlink.core.pod.runtime import Runtimes, RuntimeSettings
from interlink.wire.pod import Pod
from tests.unit.core.pods import UID, make_pod, make_request

FOLDER = f"/data/jobs/{UID}"
RUNTIME = "slurm-job.vk.io/container-runtime"
SETTINGS = PlanSettings(
    runtimes=Runtimes(
        known={"apptainer": RuntimeSettings(executable="apptainer", options=("--nv",))}, image_cache="/data/images"
    )
)


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


def test_a_containers_own_security_context_counts_over_the_pods() -> None:
    own = {"securityContext": {"runAsUser": 5, "runAsNonRoot": False}}
    pod = make_pod(own, {"name": "b"}, securityContext={"runAsUser": 4, "runAsGroup": 3, "runAsNonRoot": True})
    planned = [(one.run_as_user, one.run_as_group, one.run_as_non_root) for one in _plan(pod).containers]
    assert planned == [(5, 3, False), (4, 3, True)]
    assert not _plan(make_pod({})).containers[0].run_as_non_root


def test_the_host_runtime_needs_the_administrators_leave_and_a_command() -> None:
    host = {RUNTIME: "none"}
    allowed = PlanSettings(runtimes=Runtimes(allow_host=True))
    assert _plan(make_pod({"command": ["true"]}, annotations=host), allowed).runtime.kind == "none"
    with pytest.raises(UnsupportedPod, match="not allowed on this site"):
        _plan(make_pod({"command": ["true"]}, annotations=host))
    with pytest.raises(UnsupportedPod, match="give a command"):
        _plan(make_pod(annotations=host), allowed)
    with pytest.raises(UnsupportedPod, match="'docker' is unknown"):
        _plan(make_pod(annotations={RUNTIME: "docker"}))


@pytest.mark.parametrize(
    ("container", "words"),
    [
        ({"livenessProbe": {"exec": {}}}, 'container "main": livenessProbe: exec needs a command'),
        ({"readinessProbe": {"exec": {}}}, "readinessProbe"),
        ({"startupProbe": {"exec": {}}}, "startupProbe"),
        ({"lifecycle": {"preStop": {"exec": {}}}}, "preStop: exec needs a command"),
        ({"restartPolicy": "Always"}, "a restartPolicy of its own is not supported"),
        ({"terminationMessagePath": "x"}, "terminationMessagePath .* absolute path"),
        ({"terminationMessagePolicy": "Never"}, "terminationMessagePolicy 'Never'"),
        ({"resources": {"limits": {"memory": "-1"}}}, "memory is negative"),
        ({"resources": {"limits": {"cpu": "-1"}}}, "cpu is negative"),
        ({"name": "Bad/Name"}, "no DNS label"),
        ({"command": ["a\0"]}, "NUL byte"),
        ({"env": [{"name": "a=b"}]}, "no name of a variable"),
        ({"env": [{"name": "a", "value": "\0"}]}, "NUL byte"),
        ({"imagePullPolicy": "Sometimes"}, "none of Always"),
        ({"volumeMounts": [{"name": "w", "mountPath": "/x"}]}, 'mounts volume "w", which the pod does not have'),
        ({"volumeMounts": [{"name": "v", "mountPath": "x"}]}, "absolute path"),
        ({"volumeMounts": [{"name": "v", "mountPath": "/a/../b"}]}, "absolute path"),
        ({"volumeMounts": [{"name": "v", "mountPath": "/x", "subPath": "../y"}]}, "subPath"),
        ({"volumeMounts": [{"name": "v", "mountPath": "/x", "subPathExpr": "$(POD)"}]}, "missing value"),
        ({"volumeMounts": [{"name": "v", "mountPath": "/x", "mountPropagation": "Bidirectional"}]}, "mountPropagation"),
        ({"env": [{"name": "BASH_FUNC_ls%%", "value": "() { :; }"}]}, "BASH_FUNC_ls%%.* would reach"),
        ({"env": [{"name": "APPTAINER.x"}]}, "would reach the site's container runtime"),
        ({"image": "/data/images/x.sif"}, "the site's own folders"),
    ],
)
def test_what_would_not_be_done_as_the_pod_says_is_refused(container: dict[str, Any], words: str) -> None:
    with pytest.raises(UnsupportedPod, match=words):
        _plan(make_pod(container, volumes=[{"name": "v", "emptyDir": {}}]))


def test_a_variable_with_dots_is_let_pass_where_it_means_nothing_to_the_runtime() -> None:
    env = [{"name": "my.var", "value": "1"}, {"name": "LD_PRELOAD", "value": "2"}]
    assert _plan(make_pod({"env": env})).containers[0].env == [("my.var", "1"), ("LD_PRELOAD", "2")]


def test_init_containers_are_planned_like_the_others_and_sidecars_marked() -> None:
    setup = {"name": "setup", "image": "busybox:1", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    beside = {"name": "beside", "image": "busybox:1", "restartPolicy": "Always"}
    plan = _plan(make_pod({}, initContainers=[setup, beside], volumes=[{"name": "v", "emptyDir": {}}]))
    assert [(item.name, item.restart_policy) for item in plan.init_containers] == [("setup", ""), ("beside", "Always")]
    assert plan.init_containers[0].mounts == [PlanMount(volume="v", mount_path="/v")]
    assert [item.name for item in plan.containers] == ["main"]


@pytest.mark.parametrize(
    ("init", "words"),
    [
        ({"restartPolicy": "OnFailure"}, "init container \"setup\": restartPolicy 'OnFailure'"),
        ({"securityContext": {"privileged": True}}, 'container "setup": securityContext.privileged'),
        ({"volumeMounts": [{"name": "w", "mountPath": "/w"}]}, 'container "setup" mounts volume "w"'),
    ],
)
def test_an_init_container_is_refused_for_what_another_is_refused_for(init: dict[str, Any], words: str) -> None:
    with pytest.raises(UnsupportedPod, match=words):
        _plan(make_pod({}, initContainers=[{"name": "setup", "image": "busybox:1", **init}]))


def test_limits_input_and_last_words_are_planned() -> None:
    fields = {
        "resources": {"limits": {"memory": "1500m", "cpu": "250m"}, "requests": {"memory": "1Gi", "cpu": "9"}},
        "stdin": True, "stdinOnce": True, "tty": True,
        "terminationMessagePath": "/x/y", "terminationMessagePolicy": "FallbackToLogsOnError",
    }  # fmt: skip
    first, second = _plan(make_pod(fields, {"name": "second", "terminationMessagePath": ""})).containers
    assert (first.memory_limit, first.stdin, first.stdin_once, first.tty) == (2, True, True, True)
    assert (first.cpu_limit, second.cpu_limit) == (0.25, None)
    assert (first.termination_message_path, first.termination_message_policy) == ("/x/y", "FallbackToLogsOnError")
    assert (second.memory_limit, second.stdin, second.termination_message_path) == (None, False, "/dev/termination-log")


def test_a_volume_that_no_container_mounts_needs_no_contents() -> None:
    pod = make_pod({}, volumes=[{"name": "v", "secret": {"secretName": "s"}}])
    assert _plan(pod).volumes == []


def test_what_no_pod_can_have_is_refused() -> None:
    with pytest.raises(UnsupportedPod, match="same name"):
        _plan(make_pod({}, {}))
    with pytest.raises(UnsupportedPod, match="same name"):
        _plan(make_pod({}, initContainers=[{"name": "main", "image": "i"}]))
    with pytest.raises(UnsupportedPod, match="restartPolicy 'Now'"):
        _plan(make_pod(restartPolicy="Now"))
    pod = make_pod()
    pod.metadata.uid = "../x"
    with pytest.raises(UnsupportedPod, match="UID"):
        _plan(pod)


@given(st.lists(st.text(max_size=20), max_size=4), st.lists(st.text(max_size=20), max_size=4), st.text(max_size=20))
def test_words_of_the_pod_reach_the_runner_letter_by_letter(command: list[str], args: list[str], folder: str) -> None:
    pod = make_pod({"command": command, "args": args, "workingDir": folder})
    if "\0" in "".join([*command, *args, folder]):
        with pytest.raises(UnsupportedPod, match="NUL byte"):
            _plan(pod)
        return
    (planned,) = msgspec.json.decode(msgspec.json.encode(_plan(pod)), type=Plan).containers
    assert (planned.command, planned.args, planned.working_dir) == (command or None, args or None, folder)


@given(st.text("aB_.-= \0é%(){};\n", max_size=8), st.text(max_size=40))
def test_a_variable_reaches_the_runner_letter_by_letter_or_is_refused(name: str, value: str) -> None:
    pod = make_pod({"env": [{"name": name, "value": value}]})
    if not name or "=" in name or "\0" in name + value:
        with pytest.raises(UnsupportedPod, match='container "main"'):
            _plan(pod)
        return
    assert _plan(pod).containers[0].env == [(name, value)]


@pytest.mark.parametrize("name", ["APPTAINER_BIND x", "LD_PRELOAD\n", "BASH_FUNC_x%%", "SINGULARITY-X", "PYTHON.PATH"])
def test_a_variable_that_would_reach_the_runtime_and_not_the_container_is_refused(name: str) -> None:
    with pytest.raises(UnsupportedPod, match="would reach the site's container runtime"):
        _plan(make_pod({"env": [{"name": name, "value": "x"}]}))


def test_the_containers_environments_are_kept_apart() -> None:
    plan = _plan(make_pod({"env": [{"name": "A", "value": "1"}]}, {"name": "second"}))
    assert [container.env for container in plan.containers] == [[("A", "1")], []]


@given(st.text("a./\0 :,'\"$", max_size=12), st.text("a./\0 :,'\"$", max_size=12))
def test_a_planned_mount_stays_in_its_volume_and_in_its_container(mount_path: str, sub_path: str) -> None:
    mount = {"name": "v", "mountPath": mount_path, "subPath": sub_path}
    try:
        plan = _plan(make_pod({"volumeMounts": [mount]}, volumes=[{"name": "v", "emptyDir": {}}]))
    except UnsupportedPod:
        return
    ((planned,),) = (container.mounts for container in plan.containers)
    assert planned.mount_path == mount_path
    assert planned.mount_path.startswith("/")
    assert ".." not in planned.mount_path.split("/") + planned.sub_path.split("/")
    assert not planned.sub_path.startswith("/")
    assert sub_path.startswith(planned.sub_path)


@given(st.text(max_size=70))
def test_only_a_label_names_a_container(name: str) -> None:
    try:
        (planned,) = _plan(make_pod({"name": name})).containers
    except UnsupportedPod:
        return
    assert planned.name == name
    assert len(name) <= 63
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert name.strip("-") == name


@pytest.mark.parametrize(("seconds", "planned"), [(None, 30), (0, 0), (-5, 0), (90, 90)])
def test_the_grace_period_is_the_pods_own_and_never_negative(seconds: int | None, planned: int) -> None:
    assert _plan(make_pod(terminationGracePeriodSeconds=seconds)).termination_grace_period_seconds == planned


def test_null_lists_of_a_go_peer_are_empty_ones() -> None:
    pod = make_pod({"command": None, "args": None, "env": None, "volumeMounts": None}, volumes=None)
    request = make_request(pod, configMaps=None, secrets=None, projectedvolumemaps=None, emptyDirs=None)
    plan = build_plan(request, folder=FOLDER, spool="/data/spool", settings=SETTINGS)
    assert (plan.volumes, plan.containers[0].env, plan.containers[0].mounts) == ([], [], [])
    request.container = None
    assert build_plan(request, folder=FOLDER, spool="/data/spool", settings=SETTINGS) == plan
