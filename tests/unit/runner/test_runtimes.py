"""Enroot, podman-hpc and Charliecloud, by the argv, environment and files that they would receive."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.runner.files import RunnerError
from interlink.runner.runtimes import Bind, ImageFile, Launch, Source, runtime_of
from interlink.runner.runtimes.base import Runtime, granted

CONFIG = {"Entrypoint": ["/entry"], "Cmd": ["cmd"], "WorkingDir": "/work", "Env": ["A=image", "PATH=/opt/bin"]}
IMAGE = ImageFile("/cache/image", CONFIG, "reg.example/app@sha256:1")
SOURCE = Source("docker://reg.example:5000/app@sha256:1", "reg.example:5000", "app", "sha256:1")
KINDS = ("enroot", "podman-hpc", "charliecloud")
ODD = "a b;$HOME `id` \"q\" 'q' \\ ü\nsecond line"


def runtime(kind: str, folder: Path, **fields: Any) -> Runtime:
    return runtime_of({"folder": str(folder), "runtime": {"kind": kind, **fields}})


def launch(kind: str, folder: Path, *binds: Bind, env: Any = (), **spec: Any) -> Launch:
    return runtime(kind, folder).launch({"name": "main", **spec}, IMAGE, binds, env)


def after(argv: list[str], option: str) -> list[str]:
    """Return the words behind each time that an option stands there."""
    return [argv[index + 1] for index, word in enumerate(argv) if word == option]


def test_a_runtime_that_nobody_knows_is_named_with_those_that_are() -> None:
    with pytest.raises(RunnerError, match="'shifter', only apptainer, charliecloud, enroot, none, podman-hpc"):
        runtime_of({"runtime": {"kind": "shifter"}})


@pytest.mark.parametrize(
    ("command", "args", "expected"),
    [
        (None, None, ["/entry", "cmd"]),
        (None, ["a"], ["/entry", "a"]),
        (["c"], None, ["c"]),
        (["c"], ["a", ""], ["c", "a", ""]),
    ],
)
def test_command_and_args_stand_against_entrypoint_and_cmd(
    tmp_path: Path, command: list[str] | None, args: list[str] | None, expected: list[str]
) -> None:
    enroot = launch("enroot", tmp_path, command=command, args=args).argv
    assert enroot[enroot.index("--") + 1 :] == ["/cache/image", "/work", *expected]
    charliecloud = launch("charliecloud", tmp_path, command=command, args=args).argv
    assert charliecloud[charliecloud.index("/cache/image") :] == ["/cache/image", "--", *expected]
    podman = launch("podman-hpc", tmp_path, command=command, args=args).argv
    assert podman[podman.index(IMAGE.pinned) + 1 :] == (args or [])
    assert after(podman, "--entrypoint") == ([json.dumps(command)] if command else [])


def test_enroot_takes_its_words_by_a_fixed_script_and_values_from_its_own_environment(tmp_path: Path) -> None:
    found = launch("enroot", tmp_path, Bind("/s", "/d", True), env=[("A", "pod $x"), ("PATH", "/pod")], workingDir="/w")
    assert found.argv[:2] == ["enroot", "start"]
    assert after(found.argv, "--mount") == ["/s:/d:none:x-create=auto,rbind,ro"]
    (script,) = after(found.argv, "--rc")
    assert Path(script).read_text() == 'cd -- "$1" || exit 128\nshift\nexec "$@"\n'
    assert {"A", "PATH=/pod", "NVIDIA_VISIBLE_DEVICES"} == set(after(found.argv, "--env"))
    assert (found.environment["A"], found.environment["PATH"]) == ("pod $x", os.environ["PATH"])
    assert found.environment["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert found.environment["ENROOT_MOUNT_HOME"] == "no"


def test_enroot_shows_the_jobs_gpus_where_a_container_asked_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2")
    assert launch("enroot", tmp_path, gpu="nvidia").environment["NVIDIA_VISIBLE_DEVICES"] == "1,2"


@pytest.mark.parametrize(
    ("binds", "env", "words"),
    [
        ([Bind("/s", "/a:b")], [], "/a:b"),
        ([Bind("/s p", "/a")], [], "/s p"),
        ([], [("A", "x\ny")], "the variable A: its value has a line break"),
        ([], [("my.var", "x")], "'my.var': its name is no identifier"),
    ],
)
def test_enroot_refuses_by_name_what_its_text_files_cannot_carry(
    tmp_path: Path, binds: list[Bind], env: list[tuple[str, str]], words: str
) -> None:
    with pytest.raises(RunnerError, match=words):
        launch("enroot", tmp_path, *binds, env=env)


def test_enroot_imports_the_digest_with_a_credential_that_no_shell_reads(tmp_path: Path) -> None:
    enroot = runtime("enroot", tmp_path)
    (plain,) = enroot.pull(SOURCE, "/t.sqsh", str(tmp_path))
    uri = "docker://reg.example:5000#app:sha256:1"
    assert plain.argv == ["enroot", "import", "--output", "/t.sqsh", "--", uri]
    (private,) = enroot.pull(SOURCE._replace(username="al", password="s3cret"), "/t.sqsh", str(tmp_path))
    assert private.argv[-1] == "docker://al@reg.example:5000#app:sha256:1"
    file = Path(private.environment["ENROOT_CONFIG_PATH"]) / ".credentials"
    assert file.read_text() == "machine reg.example login al password s3cret\n"
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(RunnerError, match=r"credential of reg\.example"):
        enroot.pull(SOURCE._replace(username="al", password="$(id)"), "/t.sqsh", str(tmp_path))


def test_podman_takes_values_from_its_own_environment_and_what_it_reads_itself_from_a_file(tmp_path: Path) -> None:
    env = [("ODD", ODD), ("EMPTY", ""), ("my.var", "1"), ("PATH", "/pod bin"), ("PYTHONPATH", "/x")]
    found = launch("podman-hpc", tmp_path, Bind('/s,"', "/d", True), env=env, workingDir="/w", gpu="nvidia")
    assert found.argv[:2] == ["podman-hpc", "run"]
    assert after(found.argv, "--env") == ["ODD", "EMPTY", "my.var"]
    assert (found.environment["ODD"], found.environment["EMPTY"]) == (ODD, "")
    (file,) = after(found.argv, "--env-file")
    assert Path(file).read_text() == "PATH=/pod bin\nPYTHONPATH=/x\n"
    assert Path(file).stat().st_mode & 0o777 == 0o600
    assert "PYTHONPATH" not in found.environment
    assert after(found.argv, "--mount") == ['type=bind,"source=/s,""",destination=/d,ro']
    assert {"--workdir=/w", "--gpu", "--pull=never"} <= set(found.argv)


def test_podman_and_charliecloud_run_as_the_user_that_the_site_allows(tmp_path: Path) -> None:
    assert "--user=1000:100" in launch("podman-hpc", tmp_path, runAsUser=1000, runAsGroup=100).argv
    assert "--uid=1000" in launch("charliecloud", tmp_path, runAsUser=1000).argv


@pytest.mark.parametrize("name", ["A*", "HOME"])
def test_podman_refuses_by_name_what_it_cannot_carry(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunnerError, match="cannot set the variable"):
        launch("podman-hpc", tmp_path, env=[(name, "x\ny")])


def test_podman_runs_no_files(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match=r"no files: /site/x\.sif"):
        runtime("podman-hpc", tmp_path).launch({"name": "main"}, ImageFile("/site/x.sif"), [], [])


def test_podman_pulls_into_its_own_storage_by_digest(tmp_path: Path) -> None:
    target = tmp_path / "t.podman"
    (found,) = runtime("podman-hpc", tmp_path).pull(
        SOURCE._replace(username="al", password="s3cret", insecure=True), str(target), str(tmp_path)
    )
    assert found.argv[:3] == ["podman-hpc", "pull", "--tls-verify=false"]
    assert found.argv[-1] == "reg.example:5000/app@sha256:1"
    assert "s3cret" not in str(found)
    assert target.exists()


def test_charliecloud_gets_the_environment_by_a_file_byte_for_byte(tmp_path: Path) -> None:
    env = [("ODD", ODD), ("EMPTY", ""), ("Q", "'q'"), ("my.var", "1"), ("HOME", "/pod")]
    found = launch("charliecloud", tmp_path, Bind(f"{tmp_path}/volumes/v", "/d", True), env=env)
    (file,) = (Path(word.partition("=")[2]) for word in found.argv if word.startswith("--set-env0="))
    assert file.stat().st_mode & 0o777 == 0o600
    pairs = dict(word.split("=", 1) for word in file.read_text().rstrip("\0").split("\0"))
    # ch-run takes one pair of quotes off.
    assert {name: value[1:-1] for name, value in pairs.items()} == {**dict(env), "A": "image", "PATH": "/opt/bin"}
    assert all(value[0] == value[-1] == "'" for value in pairs.values())
    assert (
        found.argv.index("--unset-env=*") < found.argv.index("--env-no-expand") < found.argv.index(f"--set-env0={file}")
    )
    assert {"--cd=/work", f"--bind={tmp_path}/volumes/v:/d"} <= set(found.argv)
    assert not {"ODD", "A", "my.var"} & set(found.environment)


def test_charliecloud_gives_a_home_where_nobody_says_one_and_has_its_container_asked_itself_to_end(
    tmp_path: Path,
) -> None:
    found = launch("charliecloud", tmp_path)
    assert b"HOME='/'\0" in (tmp_path / "ch-run-main.env").read_bytes()
    assert found.deaf


def test_podman_writes_down_which_process_is_the_containers_anew_for_each_run(tmp_path: Path) -> None:
    stale = tmp_path / "podman-main.pid"
    stale.write_text("1")
    found = launch("podman-hpc", tmp_path)
    assert f"--pidfile={stale}" in found.argv
    assert found.pid_file == str(stale)
    assert not stale.exists()


def test_charliecloud_leaves_the_file_for_last_words_out_where_nobody_can_make_it(tmp_path: Path) -> None:
    argv = launch("charliecloud", tmp_path, Bind("/s", "/dev/termination-log"), Bind("/s", "/dev/shm")).argv
    assert [word for word in argv if word.startswith("--bind")] == ["--bind=/s:/dev/shm"]


def test_a_device_is_given_to_podman_as_one_and_to_apptainer_by_its_own_name(tmp_path: Path) -> None:
    null = os.devnull
    assert f"--device={null}:/x" in launch("podman-hpc", tmp_path, Bind(null, "/x")).argv
    assert f"type=bind,source={null},destination={null}" in launch("apptainer", tmp_path, Bind(null, null)).argv
    with pytest.raises(RunnerError, match=f"open the device {null} at {null} alone, not at /x"):
        launch("apptainer", tmp_path, Bind(null, "/x"))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("apptainer", "FATAL:   failed to set working directory: chdir /no/such: no such file or directory"),
        ("podman-hpc", 'Error: workdir "/no/such" does not exist on container dab672926858'),
        ("charliecloud", "ch-run[421]: error: can't cd to /no/such: No such file or directory (core.c:824 2 ENOENT)"),
    ],
)
def test_a_runtime_is_asked_for_a_folder_by_a_start_and_its_recorded_words_are_known(
    kind: str, words: str, tmp_path: Path
) -> None:
    there = runtime(kind, tmp_path)
    found = there.look({"name": "main", "workingDir": "/no/such", "mpi": True}, IMAGE)
    assert found is not None
    assert "/.interlink-nothing" in " ".join(found.argv)
    assert there.no_folder.format("/no/such") in words


def test_enroot_is_not_asked(tmp_path: Path) -> None:
    assert runtime("enroot", tmp_path).look({"name": "main", "workingDir": "/x"}, IMAGE) is None


@pytest.mark.parametrize("bind", [Bind("/site", "/d", True), Bind("/site", "/a:b"), Bind("/site", "/dev/not-there")])
def test_charliecloud_refuses_by_name_what_it_cannot_mount(tmp_path: Path, bind: Bind) -> None:
    with pytest.raises(RunnerError, match="Charliecloud cannot mount"):
        launch("charliecloud", tmp_path, bind)


def test_charliecloud_pulls_and_converts_in_a_storage_of_the_pull_alone(tmp_path: Path) -> None:
    cloud = runtime("charliecloud", tmp_path, executable="/opt/cc/bin/ch-run")
    pull, convert = cloud.pull(SOURCE._replace(username="al", password="s3cret"), "/t.sqfs", "/scratch")
    storage = ["--storage", "/scratch/storage"]  # ch-convert 0.45 knows no --storage=DIR
    assert pull.argv == [
        "/opt/cc/bin/ch-image", *storage, "--auth", "pull", "reg.example:5000/app@sha256:1", "image"
    ]  # fmt: skip
    assert pull.environment["CH_IMAGE_PASSWORD"] == "s3cret"
    assert convert.argv == ["/opt/cc/bin/ch-convert", *storage, "--in-fmt=ch-image", "image", "/t.sqfs"]
    assert "CH_IMAGE_PASSWORD" not in convert.environment


@pytest.mark.parametrize("kind", KINDS)
def test_only_apptainer_pulls_what_is_no_image_of_a_docker_registry(kind: str, tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="docker:// registries only"):
        runtime(kind, tmp_path).pull(Source("library://user/app"), "/t", str(tmp_path))


@pytest.mark.parametrize("kind", KINDS)
def test_the_sites_options_come_behind_ours(kind: str, tmp_path: Path) -> None:
    found = runtime(kind, tmp_path, options=["--site"]).launch({"name": "main"}, IMAGE, [], [])
    assert "--site" in found.argv[2 : found.argv.index("--")] if "--" in found.argv else "--site" in found.argv


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@pytest.mark.parametrize("kind", KINDS)
@given(command=st.lists(TEXT, min_size=1, max_size=3), args=st.lists(TEXT, max_size=3), value=TEXT)
def test_hostile_words_stay_single_words_behind_the_image(
    kind: str, tmp_path_factory: pytest.TempPathFactory, command: list[str], args: list[str], value: str
) -> None:
    folder = tmp_path_factory.getbasetemp()
    env = [("A", value.replace("\n", ""))]
    argv = launch(kind, folder, command=command, args=args, env=env).argv
    if kind == "podman-hpc":
        assert argv[argv.index(IMAGE.pinned) + 1 :] == args
        assert json.loads(after(argv, "--entrypoint")[0]) == command
    else:
        assert argv[len(argv) - len(command + args) :] == command + args


def test_a_container_with_gpus_is_told_which_of_the_nodes_are_its_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setenv("ROCR_VISIBLE_DEVICES", "2")
    env = [("A", "b")]
    assert granted({"gpu": "nvidia", "env": env}) == [("CUDA_VISIBLE_DEVICES", "1"), *env]
    assert granted({"gpu": "amd", "env": env}) == [("ROCR_VISIBLE_DEVICES", "2"), *env]
    assert granted({"gpu": "", "env": env}) == env


def test_a_root_that_nobody_may_write_to_has_no_layer_over_it(tmp_path: Path) -> None:
    assert "--writable-tmpfs" in launch("apptainer", tmp_path).argv
    assert "--writable-tmpfs" not in launch("apptainer", tmp_path, readOnlyRoot=True).argv
    assert "--read-only" not in launch("podman-hpc", tmp_path).argv
    assert "--read-only" in launch("podman-hpc", tmp_path, readOnlyRoot=True).argv
