"""Slurm's word and the reports, merged: ends, losses, second jobs, outages."""

import logging
import time
from pathlib import Path

import pytest

from interlink.core.job.facts import JobFacts
from interlink.sidecars.slurm.reconcile import HISTORY_AGAIN_SECONDS, LOST_AFTER
from tests.unit.sidecars.contract import make_pod
from tests.unit.sidecars.slurm.bench import UID, Bench
from tests.unit.sidecars.slurm.driver_contract import make_request


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.create()
    bench.driver.move(1, "RUNNING")
    bench.reconciler.poll()
    return bench


def finish(bench: Bench, exit_code: int = 0) -> None:
    bench.report(1, exit_code=exit_code, sequence=9)
    bench.spool.tick()


def test_the_way_of_a_pod(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.create()
    states: list[str] = []

    def note() -> None:
        bench.reconciler.poll()
        status = bench.status()
        assert status is not None
        states.append(next(iter(status.containers[0]["state"])) + (" ended" if status.ended else ""))

    note()
    bench.driver.move(1, "RUNNING")
    note()
    bench.report(1)
    bench.spool.tick()
    note()
    finish(bench, 3)
    note()
    bench.driver.move(1, "COMPLETING")
    note()
    bench.driver.move(1, "COMPLETED")
    note()
    assert states == ["waiting", "waiting", "running", "terminated", "terminated", "terminated ended"]
    assert bench.table.living == {}
    row = bench.store.find(UID)
    assert row is not None
    assert row.ended_at is not None


def test_nothing_is_saved_or_told_where_nothing_changed(bench: Bench) -> None:
    cursor = bench.journal.after(None, 0).cursor
    for _ in range(5):
        bench.reconciler.poll()
        bench.spool.tick()
    assert bench.journal.after(cursor, 0).cursor == cursor


def test_all_pods_are_one_rpc(bench: Bench) -> None:
    for number in range(50):
        bench.create(make_pod(f"00000000-0000-0000-0000-{number:012d}"))
    bench.driver.calls.clear()
    bench.reconciler.poll()
    assert bench.driver.calls == ["jobs"]


def test_an_ended_job_waits_for_its_last_report(bench: Bench) -> None:
    bench.reconciler._report_seconds = 60
    bench.driver.move(1, "COMPLETED")
    bench.reconciler.poll()
    assert UID in bench.table.living
    bench.report(1, spool=False, exit_code=7, sequence=4)  # the spool is late: the folder has it
    bench.reconciler.poll()
    status = bench.status()
    assert status is not None
    assert status.ended
    assert status.containers[0]["state"]["terminated"]["exitCode"] == 7


@pytest.mark.parametrize(("state", "reason"), [("CANCELLED", "Cancelled"), ("TIMEOUT", "DeadlineExceeded")])
def test_an_end_without_a_report_has_slurms_reason(bench: Bench, state: str, reason: str) -> None:
    bench.driver.move(1, state)
    bench.reconciler.poll()
    status = bench.status()
    assert status is not None
    assert (status.ended, status.reason) == (True, reason)


def test_a_forgotten_job_is_lost_only_after_several_answers(bench: Bench) -> None:
    bench.driver.forget(1)
    for _ in range(LOST_AFTER - 1):
        bench.reconciler.poll()
    bench.driver.away = "gone"
    for _ in range(10):
        bench.reconciler.poll()
    assert UID in bench.table.living
    bench.driver.away = ""
    bench.reconciler.poll()
    status = bench.status()
    assert status is not None
    assert (status.ended, status.reason) == (True, "JobLost")


def test_a_forgotten_job_with_a_finished_report_has_ended(bench: Bench) -> None:
    finish(bench)
    bench.driver.forget(1)
    bench.reconciler.poll()
    status = bench.status()
    assert status is not None
    assert status.ended
    assert status.reason == ""


def test_accounting_is_asked_before_a_job_is_lost(bench: Bench) -> None:
    bench.driver.forget(1)
    bench.driver.accounting[1] = JobFacts(job_id=1, uid=UID, state="TIMEOUT", end_time=1.0)
    for _ in range(LOST_AFTER):
        bench.reconciler.poll()
    status = bench.status()
    assert status is not None
    assert (status.ended, status.reason) == (True, "DeadlineExceeded")


def test_no_job_is_lost_while_accounting_cannot_be_asked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench.driver.forget(1)
    bench.driver.accounting_away = "slurmdbd does not answer"
    now, passed = time.monotonic, 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now() + passed)
    for _ in range(3):
        for _ in range(LOST_AFTER + 3):
            bench.reconciler.poll()
        passed += HISTORY_AGAIN_SECONDS
    assert UID in bench.table.living
    assert bench.driver.calls.count("history") == 3
    assert len([record for record in caplog.records if "accounting" in record.message]) == 1
    bench.driver.accounting_away = ""
    bench.reconciler.poll()
    status = bench.status()
    assert status is not None
    assert (status.ended, status.reason) == (True, "JobLost")


def test_a_job_id_that_slurm_gave_to_another_is_not_ours(bench: Bench) -> None:
    bench.driver.move(1, "RUNNING", uid="someone else's")
    for _ in range(LOST_AFTER):
        bench.reconciler.poll()
    status = bench.status()
    assert status is not None
    assert status.reason == "JobLost"


def test_of_two_jobs_of_a_pod_the_recorded_one_stays(bench: Bench, tmp_path: Path) -> None:
    second = bench.driver.submit(make_request(tmp_path, comment=UID))
    bench.reconciler.poll()
    assert list(bench.driver.living()) == [1]
    assert bench.live().job_id == 1
    assert second not in bench.driver.living()


def test_of_two_jobs_of_a_pod_the_one_that_claimed_it_stays(bench: Bench, tmp_path: Path) -> None:
    second = bench.driver.submit(make_request(tmp_path, comment=UID))
    (bench.folders.job(UID) / "claim").write_text(str(second))
    bench.reconciler.poll()
    assert list(bench.driver.living()) == [second]
    assert bench.live().job_id == second


def test_a_job_of_a_pod_that_has_ended_is_cancelled(bench: Bench, tmp_path: Path) -> None:
    finish(bench)
    bench.driver.move(1, "COMPLETED")
    bench.reconciler.poll()
    bench.driver.submit(make_request(tmp_path, comment=UID))
    bench.reconciler.poll()
    assert bench.driver.living() == {}


def test_jobs_of_others_are_left_alone(bench: Bench, tmp_path: Path) -> None:
    bench.driver.submit(make_request(tmp_path, comment="my own notes"))
    bench.driver.submit(make_request(tmp_path))
    bench.reconciler.poll()
    assert len(bench.driver.living()) == 3


def test_a_job_whose_folder_is_known_is_adopted(bench: Bench) -> None:
    with bench.table.lock:
        bench.table.living.clear()
    bench.store.drop([UID])
    bench.reconciler.poll()
    bench.reconciler.poll()
    assert bench.live().job_id == 1


def test_an_outage_is_logged_once_and_changes_nothing(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    before = bench.status()
    bench.driver.away = "Unable to contact slurm controller"
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            assert bench.reconciler.poll() is False
        assert len(caplog.records) == 1
        finish(bench)  # reports flow all the same
        status = bench.status()
        assert status is not None
        assert "terminated" in status.containers[0]["state"]
        assert not status.ended
        bench.driver.away = ""
        bench.reconciler.poll()
        assert len(caplog.records) == 2
    assert before is not None


def test_a_requeued_job_counts_its_reports_anew(bench: Bench) -> None:
    finish(bench)
    bench.driver.move(1, "PENDING", restart_count=1, reason="BeginTime")
    bench.reconciler.poll()
    status = bench.status()
    assert status is not None
    assert "waiting" in status.containers[0]["state"]
    bench.driver.move(1, "RUNNING")
    bench.report(1, sequence=1, restart=1)
    bench.spool.tick()
    bench.reconciler.poll()
    status = bench.status()
    assert status is not None
    assert "running" in status.containers[0]["state"]


def test_an_estimate_that_moves_a_little_is_no_news(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.create()
    start = time.time() + 3600
    bench.driver.move(1, "PENDING", expected_start=start)
    bench.reconciler.poll()
    status = bench.status()
    assert status is not None
    assert "expected to start about" in status.containers[0]["state"]["waiting"]["message"]
    cursor = bench.journal.after(None, 0).cursor
    bench.driver.move(1, "PENDING", expected_start=start + 200)
    bench.reconciler.poll()
    assert bench.journal.after(cursor, 0).statuses == []
    bench.driver.move(1, "PENDING", expected_start=start + 3600)
    bench.reconciler.poll()
    assert len(bench.journal.after(cursor, 0).statuses) == 1


def test_a_job_that_slurmd_killed_for_its_memory_is_told_by_its_own_log(bench: Bench) -> None:
    bench.report(1)
    bench.spool.tick()
    log = bench.folders.job(UID) / "batch.log"
    log.write_bytes(b"x" * 100_000 + b"\n[2026] error: StepId=1.batch exceeded memory limit (9 > 8), being killed\n")
    bench.driver.move(1, "FAILED", reason="RaisedSignal:9(Killed)")
    bench.reconciler.poll()
    status = bench.status()
    assert status is not None
    assert (status.ended, status.reason, status.message) == (True, "OOMKilled", "Slurm job 1 ran out of memory")
    ended = status.containers[0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")


@pytest.mark.parametrize("log", ["nothing of that kind", None])
def test_one_that_was_killed_for_another_reason_or_has_no_log_has_failed(bench: Bench, log: str | None) -> None:
    if log is not None:
        (bench.folders.job(UID) / "batch.log").write_text(log)
    bench.driver.move(1, "FAILED", reason="RaisedSignal:9(Killed)")
    bench.reconciler.poll()
    status = bench.status()
    assert status is not None
    assert (status.ended, status.reason) == (True, "JobFailed")
