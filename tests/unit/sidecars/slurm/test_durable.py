"""A wait for the disk covers everything that was written before it, with as few syncs as there can be."""

import os
import threading
from pathlib import Path

import pytest

from interlink.sidecars.slurm.durable import DurableFile


class Disk:
    """Stands for fdatasync: counts, and holds each one until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.syncs = 0
        self.begun, self.go_on = threading.Semaphore(0), threading.Semaphore(0)
        monkeypatch.setattr(os, "fdatasync", self._sync)

    def _sync(self, _file: object) -> None:
        self.syncs += 1
        self.begun.release()
        assert self.go_on.acquire(timeout=10)


def test_those_who_come_while_the_disk_is_busy_share_the_next_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    file, disk = DurableFile(tmp_path / "file"), Disk(monkeypatch)
    first = threading.Thread(target=file.wait)
    first.start()
    assert disk.begun.acquire(timeout=10)
    others = [threading.Thread(target=file.wait) for _ in range(5)]
    for thread in others:
        thread.start()
    while file._begun < 6:  # all of them have come
        pass
    disk.go_on.release()
    first.join(10)
    assert disk.begun.acquire(timeout=10), "what was written after a sync began is not on the disk with it"
    assert all(thread.is_alive() for thread in others)
    disk.go_on.release()
    for thread in others:
        thread.join(10)
    assert disk.syncs == 2
    file.close()


def test_a_failed_sync_is_told_and_covers_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"x")
    file = DurableFile(tmp_path / "file")

    def full(_file: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", full)
        with pytest.raises(OSError, match="Input/output error"):
            file.wait()
        with pytest.raises(OSError, match="Input/output error"):
            file.wait()
    file.wait()
    file.close()
