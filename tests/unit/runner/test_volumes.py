"""Volumes on a compute node: what containers see, what is refused, updates, limits, and that nothing is left behind."""

import json
import os
import re
import socket
import subprocess
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.core.plan import PlanRoot, PlanRuntime
from interlink.runner.files import RunnerError
from interlink.runner.guard import Guard
from interlink.runner.volumes import Mounts, Volumes
from interlink.runner.volumes import stage as stage_module
from interlink.runner.volumes import volumes as volumes_module
from interlink.runner.volumes.places import Place, descend, is_below, sub_place
from interlink.runner.volumes.site import is_settled, site_place
from interlink.runner.volumes.stage import Stage, can_stage
from interlink.runner.volumes.usage import BLOCK, Usage, disk_usage
from tests.unit.runner.running import PlanContainer, PlanMount, PlanVolume, Site, shell

#: Shows what its binds show, as a runtime's mounts would: by the paths that it is given.
RUNTIME = """#!/bin/sh
while [ $# -gt 0 ]; do
    if [ "$1" = --mount ]; then
        source=${2#type=bind,source=}; source=${source%%,*}
        shown="${2##*,destination=} $(stat -c %F "$source") $(cat "$source" 2>/dev/null || ls "$source" | tr '\\n' ' ')"
        case $shown in /.singularity.d/*|/.interlink*) ;; *) echo "$shown" ;; esac
        shift
    fi
    shift
done
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "own").mkdir()
    return Site(tmp_path / "own")


@pytest.fixture
def runtime(tmp_path: Path) -> PlanRuntime:
    (tmp_path / "image.sif").write_text("image")
    program = tmp_path / "runtime"
    program.write_text(RUNTIME)
    program.chmod(0o755)
    return PlanRuntime(kind="apptainer", executable=str(program), image_cache=str(tmp_path))


@pytest.fixture
def land(tmp_path: Path) -> Path:
    """Return a folder of the site that pods may see."""
    land = tmp_path / "land"
    land.mkdir()
    land.chmod(0o777)  # whoever runs the tests, others can swap what lies here
    return land


def volumes_of(plan: Path) -> Volumes:
    return Volumes(json.loads(plan.read_text()), cast(Guard, None), {})


def host_path(path: Path | str, *roots: Path, kind: str = "", **fields: Any) -> PlanVolume:
    allowed = [PlanRoot(path=str(root)) for root in roots]
    return PlanVolume(name="v", kind="path", path=str(path), path_type=kind, allowed=allowed, **fields)


def place_of(volume: PlanVolume, *protected: Path) -> Place:
    return site_place(msgspec.to_builtins(volume), [str(folder) for folder in protected])


def refusal(site: Site, *mounts: PlanMount, volumes: list[PlanVolume]) -> str:
    assert site.run(site.plan(shell("true", mounts=list(mounts)), volumes=volumes)) == 1
    assert site.ends()["main"]["reason"] == "StartError"
    return str(site.ends()["main"]["message"])


# --- hostPath and persistentVolumeClaim


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("Directory", "is not a directory"),
        ("File", None),
        ("FileOrCreate", None),
        ("DirectoryOrCreate", "is not a directory"),
        ("Socket", "is not a socket file"),
        ("CharDevice", "is not a character device"),
        ("BlockDevice", "is not a block device"),
        ("", None),
    ],
)
def test_a_host_path_is_of_its_type_or_refused_in_the_kubelets_words(land: Path, kind: str, words: str | None) -> None:
    (land / "f").write_text("x")
    volume = host_path(land / "f", land, kind=kind)
    if words is None:
        assert place_of(volume).path == str(land / "f")
        return
    with pytest.raises(RunnerError, match=f"^hostPath type check failed: {land}/f {words}$"):
        place_of(volume)


def test_a_path_is_settled_where_every_folder_on_the_way_is_roots_and_closed_to_others() -> None:
    """As root the tests own all that they make: /usr/bin is nobody else's, and /tmp is everybody's."""
    assert is_settled("/", ("usr", "bin"))
    assert is_settled("/", ("tmp",))
    assert not is_settled("/", ("tmp", "x"))


def test_sockets_devices_and_directories_are_known_as_such(land: Path) -> None:
    (land / "d").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(land / "s"))
        assert place_of(host_path(land / "s", land, kind="Socket")).parts == ("s",)
    assert place_of(host_path(land / "d", land, kind="Directory")).parts == ("d",)
    assert place_of(host_path("/dev/null", Path("/dev"), kind="CharDevice")).path == "/dev/null"


def test_or_create_makes_what_is_missing_and_other_types_say_that_it_is(land: Path) -> None:
    place_of(host_path(land / "a/b", land, kind="DirectoryOrCreate"))
    assert (land / "a" / "b").is_dir()
    assert (land / "a" / "b").stat().st_mode & 0o777 == 0o755
    place_of(host_path(land / "a/f", land, kind="FileOrCreate"))
    assert (land / "a" / "f").read_text() == ""
    with pytest.raises(RunnerError, match="No such file or directory"):
        place_of(host_path(land / "no/f", land, kind="FileOrCreate"))
    for kind in ("", "Directory", "File"):
        with pytest.raises(RunnerError, match=f"{land}/missing on .*: No such file or directory"):
            place_of(host_path(land / "missing", land, kind=kind))


def test_links_are_followed_as_far_as_the_list_allows(land: Path, tmp_path: Path) -> None:
    elsewhere, other = tmp_path / "elsewhere", tmp_path / "other"
    elsewhere.mkdir()
    other.mkdir()
    (land / "out").symlink_to(elsewhere)
    (land / "over").symlink_to(other)
    with pytest.raises(RunnerError, match=f"leads to {elsewhere}, which the site's administrator has not allowed"):
        place_of(host_path(land / "out", land))
    volume = host_path(land / "over", land)
    volume.allowed.append(PlanRoot(path=str(other), read_only=True))
    assert place_of(volume) == Place(str(other), (), read_only=True, settled=True)


def test_the_narrowest_allowed_folder_says_whether_it_is_read_only(land: Path) -> None:
    (land / "ro" / "rw").mkdir(parents=True)
    volume = host_path("", land)
    volume.allowed += [PlanRoot(path=f"{land}/ro", read_only=True), PlanRoot(path=f"{land}/ro/rw")]
    for path, read_only in ((land, False), (land / "ro", True), (land / "ro" / "rw", False)):
        volume.path = str(path)
        assert place_of(volume).read_only is read_only


def test_the_sidecars_own_folders_are_never_shown_by_whatever_way(land: Path, tmp_path: Path) -> None:
    own = land / "interlink"
    (own / "jobs").mkdir(parents=True)
    (tmp_path / "link").symlink_to(own)
    for path in (own, own / "jobs", land, tmp_path / "link"):
        with pytest.raises(RunnerError, match="would show other pods' files"):
            place_of(host_path(path, land, tmp_path), own)


def test_the_kernels_own_file_systems_need_a_line_of_their_own() -> None:
    with pytest.raises(RunnerError, match="has not allowed"):
        place_of(host_path("/proc/self", Path("/")))
    assert place_of(host_path("/dev/null", Path("/dev/null"))).path == "/dev/null"


def test_a_claim_is_made_for_its_user_alone_and_named_in_what_is_said(land: Path) -> None:
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    volume = host_path(f"{land}/{{user}}/data", land, kind="DirectoryOrCreate", claim="data")
    assert place_of(volume).path == f"{land}/{user}/data"
    assert (land / user / "data").stat().st_mode & 0o777 == 0o700
    with pytest.raises(RunnerError, match=r'persistentVolumeClaim "data": .* No such file'):
        place_of(host_path(land / "none", land, kind="Directory", claim="data"))


def test_a_refused_path_fails_the_container_that_mounts_it_and_says_why(site: Site, land: Path) -> None:
    words = refusal(site, PlanMount(volume="v", mount_path="/m"), volumes=[host_path(site.job, site.job.parent)])
    assert words == f"hostPath type check failed: {site.job} would show other pods' files, in {site.job.parent}"


# --- places that could be swapped


NAMES = st.sampled_from(["a", "b", "..", "link", "up", "file", "abs", "x"])


@given(parts=st.lists(NAMES, min_size=1, max_size=5))
def test_whatever_links_lie_in_a_volume_a_sub_path_stays_in_it(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str]
) -> None:
    top = tmp_path_factory.mktemp("top").resolve()
    root = top / "v"
    (root / "a" / "b").mkdir(parents=True)
    (root / "file").write_text("x")
    (root / "link").symlink_to("a")
    (root / "a" / "up").symlink_to("../..")
    (root / "a" / "abs").symlink_to("/etc")
    (root / "b").symlink_to("x")
    before = set(top.iterdir())
    try:
        place = sub_place(Place(str(root)), "/".join(parts), "v", 0o755, settled=False)
    except RunnerError:
        return
    finally:
        assert set(top.iterdir()) == before
    assert is_below(os.path.realpath(place.path), str(root))
    os.close(descend(place.root, place.parts))


def test_a_missing_sub_path_is_made_as_open_as_its_volume(site: Site) -> None:
    mounts = [PlanMount(volume="e", mount_path="/m", sub_path="a/b")]
    assert site.run(site.plan(shell("true", mounts=mounts), volumes=[PlanVolume(name="e", kind="emptyDir")])) == 0
    for made in ("a", "a/b"):
        assert (site.job / "volumes" / "e" / made).stat().st_mode & 0o777 == 0o777


def test_a_sub_path_of_what_may_only_be_read_is_not_made(land: Path, site: Site) -> None:
    volume = host_path(land, land, read_only=True)
    words = refusal(site, PlanMount(volume="v", mount_path="/m", sub_path="a"), volumes=[volume])
    assert words == "subPath 'a' of volume v: No such file or directory"
    assert list(land.iterdir()) == []


def test_a_link_that_takes_a_parts_place_is_not_followed(land: Path) -> None:
    (land / "a").mkdir()
    place = place_of(host_path(land / "a", land))
    (land / "a").rename(land / "b")
    (land / "a").symlink_to("/etc")
    with pytest.raises(OSError, match="levels of symbolic links"):
        descend(place.root, place.parts)


needs_namespaces = pytest.mark.skipif(not can_stage(), reason="this machine gives no user namespaces")


@needs_namespaces
def test_what_others_could_swap_is_mounted_by_what_was_opened(site: Site, runtime: PlanRuntime, land: Path) -> None:
    (land / "d").mkdir()
    (land / "d" / "inside").touch()
    (land / "f").write_text("words")
    mounts = [
        PlanMount(volume="v", mount_path="/d", sub_path="d"),
        PlanMount(volume="v", mount_path="/f", sub_path="f"),
        PlanMount(volume="e", mount_path="/e"),
    ]
    main = PlanContainer(name="main", image=f"{runtime.image_cache}/image.sif", mounts=mounts)
    volumes = [host_path(land, land), PlanVolume(name="e", kind="emptyDir")]
    assert site.run(site.plan(main, runtime=runtime, volumes=volumes)) == 0, site.said
    assert site.log().splitlines() == [
        "stdout F /d directory inside ",
        "stdout F /f regular file words",
        "stdout F /e directory ",
    ]
    assert list((site.job / "stage").iterdir()) == []


@needs_namespaces
def test_a_swap_between_look_and_mount_is_a_start_error_that_says_so(land: Path, tmp_path: Path) -> None:
    (land / "a").mkdir()
    (tmp_path / "stage").mkdir()
    stage = Stage(str(tmp_path / "stage"))
    stage.add(place_of(host_path(land / "a", land)))
    (land / "a").rmdir()
    (land / "a").symlink_to("/etc")
    with (
        pytest.raises(RunnerError, match=f"^{land}/a: Too many levels of symbolic links$"),
        Mounts([], stage) as mounts,
    ):
        subprocess.run(["true"], preexec_fn=mounts.prepare, check=True)


def test_without_namespaces_a_sub_path_that_could_be_swapped_is_refused(
    site: Site, land: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volumes_module, "can_stage", lambda: False)
    (land / "a").mkdir()
    main = shell("true", mounts=[PlanMount(volume="v", mount_path="/m", sub_path="a")])
    other = shell("true", name="other", mounts=[PlanMount(volume="v", mount_path="/m")])
    plan = site.plan(main, other, runtime=PlanRuntime(kind="apptainer"), volumes=[host_path(land, land)])
    made = volumes_of(plan)
    with pytest.raises(RunnerError, match=r"subPath 'a' of volume v could be swapped .* it has no user namespaces"):
        made.mounts(json.loads(plan.read_text())["containers"][0])
    (bind,) = made.mounts(json.loads(plan.read_text())["containers"][1]).binds
    assert bind.source == str(land)


@pytest.mark.parametrize(
    ("containers", "inits", "staged"),
    [
        ({"main": ["a"]}, {}, False),
        ({"main": ["a", ""]}, {}, False),
        ({"main": ["a"], "other": ["b"]}, {}, False),
        ({"main": ["a"], "other": ["ab"]}, {}, False),
        ({"main": ["a"]}, {"first": [""]}, False),
        ({"main": ["a"], "other": [""]}, {}, True),
        ({"main": ["a/b"], "other": ["a"]}, {}, True),
        ({"main": ["a"]}, {"sidecar": [""]}, True),
    ],
)
def test_an_empty_dirs_sub_path_is_staged_only_where_another_can_swap_it_meanwhile(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    containers: dict[str, list[str]],
    inits: dict[str, list[str]],
    staged: bool,
) -> None:
    monkeypatch.setattr(volumes_module, "can_stage", lambda: True)

    def made(names: dict[str, list[str]]) -> list[PlanContainer]:
        return [
            shell("true", name=name, restart_policy="Always" if name == "sidecar" else "",
                  mounts=[PlanMount(volume="e", mount_path=f"/{at}", sub_path=path) for at, path in enumerate(paths)])
            for name, paths in names.items()
        ]  # fmt: skip

    volumes = [PlanVolume(name="e", kind="emptyDir")]
    runtime = PlanRuntime(kind="apptainer")
    plan = site.plan(*made(containers), init_containers=made(inits), runtime=runtime, volumes=volumes)
    mounts = volumes_of(plan).mounts(json.loads(plan.read_text())["containers"][0])
    with mounts:
        assert (mounts.stage is not None) is staged


# --- emptyDirs


def shared_memory(site: Site) -> Path:
    """Return the job's own folder, as its container said; others' are there, too."""
    return Path(re.findall(r"/dev/shm/interlink-[^/\s]+", site.log())[0])


def test_an_empty_dir_on_disk_is_still_there_after_a_requeue(site: Site) -> None:
    scratch = PlanVolume(name="scratch", kind="emptyDir")
    mount = PlanMount(volume="scratch", mount_path="/scratch")
    plan = site.plan(shell("cat scratch/step; echo 1 > scratch/step", mounts=[mount]), volumes=[scratch])
    assert site.run(plan) == 0
    assert site.run(plan, SLURM_RESTART_COUNT="1") == 0
    assert "stdout F 1\n" in site.log()


@pytest.mark.parametrize("kill", [False, True])
def test_a_memory_volume_lives_in_a_closed_folder_of_shared_memory_and_goes_with_the_job(
    site: Site, kill: bool
) -> None:
    script = f"echo x > $INTERLINK_MOUNTS/m/f; readlink -f $INTERLINK_MOUNTS/m; {'sleep 60' if kill else 'true'}"
    main = shell(script, mounts=[PlanMount(volume="m", mount_path="/m")])
    plan = site.plan(main, volumes=[PlanVolume(name="m", kind="emptyDir", medium="Memory")])
    with site.start(plan) as runner:
        if kill:
            site.wait(lambda: "/dev/shm" in (site.log() if (site.job / "logs" / "main.log").exists() else ""))
            assert shared_memory(site).stat().st_mode & 0o777 == 0o700
            runner.kill()
        runner.wait(20)
    assert site.log().startswith("stdout F /dev/shm/interlink-")
    site.wait(lambda: not shared_memory(site).exists())


def test_what_a_job_left_whose_guard_was_killed_too_the_next_one_removes(site: Site, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    old = scratch / f"interlink-{os.uname().nodename}-old"
    (old / "closed").mkdir(parents=True)
    (old / "closed").chmod(0)
    (scratch / "mine").mkdir()
    (scratch / "interlink-another.node-job").mkdir()
    main = shell("true", mounts=[PlanMount(volume="e", mount_path="/e")])
    site.run(site.plan(main, volumes=[PlanVolume(name="e", kind="emptyDir")], scratch=str(scratch)))
    assert sorted(path.name for path in scratch.iterdir()) == ["interlink-another.node-job", "mine"]


def test_empty_dirs_live_on_the_nodes_scratch_where_there_is_one(site: Site, tmp_path: Path) -> None:
    main = shell("readlink -f $INTERLINK_MOUNTS/e", mounts=[PlanMount(volume="e", mount_path="/e")])
    plan = site.plan(main, volumes=[PlanVolume(name="e", kind="emptyDir")], scratch="$LOCAL")
    assert site.run(plan, LOCAL=str(tmp_path)) == 0
    assert site.log().startswith(f"stdout F {tmp_path}/interlink-")
    assert list(tmp_path.glob("interlink-*")) == []


@pytest.mark.parametrize(
    ("scratch", "words"),
    [
        ("$NOT_THERE/x", "names NOT_THERE, which the job does not have"),
        ("relative", "no absolute path"),
        ("/no/such/folder", "No such file or directory"),
    ],
)
def test_a_scratch_that_is_not_there_fails_the_containers_that_need_it(site: Site, scratch: str, words: str) -> None:
    mounts = [PlanMount(volume="e", mount_path="/e")]
    plan = site.plan(
        shell("true", mounts=mounts), shell("true", name="other"), volumes=[PlanVolume(name="e", kind="emptyDir")],
        scratch=scratch,
    )  # fmt: skip
    assert site.run(plan) == 1
    assert words in site.ends()["main"]["message"]
    assert site.ends()["other"]["exitCode"] == 0


@pytest.mark.parametrize("medium", ["", "Memory"])
def test_a_volume_that_grows_over_its_limit_evicts_the_pod_in_the_kubelets_words(site: Site, medium: str) -> None:
    mounts = [PlanMount(volume="e", mount_path="/e")]
    main = shell("head -c 3000000 /dev/zero > $INTERLINK_MOUNTS/e/big; sleep 60", mounts=mounts)
    volume = PlanVolume(name="e", kind="emptyDir", medium=medium, size_limit=2 << 20, size_text="2Mi")
    assert site.run(site.plan(main, shell("sleep 60", name="other"), volumes=[volume])) == 1
    assert site.last().reason == "Evicted"
    assert site.last().message == 'Usage of EmptyDir volume "e" exceeds the limit "2Mi".'
    assert site.ends()["other"]["exitCode"] != 0


def test_usage_counts_blocks_of_each_file_once_a_little_at_a_time(tmp_path: Path) -> None:
    for number in range(2000):
        (tmp_path / str(number)).write_text("x")
    (tmp_path / "again").hardlink_to(tmp_path / "0")
    (tmp_path / "link").symlink_to("/")
    whole = sum(path.lstat().st_blocks * BLOCK for path in tmp_path.iterdir() if path.name != "again")
    assert list(disk_usage(str(tmp_path)))[-1] == whole
    usage, looks, clock = Usage(str(tmp_path), whole - 1), 0, 0.0
    while not usage.exceeded(clock):
        looks, clock = looks + 1, clock + 100
        assert looks < 10_000
    assert not any(Usage(str(tmp_path), whole).exceeded(float(number)) for number in range(100))


def test_the_namespaces_are_asked_of_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise PermissionError

    monkeypatch.setattr(stage_module, "enter_namespaces", refuse)
    assert can_stage() is False
