"""Starts: after a restart, without the database, with one that is none."""

import json
import sqlite3
from pathlib import Path

import pytest

from interlink.sidecars.slurm.store import Store, StoreError
from tests.unit.sidecars.slurm.bench import UID, Bench, make_pod

OTHER = "99999999-2222-3333-4444-555555555555"


def lose_database(bench: Bench) -> None:
    bench.store.close()
    for path in (bench.root / "state").iterdir():
        path.unlink()


def test_a_restart_knows_what_was(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.create()
    bench.driver.move(1, "RUNNING")
    bench.report(1)
    bench.spool.tick()
    bench.reconciler.poll()
    before = bench.status()
    again = bench.restart()
    assert again.status() == before
    assert again.journal.after(None, 0).statuses == [before]
    again.reconciler.poll()
    assert again.status() == before


def test_without_the_database_pods_come_back_from_their_folders(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.create()
    bench.create(make_pod(OTHER))
    bench.driver.move(1, "RUNNING")
    bench.report(1, spool=False)
    (bench.folders.job(UID) / "claim").write_text("1\n")
    lose_database(bench)
    again = bench.restart()
    again.reconciler.poll()
    assert again.create().PodJID == "1"
    assert again.create(make_pod(OTHER)).PodJID == "2"
    assert len(bench.driver.requests) == 2
    status = again.status()
    assert status is not None
    assert "running" in status.containers[0]["state"]
    assert (status.cluster, status.node) == ("c1", "vk")


def test_without_the_database_a_pod_with_large_config_maps_comes_back_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.create()
    plan = json.loads(bench.folders.plan(UID).read_text())
    files = [{"path": f"file-{number}", "data": "eA==" * 256 * 1024} for number in range(12)]
    plan["volumes"] = [{"name": "maps", "kind": "files", "files": files}]
    bench.folders.plan(UID).write_text(json.dumps(plan))
    lose_database(bench)
    assert set(bench.restart().table.living) == {UID}


def test_without_the_database_a_finished_pod_keeps_its_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.create()
    bench.report(1, spool=False, exit_code=3)
    (bench.folders.job(UID) / "claim").write_text("1")
    bench.driver.move(1, "FAILED")
    bench.driver.forget(1)
    lose_database(bench)
    again = bench.restart()
    for _ in range(3):
        again.reconciler.poll()
    status = again.status()
    assert status is not None
    assert status.ended
    assert status.containers[0]["state"]["terminated"]["exitCode"] == 3


def test_folders_that_do_not_say_whose_they_are_stay(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.folders.job(UID).mkdir()
    bench.folders.job(OTHER).mkdir()
    (bench.folders.job(OTHER) / "plan.json").write_text("{}")
    assert bench.restart().table.living == {}
    assert set(bench.folders.uids()) == {UID, OTHER}


@pytest.mark.parametrize(
    "contents", [b"this is no database, and longer than a header of one" * 100, b"SQLite format 3\0" * 500]
)
def test_a_file_that_is_no_database_says_where_and_what_to_do(tmp_path: Path, contents: bytes) -> None:
    (tmp_path / "slurm.sqlite").write_bytes(contents)
    with pytest.raises(StoreError, match=r"slurm\.sqlite.*move it away"):
        Store(tmp_path)


def test_a_foreign_or_newer_database_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "slurm.sqlite") as database:
        database.execute("CREATE TABLE pods (x)")
    database.close()
    with pytest.raises(StoreError, match="another program's"):
        Store(tmp_path)
    other = tmp_path / "newer"
    Store(other).close()
    with sqlite3.connect(other / "slurm.sqlite") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreError, match="schema 99"):
        Store(other)


def test_the_database_is_for_our_eyes_only(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "state").iterdir()} == {0o600}
    store.close()


def test_a_start_without_its_folder_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        Store(tmp_path / "file")
