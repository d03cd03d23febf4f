"""The spool folder: the newest report counts, and nothing in it is trusted."""

import errno
import os
from pathlib import Path

import pytest

from interlink.sidecars.slurm import spool
from tests.unit.sidecars.slurm.bench import UID, Bench, make_pod

OTHER, EARLIER = "99999999-2222-3333-4444-555555555555", "00000000-2222-3333-4444-555555555555"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.create()
    return bench


def files(bench: Bench) -> list[str]:
    return sorted(path.name for path in bench.folders.spool.iterdir() if path.is_file() or path.is_symlink())


def test_the_newest_of_several_counts(bench: Bench) -> None:
    bench.report(1, sequence=10, exit_code=4)
    bench.report(1, sequence=9)
    bench.report(1, sequence=2)
    assert bench.spool.tick() == 3
    newest = bench.live().report
    assert newest is not None
    assert newest.sequence == 10
    bench.report(1, sequence=3)
    bench.spool.tick()
    assert bench.live().report is newest
    assert files(bench) == []


def test_a_report_stays_until_its_contents_are_saved(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.report(1)

    def fail(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(bench.store, "save", fail)
    with pytest.raises(OSError):  # noqa: PT011
        bench.spool.tick()
    assert len(files(bench)) == 1


def test_a_report_waits_for_its_jobs_id(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.driver.lose_reply = True
    with pytest.raises(Exception, match="no answer"):
        bench.create()
    bench.report(1)
    assert bench.spool.tick() == 0
    bench.reconciler.poll()
    assert bench.spool.tick() == 1


def test_reports_that_wait_keep_nobody_elses_waiting(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "_BATCH", 2)
    bench.driver.lose_reply = True
    with pytest.raises(Exception, match="no answer"):
        bench.create(make_pod(uid=EARLIER))
    for sequence in (1, 2, 3):
        bench.report(2, uid=EARLIER, sequence=sequence)
    bench.report(1)
    assert bench.spool.tick() + bench.spool.tick() == 1
    assert bench.live().report is not None
    bench.report(1, sequence=2)
    assert bench.spool.tick() + bench.spool.tick() == 1
    bench.reconciler.poll()
    assert bench.spool.tick() + bench.spool.tick() == 3
    assert files(bench) == []


def test_what_is_no_report_is_moved_aside(bench: Bench, tmp_path: Path) -> None:
    spool = bench.folders.spool
    good = f"{UID}.1."
    (spool / "nonsense").write_text("x")
    (spool / f"{good}1.json").write_text("{")
    (spool / f"{good}2.json").write_text('{"uid": 3}')
    (spool / f"{good}3.json").write_bytes(b" " * (1024**2 + 1))
    secret = tmp_path / "secret"
    secret.write_text("x")
    (spool / f"{good}4.json").symlink_to(secret)
    os.mkfifo(spool / f"{good}5.json")
    (spool / f"{good}6.json").mkdir()
    bench.report(1, uid=OTHER)
    (spool / f"{OTHER}.1.1.json").rename(spool / f"{good}7.json")
    (spool / ".being-written").write_text("")
    assert bench.spool.tick() == 0
    assert files(bench) == [".being-written"]
    assert len(list(bench.folders.bad_spool.iterdir())) == 8
    assert bench.live().report is None
    assert secret.exists()


def test_reports_of_strangers_and_of_second_jobs_change_nothing(bench: Bench) -> None:
    bench.report(1, uid=OTHER)
    bench.report(77, exit_code=0)
    assert bench.spool.tick() == 2
    assert bench.live().report is None
    assert files(bench) == []


def test_a_spool_that_cannot_be_read_is_logged_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.folders.bad_spool.rmdir()
    bench.folders.spool.rmdir()
    for _ in range(3):
        assert bench.spool.tick() == 0
    assert len(caplog.records) == 1


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.EMFILE])
def test_a_report_that_cannot_be_read_now_waits(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    bench.report(1)

    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail)
        for _ in range(3):
            assert bench.spool.tick() == 0
    assert len(files(bench)) == 1
    assert list(bench.folders.bad_spool.iterdir()) == []
    assert len(caplog.records) == 1
    assert bench.spool.tick() == 1
