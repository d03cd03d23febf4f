"""Containers under apptainer, by the argv and environment that it would receive (the real one: tests/e2e)."""

import csv
import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.core.errors import UnsupportedPod
from interlink.core.pod.paths import check_variable
from interlink.runner.files import RunnerError
from interlink.runner.runtimes import Bind, ImageFile, Launch, Source
from interlink.runner.runtimes.apptainer import OWN_PREFIXES, Apptainer

CONFIG = {"Entrypoint": ["/entry", "-e"], "Cmd": ["default", ""], "WorkingDir": "/work", "Env": ["A=image", "B=b=$c"]}
UNKNOWN = ImageFile("/image.sif")
KNOWN = ImageFile("/image.sif", CONFIG, "registry/busybox@sha256:1")


@pytest.fixture
def runtime(tmp_path: Path) -> Apptainer:
    return Apptainer({"folder": str(tmp_path), "runtime": {}})


def words(launch: Launch) -> list[str]:
    """Return what stands behind the image."""
    return launch.argv[launch.argv.index("/image.sif") + 1 :]


@pytest.mark.parametrize(
    ("command", "args", "expected"),
    [
        (None, None, ["/entry", "-e", "default", ""]),
        (None, ["a"], ["/entry", "-e", "a"]),
        (["c"], None, ["c"]),
        (["c", "-x"], ["a", ""], ["c", "-x", "a", ""]),
    ],
)
def test_command_and_args_stand_against_entrypoint_and_cmd_as_kubernetes_has_it(
    runtime: Apptainer, command: list[str] | None, args: list[str] | None, expected: list[str]
) -> None:
    launch = runtime.launch({"command": command, "args": args}, KNOWN, [], [])
    assert launch.argv[:3] == ["apptainer", "-s", "exec"]
    assert words(launch) == expected


def test_tasks_of_a_node_share_a_container_that_they_can_enter(runtime: Apptainer) -> None:
    """Its process ids are the node's: with some of its own, tasks could not be what the launcher started."""
    shared = runtime.shared({"command": ["ring"], "args": ["3"]}, KNOWN, [Bind("/e", "/data")], [("A", "pod's")])
    assert shared.holder is not None
    assert words(shared.holder)[:2] == ["/bin/sh", "-c"]
    assert "--userns" in shared.holder.argv
    assert "--pid" not in shared.holder.argv
    assert "--pid" in runtime.launch({}, KNOWN, [], []).argv
    assert "type=bind,source=/e,destination=/data" in shared.holder.argv
    assert shared.task.argv == ["ring", "3"]
    assert shared.task.environment == {"A": "pod's", "B": "b=$c"}


def test_tasks_of_an_image_that_no_registry_described_run_what_apptainer_would(runtime: Apptainer) -> None:
    shared = runtime.shared({"args": ["-x"]}, UNKNOWN, [], [])
    assert shared.task.argv == ["/.singularity.d/runscript", "-x"]
    assert runtime.shared({"command": ["c"]}, UNKNOWN, [], []).task.argv == ["c"]


def test_an_image_without_a_command_is_said_so(runtime: Apptainer) -> None:
    with pytest.raises(RunnerError, match="names a command"):
        runtime.launch({}, ImageFile("/image.sif", {"Cmd": None}), [], [])


@pytest.mark.parametrize(("said", "expected"), [("", "/work"), ("/pod", "/pod")])
def test_the_working_directory_is_the_pods_else_the_images(runtime: Apptainer, said: str, expected: str) -> None:
    argv = runtime.launch({"workingDir": said}, KNOWN, [], []).argv
    assert argv[argv.index("--pwd") + 1] == expected


def test_an_image_that_says_no_working_directory_starts_at_its_root(runtime: Apptainer) -> None:
    argv = runtime.launch({"command": ["c"]}, ImageFile("/image.sif", {}), [], []).argv
    assert argv[argv.index("--pwd") + 1] == "/"
    assert "--pwd" not in runtime.launch({"command": ["c"]}, UNKNOWN, [], []).argv


def test_the_images_variables_stand_below_the_pods_even_where_these_are_empty(runtime: Apptainer) -> None:
    environ = runtime.launch({}, KNOWN, [], [("A", ""), ("my.var", "1")]).environment
    assert (environ["A"], environ["B"], environ["my.var"]) == ("", "b=$c", "1")


def test_an_images_own_scripts_are_covered_where_its_variables_are_known(runtime: Apptainer, tmp_path: Path) -> None:
    """Apptainer makes a script of ENV, which odd values break and which replaces the pod's empty ones."""
    known = mounts(runtime.launch({}, KNOWN, [], []).argv)
    assert known == [f"type=bind,source={tmp_path}/apptainer,destination=/.singularity.d/env,ro"]
    assert sorted(path.name for path in (tmp_path / "apptainer").iterdir()) == ["99-base.sh", "zz-interlink.sh"]
    unknown = mounts(runtime.launch({}, UNKNOWN, [], []).argv)
    script = "zz-interlink.sh"
    assert unknown == [f"type=bind,source={tmp_path}/apptainer/{script},destination=/.singularity.d/env/{script},ro"]


@pytest.mark.parametrize(
    ("command", "args", "verb", "tail"),
    [(None, None, "run", []), (None, ["a"], "run", ["a"]), (["c"], ["a", ""], "exec", ["c", "a", ""])],
)
def test_an_image_of_which_nothing_is_known_runs_its_own_script(
    runtime: Apptainer, command: list[str] | None, args: list[str] | None, verb: str, tail: list[str]
) -> None:
    launch = runtime.launch({"command": command, "args": args}, UNKNOWN, [], [("A", ""), ("my.var", "1")])
    assert launch.argv[2] == verb
    assert words(launch) == tail
    # Behind the image's own script, which could replace it.
    assert launch.environment["APPTAINERENV_A"] == ""
    assert launch.environment["my.var"] == "1"


@pytest.mark.parametrize(("gpu", "option"), [("nvidia", "--nv"), ("amd", "--rocm"), ("", None)])
def test_a_container_sees_the_gpus_driver_where_it_asked_for_one(
    runtime: Apptainer, gpu: str, option: str | None
) -> None:
    argv = runtime.launch({"gpu": gpu}, KNOWN, [], []).argv
    assert [word for word in argv if word in ("--nv", "--rocm")] == ([option] if option else [])


def mounts(argv: list[str]) -> list[str]:
    """Return the binds of a command line."""
    return [argv[index + 1] for index, word in enumerate(argv) if word == "--mount"]


def test_the_options_isolate_and_the_sites_come_last(tmp_path: Path) -> None:
    runtime = Apptainer({"folder": str(tmp_path), "runtime": {"executable": "/opt/apptainer", "options": ["--userns"]}})
    argv = runtime.launch({}, KNOWN, [], []).argv
    assert argv[0] == "/opt/apptainer"
    assert {"--contain", "--no-eval", "--pid"} <= set(argv)
    assert argv[argv.index("--pwd") - 1] == "--userns"


def test_the_environment_is_the_pods_and_none_of_the_jobs(runtime: Apptainer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_SECRET", "x")
    env = [("A", "x\ny"), ("PATH", "/bin"), ("APPTAINER_BIND", "/:/host"), ("LD_PRELOAD", "/x.so"), ("HOME", "/pod")]
    environ = runtime.launch({}, KNOWN, [], env).environment
    assert environ["A"] == "x\ny"
    # What would steer apptainer itself goes to the container only.
    assert environ["APPTAINERENV_PATH"] == "/bin"
    assert environ["APPTAINERENV_APPTAINER_BIND"] == "/:/host"
    assert environ["APPTAINERENV_LD_PRELOAD"] == "/x.so"
    assert environ["APPTAINERENV_INTERLINK_HOME"] == "/pod"
    assert (environ["PATH"], environ["HOME"]) == (os.environ["PATH"], os.environ["HOME"])
    assert not {"APPTAINER_BIND", "LD_PRELOAD", "SLURM_SECRET"} & set(environ)


def test_singularity_is_spoken_to_by_its_own_prefix(tmp_path: Path) -> None:
    runtime = Apptainer({"folder": str(tmp_path), "runtime": {"executable": "/usr/bin/singularity"}})
    assert runtime.launch({}, KNOWN, [], [("PATH", "/bin")]).environment["SINGULARITYENV_PATH"] == "/bin"


@pytest.mark.parametrize(
    "name",
    ["BASH_ENV", "ENV", "LD_LIBRARY_PATH", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "GLIBC_TUNABLES",
     "PYTHONPATH", "SINGULARITY_BIND", "SINGULARITYENV_PATH", "SHELLOPTS", "BASHOPTS", "PS4", "IFS", "TMPDIR", "TMP",
     "TEMP", "GODEBUG", "GOTRACEBACK", "GCONV_PATH", "LOCPATH", "NLSPATH", "HOSTALIASES", "RESOLV_HOST_CONF"],
)  # fmt: skip
def test_what_would_steer_the_runtime_goes_to_the_container_alone(runtime: Apptainer, name: str) -> None:
    environ = runtime.environment(KNOWN, [(name, "pod's"), ("https_proxy", "p")])
    assert environ["APPTAINERENV_" + name] == "pod's"
    assert environ.get(name) != "pod's"
    assert environ["https_proxy"] == "p"


def test_the_core_refuses_what_the_prefix_cannot_carry() -> None:
    for prefix in OWN_PREFIXES:
        with pytest.raises(UnsupportedPod):
            check_variable("container", prefix + "x.y%%", "")


def test_binds_come_parents_first_and_say_what_is_read_only(runtime: Apptainer) -> None:
    binds = [Bind("/c", "/data/config", True), Bind("/e", "/data"), Bind("/e", '/odd,"name', True)]
    assert mounts(runtime.launch({}, KNOWN, binds, []).argv)[1:] == [
        "type=bind,source=/e,destination=/data",
        'type=bind,source=/e,"destination=/odd,""name",ro',
        "type=bind,source=/c,destination=/data/config,ro",
    ]


def test_a_file_below_dev_is_linked_to_where_apptainer_lets_it_be(runtime: Apptainer) -> None:
    """It makes nothing in its own /dev for a bind, and the container would not start."""
    launch = runtime.launch({}, KNOWN, [Bind("/job/termination/main", "/dev/termination-log")], [])
    assert mounts(launch.argv)[1:] == ["type=bind,source=/job/termination/main,destination=/.interlink-link"]
    assert launch.environment["APPTAINERENV_INTERLINK_LINK"] == "/dev/termination-log"


def test_a_file_that_the_hosts_dev_has_too_is_left_to_apptainer(runtime: Apptainer) -> None:
    path = "/dev/termination-log"
    launch = runtime.launch({}, KNOWN, [Bind(path, path)], [])
    assert mounts(launch.argv)[1:] == [f"type=bind,source={path},destination={path}"]
    assert "APPTAINERENV_INTERLINK_LINK" not in launch.environment


def test_memory_of_the_node_shows_as_the_containers_shared_memory(runtime: Apptainer) -> None:
    """A bind from /dev to /dev apptainer leaves out without a word."""
    launch = runtime.launch({}, KNOWN, [Bind("/dev/shm/pod", "/dev/shm")], [])
    assert mounts(launch.argv)[1:] == ["type=bind,source=/proc/self/root/dev/shm/pod,destination=/dev/shm"]
    assert "APPTAINERENV_INTERLINK_LINK" not in launch.environment


SOURCE = Source("docker://registry/app@sha256:1", "registry", "app", "sha256:1")


def test_a_pull_is_bounded_in_memory_and_leaves_nothing_of_apptainers_own(runtime: Apptainer, tmp_path: Path) -> None:
    (launch,) = runtime.pull(SOURCE, "/t.sif", str(tmp_path))
    assert launch.argv == [
        "apptainer", "build", "--mksquashfs-args", "-mem 64M -processors 2", "--disable-cache", "--force",
        "/t.sif", "docker://registry/app@sha256:1",
    ]  # fmt: skip
    assert launch.environment["APPTAINER_TMPDIR"] == str(tmp_path)


def test_the_administrators_folder_for_pulls_is_used(
    runtime: Apptainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPTAINER_TMPDIR", "/local")
    assert runtime.pull(SOURCE, "/t.sif", str(tmp_path))[0].environment["APPTAINER_TMPDIR"] == "/local"


def test_a_credential_goes_to_apptainer_by_a_file_of_its_own(runtime: Apptainer, tmp_path: Path) -> None:
    (launch,) = runtime.pull(SOURCE._replace(username="alice", password="s3cret"), "/t.sif", str(tmp_path))
    file = Path(launch.argv[launch.argv.index("--authfile") + 1])
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_text()) == {"auths": {"registry": {"auth": "YWxpY2U6czNjcmV0"}}}
    assert "s3cret" not in str(launch)
    hub = SOURCE._replace(registry="docker.io", token="t0ken")
    runtime.pull(hub, "/t.sif", str(tmp_path))
    assert json.loads(file.read_text()) == {"auths": {"https://index.docker.io/v1/": {"identitytoken": "t0ken"}}}


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@given(command=st.lists(TEXT, min_size=1), args=st.lists(TEXT), path=TEXT)
def test_hostile_words_and_paths_stay_single_words(
    tmp_path_factory: pytest.TempPathFactory, command: list[str], args: list[str], path: str
) -> None:
    runtime = Apptainer({"folder": str(tmp_path_factory.getbasetemp()), "runtime": {}})
    spec, binds = {"command": command, "args": args}, [Bind("/source", "/" + path)]
    argv = runtime.launch(spec, UNKNOWN, binds, []).argv
    image = argv.index("/image.sif")
    assert argv[image + 1 :] == command + args
    assert argv[image - 2] == "--mount"
    (fields,) = csv.reader(io.StringIO(argv[image - 1], newline=""))
    assert fields == ["type=bind", "source=/source", f"destination=/{path}"]
    assert all(word.startswith(("-", "type=bind,")) for word in argv[3 : image - 1])


@given(st.lists(st.tuples(TEXT, TEXT)), st.sampled_from([KNOWN, UNKNOWN]))
def test_every_variable_reaches_the_container_by_its_own_name_or_apptainers_prefix(
    pairs: list[tuple[str, str]], image: ImageFile
) -> None:
    environ = Apptainer({"folder": "/job", "runtime": {}}).environment(image, pairs)
    for name, value in dict(pairs).items():
        assert value in (environ.get(name), environ.get("APPTAINERENV_" + name))


def test_a_pod_that_names_its_host_has_that_name(tmp_path: Path) -> None:
    for names, expected in ((None, []), ({"hostname": ""}, []), ({"hostname": "web-0"}, ["web-0"])):
        runtime = Apptainer({"folder": str(tmp_path), "runtime": {"kind": "apptainer"}, "names": names})
        argv = runtime.launch({"name": "main", "command": ["true"]}, ImageFile("/i.sif"), (), ()).argv
        assert [argv[place + 1] for place, word in enumerate(argv) if word == "--hostname"] == expected
