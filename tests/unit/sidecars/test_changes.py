"""The journal of changes: cursors, waiting, compaction."""

import threading
import time

import pytest

from interlink.sidecars.backend import CursorExpired
from interlink.sidecars.changes import ChangeJournal
from interlink.wire.messages import PodStatus


def status(uid: str, jid: str = "") -> PodStatus:
    return PodStatus(name="p", UID=uid, namespace="ns", JID=jid)


def test_only_the_latest_of_each_pod_is_told() -> None:
    journal = ChangeJournal()
    start = journal.after(None, 0).cursor
    journal.publish([status("a", "1"), status("b", "1")])
    journal.publish([status("a", "2")])
    changes = journal.after(start, 0)
    assert [(item.UID, item.JID) for item in changes.statuses] == [("b", "1"), ("a", "2")]
    assert journal.after(changes.cursor, 0).statuses == []


def test_a_waiter_wakes_on_a_change_and_on_close() -> None:
    journal = ChangeJournal()
    cursor = journal.after(None, 0).cursor
    threading.Timer(0.05, journal.publish, [[status("a")]]).start()
    begun = time.monotonic()
    changes = journal.after(cursor, 10)
    assert len(changes.statuses) == 1
    threading.Timer(0.05, journal.close).start()
    assert journal.after(changes.cursor, 10).statuses == []
    assert time.monotonic() - begun < 5


def test_a_time_out_answers_nothing_with_the_same_cursor() -> None:
    journal = ChangeJournal()
    cursor = journal.after(None, 0).cursor
    assert journal.after(cursor, 0.05).cursor == cursor


def test_without_a_cursor_the_snapshot_is_told() -> None:
    journal = ChangeJournal(lambda: [status("kept")])
    journal.publish([status("a")])
    changes = journal.after(None, 10)
    assert [item.UID for item in changes.statuses] == ["kept"]
    assert journal.after(changes.cursor, 0).statuses == []


@pytest.mark.parametrize("cursor", ["", "x", "another:0", "{run}:99", "{run}:-1", "{run}:²", "{run}:"])
def test_cursors_of_other_runs_have_expired(cursor: str) -> None:
    journal = ChangeJournal()
    run = journal.after(None, 0).cursor.partition(":")[0]
    with pytest.raises(CursorExpired):
        journal.after(cursor.replace("{run}", run), 0)


def test_a_client_too_far_behind_takes_everything_anew() -> None:
    journal = ChangeJournal(limit=2)
    cursor = journal.after(None, 0).cursor
    journal.publish([status(uid) for uid in "abc"])
    with pytest.raises(CursorExpired):
        journal.after(cursor, 0)
    assert len(journal.after(None, 0).statuses) == 2


def test_every_change_reaches_a_follower() -> None:
    journal = ChangeJournal()
    last: dict[str, int] = {}
    cursor = journal.after(None, 0).cursor

    def publish(uid: str) -> None:
        for number in range(200):
            journal.publish([status(uid, str(number))])

    threads = [threading.Thread(target=publish, args=(uid,)) for uid in "abc"]
    for thread in threads:
        thread.start()
    while last != dict.fromkeys("abc", 199):
        changes = journal.after(cursor, 5)
        assert changes.statuses
        cursor = changes.cursor
        for item in changes.statuses:
            assert int(item.JID) > last.get(item.UID, -1)
            last[item.UID] = int(item.JID)
    for thread in threads:
        thread.join()
