"""The sidecar's memory on local disk: one row per pod, in SQLite.

Written by ``submit``, ``lifecycle`` and ``reconcile``. Invariant: what ``sync`` has waited for survives a power cut, as
a deletion must before anything is done about it; everything else may be lost in one, because Slurm and the job folders
have it. The database is no truth of its own: without it, ``recover`` builds it anew.
"""

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from interlink.core.plan import Report
from interlink.core.pod.facts import PodFacts
from interlink.sidecars.slurm.durable import DurableFile
from interlink.wire.decoding import decode_json
from interlink.wire.messages import PodStatus

_APPLICATION_ID = 0x494C534C  # "ILSL"
_VERSION = 1
_SCHEMA = f"""
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_VERSION};
CREATE TABLE pods (
    uid TEXT PRIMARY KEY NOT NULL,
    facts BLOB NOT NULL,           -- PodFacts
    created_at REAL NOT NULL,
    job_id INTEGER,                -- NULL: a submit is intended, and may have happened
    deleted_at REAL,               -- the tombstone
    kill_at REAL,
    ended_at REAL,                 -- nothing of the pod runs or can start any more
    status BLOB,                   -- PodStatus, as last published
    report BLOB                    -- Report, the newest
);
CREATE INDEX living ON pods (uid) WHERE ended_at IS NULL;
CREATE INDEX tombstones ON pods (ended_at) WHERE deleted_at IS NOT NULL AND ended_at IS NOT NULL;
"""


class StoreError(Exception):
    """The database cannot be used; the message says where it is and what to do."""


class Row(msgspec.Struct, kw_only=True):
    """One pod as stored."""

    facts: PodFacts
    created_at: float
    job_id: int | None = None
    deleted_at: float | None = None
    kill_at: float | None = None
    ended_at: float | None = None
    status: PodStatus | None = None
    report: Report | None = None


class Store:
    """The table of pods. Thread-safe: one connection behind a lock, which nobody holds while he waits for the disk."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "slurm.sqlite"
        self._lock = threading.Lock()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._database = self._open()
            self._prepare()
            self._log = DurableFile(folder / f"{self.path.name}-wal")
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"{self.path}: {error}. If the file is damaged or not this service's, move it away and start again: "
                "pods are found again by their job folders and in Slurm"
            ) from error

    def intend(self, facts: PodFacts, now: float) -> bool:
        """Write down that a job is about to be submitted for the pod; False where it has a row. Raises StoreError."""
        changed = self._execute(
            "INSERT INTO pods (uid, facts, created_at) VALUES (?, ?, ?) ON CONFLICT (uid) DO NOTHING",
            (facts.uid, msgspec.json.encode(facts), now),
        )
        return changed > 0

    def delete(self, facts: PodFacts, now: float, kill_at: float, *, living: bool = False) -> Row:
        """Write the tombstone, or bring its kill time forward, and return the row; it is on the disk after ``sync``.

        A pod without a row gets one, ended unless it is ``living`` (its intent is about to be written).
        """
        with self._transaction() as database:
            database.execute(
                "INSERT INTO pods (uid, facts, created_at, deleted_at, kill_at, ended_at)"
                " VALUES (?1, ?2, ?3, ?3, ?4, ?5)"
                " ON CONFLICT (uid) DO UPDATE SET deleted_at = coalesce(deleted_at, excluded.deleted_at),"
                " kill_at = min(coalesce(kill_at, excluded.kill_at), excluded.kill_at)",
                (facts.uid, msgspec.json.encode(facts), now, kill_at, None if living else now),
            )
            row = database.execute(f"{_SELECT} WHERE uid = ?", (facts.uid,)).fetchone()
        return _row(row)

    def sync(self) -> None:
        """Return when every transaction so far is on the platter. Raises StoreError."""
        try:
            self._log.wait()
        except (OSError, ValueError) as error:
            raise StoreError(f"{self.path}: {error}") from error

    def record_job(self, uid: str, job_id: int, status: PodStatus) -> None:
        """Write down the job's id and the status that it brings; lost in a power cut, it is looked up in Slurm."""
        values = (job_id, msgspec.json.encode(status), uid)
        self._execute("UPDATE pods SET job_id = ?, status = ? WHERE uid = ?", values)

    def forget(self, uid: str) -> None:
        """Remove the pod, unless it was deleted: a tombstone stays. Lost in a power cut, it is looked up in Slurm."""
        self._execute("DELETE FROM pods WHERE uid = ? AND deleted_at IS NULL", (uid,))

    def save(self, changes: Iterable[tuple[PodStatus, Report | None, float | None]]) -> None:
        """Write statuses, with the reports behind them and the time of an end, all or none."""
        encode = msgspec.json.encode
        rows = [
            (encode(status), None if report is None else encode(report), ended_at, status.UID)
            for status, report, ended_at in changes
        ]
        with self._transaction() as database:
            database.executemany("UPDATE pods SET status = ?, report = ?, ended_at = ? WHERE uid = ?", rows)

    def find(self, uid: str) -> Row | None:
        """Return the pod's row."""
        with self._lock:
            row = self._database.execute(f"{_SELECT} WHERE uid = ?", (uid,)).fetchone()
        return None if row is None else _row(row)

    def living(self) -> list[Row]:
        """Return the pods that have not ended."""
        with self._lock:
            # Row by row: ten thousand of them at once would leave holes of that size in the memory.
            return [_row(row) for row in self._database.execute(f"{_SELECT} WHERE ended_at IS NULL")]

    def uids(self) -> set[str]:
        """Return every UID."""
        with self._lock:
            return {uid for (uid,) in self._database.execute("SELECT uid FROM pods")}

    def users(self) -> set[str]:
        """Return the other users who own, or owned, a pod's job."""
        with self._lock:
            rows = self._database.execute("SELECT DISTINCT json_extract(CAST(facts AS TEXT), '$.user') FROM pods")
            return {user for (user,) in rows if user}

    def ended_statuses(self, deleted_since: float) -> list[PodStatus]:
        """Return the statuses of ended pods, without those that were deleted and had ended before the given time."""
        with self._lock:
            rows = self._database.execute(
                "SELECT status FROM pods WHERE ended_at IS NOT NULL AND status IS NOT NULL"
                " AND (deleted_at IS NULL OR ended_at > ?)",
                (deleted_since,),
            ).fetchall()
        return [decode_json(status, PodStatus) for (status,) in rows]

    def deleted_and_ended(self, before: float) -> list[str]:
        """Return the UIDs of deleted pods that had ended before the given time."""
        with self._lock:
            rows = self._database.execute(
                "SELECT uid FROM pods WHERE deleted_at IS NOT NULL AND ended_at IS NOT NULL AND ended_at <= ?"
                " AND deleted_at <= ?",
                (before, before),
            ).fetchall()
        return [uid for (uid,) in rows]

    def ended(self, before: float) -> list[str]:
        """Return the UIDs of pods that had ended before the given time, and that nobody has deleted."""
        with self._lock:
            rows = self._database.execute(
                "SELECT uid FROM pods WHERE deleted_at IS NULL AND ended_at <= ?", (before,)
            ).fetchall()
        return [uid for (uid,) in rows]

    def drop(self, uids: Iterable[str]) -> None:
        """Remove the rows of pods whose tombstones have served their time."""
        with self._transaction() as database:
            database.executemany("DELETE FROM pods WHERE uid = ?", [(uid,) for uid in uids])

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._log.close()
            self._database.close()

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, timeout=10, isolation_level=None, check_same_thread=False)
        database.execute("PRAGMA journal_mode = WAL")
        # The log reaches the disk before a checkpoint moves it; what must be there sooner waits for it by itself.
        database.execute("PRAGMA synchronous = NORMAL")
        return database

    def _prepare(self) -> None:
        """Create the schema in an empty file. Raises StoreError for a file that is not ours, or of another time."""
        database = self._database
        (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not tables:
            database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if application != _APPLICATION_ID:
            raise StoreError(f"{self.path} is another program's database; StateFolder must be this service's own")
        if version != _VERSION:
            raise StoreError(
                f"{self.path} has schema {version}, and this release knows {_VERSION}. Install the release that wrote "
                "it, or move it away: pods are found again by their job folders and in Slurm"
            )
        (verdict,) = database.execute("PRAGMA quick_check").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(str(verdict))

    def _execute(self, statement: str, values: tuple[object, ...]) -> int:
        """Carry out one statement, which SQLite makes a transaction of its own; return how many rows it changed.

        Raises StoreError.
        """
        with self._lock:
            try:
                return self._database.execute(statement, values).rowcount
            except sqlite3.Error as error:
                raise StoreError(f"{self.path}: {error}") from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        database = self._database
        with self._lock:
            try:
                database.execute("BEGIN IMMEDIATE")
                yield database
                database.execute("COMMIT")
            except sqlite3.Error as error:
                self._roll_back(database)
                raise StoreError(f"{self.path}: {error}") from error
            except BaseException:
                self._roll_back(database)
                raise

    @staticmethod
    def _roll_back(database: sqlite3.Connection) -> None:
        with suppress(sqlite3.Error):
            if database.in_transaction:
                database.execute("ROLLBACK")


_SELECT = "SELECT facts, created_at, job_id, deleted_at, kill_at, ended_at, status, report FROM pods"


def _row(
    row: tuple[bytes, float, int | None, float | None, float | None, float | None, bytes | None, bytes | None],
) -> Row:
    facts, created_at, job_id, deleted_at, kill_at, ended_at, status, report = row
    return Row(
        facts=decode_json(facts, PodFacts),
        created_at=created_at,
        job_id=job_id,
        deleted_at=deleted_at,
        kill_at=kill_at,
        ended_at=ended_at,
        status=None if status is None else decode_json(status, PodStatus),
        report=None if report is None else decode_json(report, Report),
    )
