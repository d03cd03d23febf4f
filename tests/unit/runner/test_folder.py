"""A container's working folder that its image has not."""

import select
import time
from pathlib import Path
from typing import Any

import pytest

from interlink.runner.files import RunnerError
from interlink.runner.folder import WorkingFolder
from interlink.runner.guard import Guard
from interlink.runner.runtimes import Bind, ImageFile, runtime_of
from tests.unit.runner.running import Site, shell

#: Says what apptainer says of a working folder that is not there, and counts how often it is asked.
APPTAINER = """#!/bin/sh
echo "$@" >> {calls}
case " $* " in *" --pwd /no/such "*)
    echo "FATAL:   failed to set working directory: chdir /no/such: no such file or directory" >&2; exit 255;;
esac
echo "FATAL:   stat /.interlink-nothing: no such file or directory" >&2; exit 255
"""
IMAGE = ImageFile("/image.sif", {"WorkingDir": "/own/"})


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    return tmp_path / "calls"


def folder(root: Path, calls: Path, kind: str = "apptainer", **spec: Any) -> WorkingFolder:
    program = root / "program"
    program.write_text(APPTAINER.format(calls=calls))
    program.chmod(0o755)
    plan = {"folder": str(root), "runtime": {"kind": kind, "executable": str(program)}}
    return WorkingFolder(plan, {"name": "main", **spec}, runtime_of(plan), Guard())


def asked(found: WorkingFolder, image: ImageFile | None = IMAGE) -> WorkingFolder:
    """Ask until the answer is there."""
    while not found.step(image, time.monotonic()):
        select.select(found.descriptors(), [], [], 0.02)
    return found


def test_what_the_image_has_not_is_an_empty_folder_anew_for_each_start(tmp_path: Path, calls: Path) -> None:
    found = asked(folder(tmp_path, calls, workingDir="/no/./such/"))
    for _ in range(2):
        (bind,) = found.binds([])
        assert (bind.destination, bind.read_only, [*Path(bind.source).iterdir()]) == ("/no/such", False, [])
        (Path(bind.source) / "left").touch()
    asked(found)
    assert len(calls.read_text().splitlines()) == 1


@pytest.mark.parametrize("path", ["/there", "/"])
def test_what_the_image_has_is_left_alone(tmp_path: Path, calls: Path, path: str) -> None:
    assert asked(folder(tmp_path, calls, workingDir=path)).binds([]) == []


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"workingDir": "/own"},
        {"workingDir": "/"},
        {"workingDir": "/no/such", "mounts": [{"mountPath": "/no"}]},
        {"workingDir": "/no/such", "mounts": [{"mountPath": "/no/such/data"}]},
        {"workingDir": "/no/such", "kind": "none"},
        {"workingDir": "/no/such", "kind": "enroot"},
    ],
)
def test_nobody_is_asked_for_what_is_known(tmp_path: Path, calls: Path, spec: dict[str, Any]) -> None:
    assert asked(folder(tmp_path, calls, **spec)).missing is False
    assert not calls.exists()


def test_a_folder_in_a_volume_is_made_there(tmp_path: Path, calls: Path) -> None:
    volume, inner = tmp_path / "volume", tmp_path / "inner"
    volume.mkdir()
    inner.mkdir()
    found = folder(tmp_path, calls, workingDir="/v/a/b", mounts=[{"mountPath": "/v"}])
    binds = [Bind(str(tmp_path), "/"), Bind(str(volume), "/v/"), Bind(str(inner), "/v/a/b/c")]
    assert asked(found).binds(binds) == binds
    assert (volume / "a" / "b").stat().st_mode & 0o777 == 0o755
    assert found.binds([Bind(str(volume), "/v", True)])  # it is there now


def test_a_volume_that_nobody_may_write_and_a_file_in_the_way_are_said_with_the_folders_name(
    tmp_path: Path, calls: Path
) -> None:
    (tmp_path / "file").touch()
    found = folder(tmp_path, calls, workingDir="/v/a/b", mounts=[{"mountPath": "/v"}])
    with pytest.raises(RunnerError, match="workingDir: mkdir /v/a/b: read-only file system"):
        found.binds([Bind(str(tmp_path), "/v", True)])
    found = folder(tmp_path, calls, workingDir="/v/file/b", mounts=[{"mountPath": "/v"}])
    with pytest.raises(RunnerError, match="workingDir: mkdir /v/file/b: not a directory"):
        found.binds([Bind(str(tmp_path), "/v")])


def test_a_link_in_a_volume_makes_nothing_elsewhere(tmp_path: Path, calls: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    binds = [Bind(str(tmp_path), "/v")]
    assert folder(tmp_path, calls, workingDir="/v/link/b", mounts=[{"mountPath": "/v"}]).binds(binds) == binds
    assert [*(tmp_path / "elsewhere").iterdir()] == []


def test_a_look_that_nobody_waits_for_any_more_is_ended(tmp_path: Path, calls: Path) -> None:
    found = folder(tmp_path, calls, workingDir="/no/such")
    (tmp_path / "program").write_text("#!/bin/sh\nexec sleep 60\n")
    assert not found.step(IMAGE, time.monotonic())
    found.cancel()
    assert found.descriptors() == []


def test_on_the_host_a_working_folder_that_is_not_there_is_a_start_error_with_its_name(tmp_path: Path) -> None:
    site = Site(tmp_path)
    assert site.run(site.plan(shell("true", working_dir="/no/such"))) == 1
    assert (site.ends()["main"]["exitCode"], site.ends()["main"]["reason"]) == (128, "StartError")
    assert "/no/such" in site.ends()["main"]["message"]
