"""Deletes: noted first, carried out whatever is away, in the pod's time."""

import time
from pathlib import Path

import pytest

from interlink.sidecars.backend import Deleted
from interlink.sidecars.slurm.housekeeping import Housekeeping
from interlink.wire.pod import Pod
from tests.unit.sidecars.slurm.bench import UID, Bench, make_pod


def deleted(grace: int | None = None) -> Pod:
    pod = make_pod()
    pod.metadata.deletionGracePeriodSeconds = grace
    return pod


def test_a_pod_deleted_before_its_create_is_never_started(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.lifecycle.delete(make_pod())
    for run in (bench, bench.restart()):
        with pytest.raises(Deleted):
            run.create()
        status = run.status()
        assert status is not None
        assert status.ended
    assert bench.driver.requests == {}


def test_a_pending_job_is_cancelled(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.create()
    bench.lifecycle.delete(deleted())
    bench.lifecycle.act()
    assert bench.driver.living() == {}
    bench.reconciler.poll()
    status = bench.status()
    assert status is not None
    assert status.ended


def test_a_running_job_is_asked_once_then_killed_after_its_grace(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.create()
    bench.driver.move(1, "RUNNING")
    bench.lifecycle.delete(deleted(30))
    for _ in range(3):
        bench.lifecycle.act()
        bench.reconciler.poll()
    assert bench.driver.signals == [(1, "TERM")]
    assert bench.live().kill_at == pytest.approx(time.time() + 40, abs=3)
    bench.lifecycle.delete(deleted(60))  # no extension
    assert bench.live().kill_at == pytest.approx(time.time() + 40, abs=3)
    bench.lifecycle.delete(deleted(0))
    bench.lifecycle.act()
    assert bench.driver.signals == [(1, "TERM"), (1, "KILL")]
    bench.reconciler.poll()
    assert bench.table.living == {}


def test_the_runner_is_told_its_grace_before_term_and_again_when_it_is_shortened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    bench.create()
    bench.driver.move(1, "RUNNING")
    grace = bench.folders.job(UID) / "grace"
    told: list[str] = []
    signal = bench.driver.signal

    def note(job_id: int, name: str) -> bool:
        told.append(f"{name} {grace.read_text()}")
        return signal(job_id, name)

    monkeypatch.setattr(bench.driver, "signal", note)
    for seconds in (300, 300, 600, 20, 20):
        bench.lifecycle.delete(deleted(seconds))
        bench.lifecycle.act()
        bench.lifecycle.act()
    assert told == ["TERM 300\n", "TERM 20\n"]
    again = bench.restart()  # which does not know what the runner was told
    again.lifecycle.act()
    assert told[2:] == ["TERM 20\n"]


def test_a_grace_that_cannot_be_written_keeps_no_pod_alive(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.create()
    bench.driver.move(1, "RUNNING")
    bench.folders.remove_job(UID)
    bench.lifecycle.delete(deleted(30))
    bench.lifecycle.act()
    assert bench.driver.signals == [(1, "TERM")]


def test_a_delete_survives_a_restart_and_an_outage(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.create()
    bench.driver.move(1, "RUNNING")
    bench.driver.away = "gone"
    bench.reconciler.poll()
    bench.lifecycle.delete(deleted(0))
    bench.lifecycle.act()
    again = bench.restart()
    again.lifecycle.act()
    assert len(bench.driver.living()) == 1
    bench.driver.away = ""
    again.reconciler.poll()
    again.lifecycle.act()
    assert bench.driver.living() == {}
    again.reconciler.poll()
    status = again.status()
    assert status is not None
    assert status.ended


def test_a_delete_of_a_pod_in_doubt_waits_for_slurms_word(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.driver.lose_reply = True
    with pytest.raises(Exception, match="no answer"):
        bench.create()
    bench.lifecycle.delete(deleted(0))
    assert bench.status() is None
    bench.reconciler.poll()
    bench.lifecycle.act()
    bench.reconciler.poll()
    assert bench.driver.living() == {}
    status = bench.status()
    assert status is not None
    assert status.ended


def test_a_delete_after_the_end_is_told_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.create()
    bench.driver.move(1, "RUNNING")
    bench.report(1, exit_code=0)
    bench.spool.tick()
    bench.driver.move(1, "COMPLETED")
    bench.reconciler.poll()
    cursor = bench.journal.after(None, 0).cursor
    bench.lifecycle.delete(deleted())
    (status,) = bench.journal.after(cursor, 0).statuses
    assert status.ended
    assert status.JID == "1"
    assert status.containers[0]["state"]["terminated"]["exitCode"] == 0


def test_housekeeping_removes_what_was_deleted_and_forgets_it_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    bench.create()
    bench.lifecycle.delete(deleted())
    bench.lifecycle.act()
    bench.reconciler.poll()
    bench.housekeeping.tick()
    assert list(bench.folders.uids()) == [UID]
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 120)
    bench.housekeeping.tick()
    assert list(bench.folders.uids()) == []
    assert bench.status() is not None
    monkeypatch.setattr(time, "time", lambda: now + 90_000)
    bench.housekeeping.tick()
    assert bench.status() is None


def test_the_folder_of_an_ended_pod_stays_while_nobody_deletes_it_unless_the_site_says_how_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    bench.create()
    bench.driver.move(1, "CANCELLED")
    bench.reconciler.poll()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 40 * 86_400)
    bench.housekeeping.tick()
    assert list(bench.folders.uids()) == [UID]
    assert bench.status() is not None
    Housekeeping(bench.table, bench.folders, ended_seconds=41 * 86_400).tick()
    assert list(bench.folders.uids()) == [UID]
    Housekeeping(bench.table, bench.folders, ended_seconds=30 * 86_400).tick()
    assert list(bench.folders.uids()) == []
    assert bench.status() is None


def test_an_intent_that_nobody_came_back_for_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path)
    bench.driver.lose_reply = True
    with pytest.raises(Exception, match="no answer"):
        bench.create()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 7200)
    bench.housekeeping.tick()
    assert UID in bench.table.living  # still in doubt
    bench.driver.cancel(1)
    bench.driver.forget(1)
    bench.reconciler.poll()
    bench.reconciler.poll()
    bench.housekeeping.tick()
    assert bench.table.living == {}
    assert bench.store.find(UID) is None
    assert list(bench.folders.uids()) == []
