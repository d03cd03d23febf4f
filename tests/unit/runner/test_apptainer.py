"""Containers under apptainer, by the argv and environment that a stand-in for it receives (the real one: tests/e2e)."""

import csv
import io
import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.core.errors import UnsupportedPod
from interlink.core.plan import PlanRuntime
from interlink.core.pod.paths import check_variable
from interlink.runner.runtimes import Bind, ImageFile, runtime_of
from interlink.runner.runtimes.apptainer import OWN_PREFIXES, container_environment
from tests.unit.runner.running import PlanContainer, PlanMount, PlanVolume, Site

#: Pulls by copying FAKE_IMAGE (or fails with its words); runs by writing down what it was called with.
APPTAINER = """#!{python}
import json, os, shutil, sys
if sys.argv[1] == "pull":
    with open({calls!r}, "a") as calls:
        calls.write("pull\\n")
    if "missing" in sys.argv[-1]:
        sys.stderr.write("INFO: starting\\nFATAL:   manifest unknown\\n")
        sys.exit(255)
    open(sys.argv[-2], "w").write("image")
else:
    print(json.dumps([sys.argv[1:], dict(os.environ)]))
"""


class Apptainer:
    """The stand-in and the runtime that names it."""

    def __init__(self, site: Site, root: Path) -> None:
        self.calls = root / "calls"
        program = root / "apptainer"
        program.write_text(APPTAINER.format(python=sys.executable, calls=str(self.calls)))
        program.chmod(0o755)
        self.runtime = PlanRuntime(kind="apptainer", executable=str(program), image_cache=str(site.images))

    def pulls(self) -> int:
        """Return how often something was pulled."""
        return self.calls.read_text().count("pull") if self.calls.exists() else 0


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def apptainer(site: Site, tmp_path: Path) -> Apptainer:
    return Apptainer(site, tmp_path)


def called_with(site: Site) -> tuple[list[str], dict[str, str]]:
    """Return the argv and the environment that the stand-in was given."""
    argv, environ = json.loads("".join(line.split(" ", 2)[2] for line in site.log().splitlines()))
    return argv, environ


IMAGE = "docker://registry/busybox:1"


@pytest.mark.parametrize(
    ("command", "args", "verb", "tail"),
    [
        (None, None, "run", []),
        (None, ["a"], "run", ["a"]),
        (["c"], None, "exec", ["c"]),
        (["c", "-x"], ["a", ""], "exec", ["c", "-x", "a", ""]),
    ],
)
def test_command_and_args_follow_kubernetes(
    site: Site, apptainer: Apptainer, command: list[str] | None, args: list[str] | None, verb: str, tail: list[str]
) -> None:
    container = PlanContainer(name="main", image=IMAGE, command=command, args=args)
    assert site.run(site.plan(container, runtime=apptainer.runtime)) == 0
    argv, _ = called_with(site)
    assert argv[:2] == ["-s", verb]
    image = argv.index(str(next(site.images.glob("*.sif"))))
    assert argv[image + 1 :] == tail
    assert {"--contain", "--no-eval", "--pid"} <= set(argv)


def test_the_environment_is_the_pods_and_none_of_the_jobs(site: Site, apptainer: Apptainer) -> None:
    env = [("A", "x\ny"), ("my.var", "1"), ("PATH", "/bin"), ("APPTAINER_BIND", "/:/host"), ("LD_PRELOAD", "/x.so")]
    container = PlanContainer(name="main", image=IMAGE, env=env)
    site.run(site.plan(container, runtime=apptainer.runtime), SLURM_SECRET="x")
    _, environ = called_with(site)
    assert (environ["A"], environ["my.var"]) == ("x\ny", "1")
    # What would steer apptainer itself goes to the container only.
    assert environ["APPTAINERENV_PATH"] == "/bin"
    assert environ["APPTAINERENV_APPTAINER_BIND"] == "/:/host"
    assert environ["APPTAINERENV_LD_PRELOAD"] == "/x.so"
    assert environ["PATH"] == os.environ["PATH"]
    assert not {"APPTAINER_BIND", "LD_PRELOAD", "SLURM_SECRET"} & set(environ)


@pytest.mark.parametrize(
    "name",
    ["BASH_ENV", "ENV", "LD_LIBRARY_PATH", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "GLIBC_TUNABLES",
     "PYTHONPATH", "SINGULARITY_BIND", "SINGULARITYENV_PATH", "SHELLOPTS", "BASHOPTS", "PS4", "IFS", "TMPDIR", "TMP",
     "TEMP", "GODEBUG", "GOTRACEBACK", "GCONV_PATH", "LOCPATH", "NLSPATH", "HOSTALIASES", "RESOLV_HOST_CONF"],
)  # fmt: skip
def test_what_would_steer_the_runtime_goes_to_the_container_alone(name: str) -> None:
    environ = container_environment([(name, "pod's"), ("https_proxy", "p")])
    assert environ["APPTAINERENV_" + name] == "pod's"
    assert environ.get(name) != "pod's"
    assert environ["https_proxy"] == "p"


def test_the_core_refuses_what_the_prefix_cannot_carry() -> None:
    for prefix in OWN_PREFIXES:
        with pytest.raises(UnsupportedPod):
            check_variable("container", prefix + "x.y%%", "")


def test_an_image_is_pulled_once_and_then_used_by_all(site: Site, apptainer: Apptainer) -> None:
    containers = [PlanContainer(name=name, image=IMAGE) for name in ("one", "two")]
    site.run(site.plan(*containers, runtime=apptainer.runtime))
    assert apptainer.pulls() == 1
    (site.job / "claim").unlink()
    site.run(site.plan(*containers, runtime=apptainer.runtime), job="8")
    assert apptainer.pulls() == 1


def test_the_pull_policy_is_kept(site: Site, apptainer: Apptainer) -> None:
    always = PlanContainer(name="main", image=IMAGE, pull_policy="Always")
    for job in ("7", "8"):
        (site.job / "claim").unlink(missing_ok=True)
        site.run(site.plan(always, runtime=apptainer.runtime), job=job)
    assert apptainer.pulls() == 2
    assert [path.suffix for path in site.images.iterdir() if path.is_file() and path.suffix != ".lock"] == [".sif"]


def test_a_path_is_used_as_the_file_that_it_leads_to(
    site: Site, apptainer: Apptainer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    images = tmp_path_factory.mktemp("site")
    (images / "a-1.sif").write_text("image")
    (images / "a.sif").symlink_to("a-1.sif")
    site.run(site.plan(PlanContainer(name="main", image=str(images / "a.sif")), runtime=apptainer.runtime))
    assert str(images / "a-1.sif") in called_with(site)[0]
    assert apptainer.pulls() == 0


@pytest.mark.parametrize("kind", ["folder", "link to a folder", "device", "nothing", "a job's file", "link to a job's"])
def test_a_path_that_is_no_image_file_of_the_site_is_refused_in_words(
    site: Site, apptainer: Apptainer, tmp_path_factory: pytest.TempPathFactory, kind: str
) -> None:
    image = tmp_path_factory.mktemp("site") / "x.sif"
    (site.job / "volumes.sif").write_text("made by a pod")
    if kind == "folder":
        image.mkdir()
    elif kind.startswith("link"):
        image.symlink_to("/etc" if "folder" in kind else site.job / "volumes.sif")
    elif kind == "a job's file":
        image = site.job / "volumes.sif"
    elif kind == "device":
        image = Path("/dev/null")
    container = PlanContainer(name="main", image=str(image))
    with site.start(site.plan(container, runtime=apptainer.runtime)) as runner:
        site.wait(lambda: site.reports() and _waiting(site.last().containers[0]).get("message"))
        waiting = _waiting(site.last().containers[0])
        assert waiting["reason"] == "ErrImageNeverPull"
        assert f"{image} is no image file" in waiting["message"]
        runner.terminate()
        runner.wait(20)
    assert not (site.job / "logs" / "main.log").exists()
    assert apptainer.pulls() == 0


@pytest.mark.parametrize(
    ("policy", "reason", "words"),
    [("IfNotPresent", "ErrImagePull", "manifest unknown"), ("Never", "ErrImageNeverPull", "pull policy is Never")],
)
def test_an_image_that_is_not_there_is_waited_for_with_the_registrys_words(
    site: Site, apptainer: Apptainer, policy: str, reason: str, words: str
) -> None:
    container = PlanContainer(name="main", image="docker://registry/missing", pull_policy=policy)  # type: ignore[arg-type]
    with site.start(site.plan(container, runtime=apptainer.runtime)) as runner:
        site.wait(lambda: any(_waiting(report.containers[0]).get("reason") == reason for report in site.reports()))
        waiting = _waiting(site.last().containers[0])
        assert words in waiting["message"]
        assert "docker://registry/missing" in waiting["message"] or policy == "Never"
        runner.terminate()
        runner.wait(20)
    assert site.ends()["main"]["reason"] == "Cancelled"
    assert (apptainer.pulls() == 0) == (policy == "Never")


def _waiting(status: dict[str, dict[str, dict[str, str]]]) -> dict[str, str]:
    return status["state"].get("waiting", {})


def test_mounts_are_bound_parents_first_and_config_maps_read_only(site: Site, apptainer: Apptainer) -> None:
    mounts = [
        PlanMount(volume="c", mount_path="/data/config"),
        PlanMount(volume="e", mount_path="/data"),
        PlanMount(volume="e", mount_path='/odd,"name', read_only=True),
    ]
    volumes = [PlanVolume(name="c", kind="files"), PlanVolume(name="e", kind="emptyDir")]
    container = PlanContainer(name="main", image=IMAGE, mounts=mounts)
    site.run(site.plan(container, runtime=apptainer.runtime, volumes=volumes))
    argv, _ = called_with(site)
    binds = [argv[index + 1] for index, word in enumerate(argv) if word == "--mount"]
    folder = site.job / "volumes"
    assert binds == [
        f"type=bind,source={folder}/e,destination=/data",
        f'type=bind,source={folder}/e,"destination=/odd,""name",ro',
        f"type=bind,source={folder}/c,destination=/data/config,ro",
        f"type=bind,source={site.job}/termination/main,destination=/dev/termination-log",
    ]


def test_a_sub_path_that_leads_out_of_its_volume_is_a_start_error(site: Site, apptainer: Apptainer) -> None:
    mounts = [PlanMount(volume="e", mount_path="/m", sub_path="../../../etc")]
    container = PlanContainer(name="main", image=IMAGE, mounts=mounts)
    site.run(site.plan(container, runtime=apptainer.runtime, volumes=[PlanVolume(name="e", kind="emptyDir")]))
    assert site.ends()["main"]["reason"] == "StartError"
    assert "leads out of volume e" in site.ends()["main"]["message"]


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@given(command=st.lists(TEXT, min_size=1), args=st.lists(TEXT), path=TEXT)
def test_hostile_words_and_paths_stay_single_words(command: list[str], args: list[str], path: str) -> None:
    runtime = runtime_of({"folder": "/job", "runtime": {"kind": "apptainer"}})
    argv = runtime.launch(
        {"command": command, "args": args}, ImageFile("/image.sif"), [Bind("/source", "/" + path)], []
    ).argv
    image = argv.index("/image.sif")
    assert argv[image + 1 :] == command + args
    assert argv[image - 2] == "--mount"
    (fields,) = csv.reader(io.StringIO(argv[image - 1], newline=""))
    assert fields == ["type=bind", "source=/source", f"destination=/{path}"]
    assert all(word.startswith("-") for word in argv[3 : image - 1])


@given(st.lists(st.tuples(TEXT, TEXT)))
def test_every_variable_reaches_the_container_by_its_own_name_or_apptainers_prefix(
    pairs: list[tuple[str, str]],
) -> None:
    environ = container_environment(pairs)
    for name, value in dict(pairs).items():
        assert value in (environ.get(name), environ.get("APPTAINERENV_" + name))
