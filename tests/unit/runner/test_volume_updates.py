"""New contents of ConfigMaps, Secrets and tokens, brought into the volumes of a pod that runs."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from interlink.core.plan import PlanUpdate
from interlink.runner.volumes.projection import Projection
from tests.unit.runner.running import PlanMount, PlanVolume, Site, file, shell


def contents(site: Site, **files: str) -> None:
    """Leave new contents of the volume ``c`` as the sidecar does."""
    volume = PlanVolume(name="c", kind="files", files=[file(path, text) for path, text in files.items()])
    (site.job / "new").write_bytes(msgspec.json.encode(PlanUpdate(volumes=[volume])))
    (site.job / "new").rename(site.job / "volumes.json")


@contextlib.contextmanager
def running(site: Site, **fields: Any) -> Iterator[Path]:
    """Run a pod with the files volume ``c``; give the volume's folder."""
    mounts = [PlanMount(volume="c", mount_path="/c")]
    volume = PlanVolume(name="c", kind="files", files=[file("a", "old"), file("b", "same")], **fields)
    plan = site.plan(shell("sleep 60", mounts=mounts), volumes=[volume], termination_grace_period_seconds=1)
    with site.start(plan) as runner:
        site.wait(lambda: site.reports() and site.running())
        yield site.job / "volumes" / "c"
        runner.terminate()
        runner.wait(20)


def test_new_contents_reach_a_running_pod_with_one_switch(site: Site) -> None:
    with running(site) as volume:
        before = (volume / "..data").readlink()
        contents(site, a="new", d="added")
        site.wait(lambda: (volume / "..data").readlink() != before)
        site.wait(lambda: not (volume / "b").is_symlink())
        assert (volume / "a").read_text() == "new"
        assert (volume / "d").read_text() == "added"
        assert sorted(path.name for path in volume.iterdir() if not path.name.startswith("..")) == ["a", "d"]


def test_the_same_contents_and_immutable_ones_change_nothing(site: Site) -> None:
    with running(site, immutable=True) as volume:
        before = (volume / "..data").readlink()
        contents(site, a="new")
        time.sleep(2.5)  # two looks
        assert (volume / "..data").readlink() == before
    site.job.joinpath("claim").unlink()
    with running(site) as volume:
        contents(site, a="old", b="same")
        site.wait(lambda: (volume / "b").is_symlink())
        before = (volume / "..data").readlink()
        contents(site, a="old", b="same")
        time.sleep(2.5)
        assert (volume / "..data").readlink() == before


def test_a_requeued_pod_begins_with_the_newest_contents(site: Site) -> None:
    contents(site, a="newest")
    with running(site) as volume:
        assert (volume / "a").read_text() == "newest"


def test_an_update_that_is_no_document_is_said_and_changes_nothing(site: Site) -> None:
    (site.job / "volumes.json").write_text("{")
    with running(site) as volume:
        assert (volume / "a").read_text() == "old"


def test_a_reader_sees_an_old_or_a_new_whole_and_the_old_goes_later(tmp_path: Path) -> None:
    volume = Projection(str(tmp_path / "v"), msgspec.to_builtins([file("d/a", "1", 0o400), file("b", "1")]))
    inside = (tmp_path / "v" / "..data").resolve()
    assert volume.update(msgspec.to_builtins([file("d/a", "2")]), 100.0) is True
    assert (inside / "b").read_text() == "1"
    assert (tmp_path / "v" / "d" / "a").read_text() == "2"
    volume.sweep(101.0)
    assert inside.exists()
    volume.sweep(1000.0)
    assert not inside.exists()
    assert volume.update(volume.files, 1001.0) is False
    assert (tmp_path / "v" / "..data").resolve().name.startswith("..20")


def test_a_disk_that_refuses_new_contents_leaves_the_old_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = Projection(str(tmp_path / "v"), msgspec.to_builtins([file("a", "1")]))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "chmod", full)
    with pytest.raises(OSError, match="No space left"):
        volume.update(msgspec.to_builtins([file("a", "2")]), 1.0)
    monkeypatch.undo()
    assert (tmp_path / "v" / "a").read_text() == "1"
    assert len(list((tmp_path / "v").iterdir())) == 3  # a, ..data and what it leads to
    assert volume.update(msgspec.to_builtins([file("a", "2")]), 2.0) is True
