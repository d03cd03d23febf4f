"""Logs from the job's folder: whole, followed, previous, and what is not there."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interlink.sidecars.backend import NotFound, NotStarted
from interlink.sidecars.slurm import logs
from interlink.wire.messages import LogOptions, LogRequest
from tests.unit.sidecars.slurm.bench import UID, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.create()
    bench.driver.move(1, "RUNNING")
    bench.reconciler.poll()
    (bench.folders.job(UID) / "logs").mkdir()
    return bench


def read(bench: Bench, container: str = "first", **options: Any) -> Iterator[bytes]:
    request = LogRequest(Namespace="ns", PodUID=UID, PodName="p", ContainerName=container, Opts=LogOptions(**options))
    return bench.logs.read(request)


def write(bench: Bench, *lines: str, name: str = "first.log") -> None:
    with (bench.folders.job(UID) / "logs" / name).open("a") as file:
        for line in lines:
            file.write(f"2026-01-01T00:00:00Z stdout F {line}\n")


def test_a_log_as_it_is(bench: Bench) -> None:
    write(bench, "one", "two")
    write(bench, "before", name="first.log.previous")
    assert b"".join(read(bench)) == b"one\ntwo\n"
    assert b"".join(read(bench, Previous=True)) == b"before\n"


def test_the_files_of_a_log_are_read_in_their_order(bench: Bench) -> None:
    for number in (9, 10, 11):
        write(bench, f"a{number}", f"b{number}", name=f"first.log.{number}")
    write(bench, "old", name="first.log.previous")
    write(bench, "older", name="first.log.previous.1")
    write(bench, "other", name="first.log.1x")
    assert b"".join(read(bench)) == b"a9\nb9\na10\nb10\na11\nb11\n"
    assert b"".join(read(bench, Previous=True)) == b"old\nolder\n"
    assert b"".join(read(bench, LimitBytes=7)) == b"a9\nb9\na"


@pytest.mark.parametrize(("tail", "text"), [(1, b"d\n"), (2, b"c\nd\n"), (3, b"b\nc\nd\n"), (9, b"a\nb\nc\nd\n")])
def test_the_last_lines_reach_back_over_files(bench: Bench, tail: int, text: bytes) -> None:
    write(bench, "a", "b")
    write(bench, "c", "d", name="first.log.1")
    assert b"".join(read(bench, Tail=tail)) == text


def test_a_follow_goes_on_in_the_next_file(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_NEXT_FILE_SECONDS", 0.05)
    monkeypatch.setattr(logs, "_POLL_SECONDS", 0.02)
    bench.report(1)
    bench.spool.tick()
    write(bench, "one", name="first.log.3")
    chunks = read(bench, Follow=True)
    assert next(chunks) == b"one\n"
    write(bench, "two", name="first.log.3")
    write(bench, "three", name="first.log.4")
    write(bench, "four", name="first.log.5")
    bench.report(1, sequence=2, exit_code=0)
    bench.spool.tick()
    assert b"".join(chunks) == b"two\nthree\nfour\n"


@pytest.mark.parametrize("clock", ["2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"])
def test_a_follow_from_the_end_on_depends_on_nobodys_clock(bench: Bench, clock: str) -> None:
    bench.report(1)
    bench.spool.tick()
    write(bench, "old")
    write(bench, "before", name="first.log.1")
    with (bench.folders.job(UID) / "logs" / "first.log.1").open("a") as file:
        file.write("2026-01-01T00:00:00Z stdout F hal")
    chunks = read(bench, Follow=True, FromEnd=True, SinceTime=clock)

    def go_on() -> None:
        with (bench.folders.job(UID) / "logs" / "first.log.1").open("a") as file:
            file.write("f\n")
        write(bench, "new", name="first.log.1")
        write(bench, "newer", name="first.log.2")
        bench.report(1, sequence=2, exit_code=0)
        bench.spool.tick()

    thread = threading.Timer(0.3, go_on)
    thread.start()
    assert b"".join(chunks) == b"half\nnew\nnewer\n"
    thread.join()


def test_a_container_that_has_not_started_says_so(bench: Bench) -> None:
    with pytest.raises(NotStarted, match='container "first" in pod "p" is waiting to start: ContainerCreating'):
        read(bench)


def test_a_container_that_ran_without_a_word_has_an_empty_log(bench: Bench) -> None:
    bench.report(1)
    bench.spool.tick()
    assert b"".join(read(bench)) == b""


@pytest.mark.parametrize("container", ["third", "../second", "first.log", ""])
def test_unknown_containers_are_not_found(bench: Bench, container: str) -> None:
    write(bench, "x", name="third.log")
    with pytest.raises(NotFound):
        read(bench, container)


def test_there_is_no_previous_log_before_a_restart(bench: Bench) -> None:
    write(bench, "one")
    with pytest.raises(NotFound, match="previous"):
        read(bench, Previous=True)


def test_a_link_in_the_place_of_a_log_is_not_followed(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (bench.folders.job(UID) / "logs" / "first.log").symlink_to(tmp_path / "secret")
    with pytest.raises(NotStarted):
        read(bench)


def test_a_follow_ends_with_the_container_and_has_its_last_words(bench: Bench) -> None:
    bench.report(1)
    bench.spool.tick()
    write(bench, "one")

    def go_on() -> None:
        time.sleep(0.3)
        write(bench, "two")
        bench.report(1, sequence=2, exit_code=0)
        bench.spool.tick()
        write(bench, "three")  # the file system is later than the spool

    thread = threading.Thread(target=go_on)
    thread.start()
    assert b"".join(read(bench, Follow=True)) == b"one\ntwo\nthree\n"
    thread.join()


@pytest.mark.parametrize("earlier", [{}, {"terminated": {"exitCode": 1, "containerID": "slurm://1/first/0"}}])
def test_a_follow_goes_on_while_a_post_start_hook_keeps_the_container_waiting(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, earlier: dict[str, Any]
) -> None:
    monkeypatch.setattr(logs, "_KEEP_ALIVE_SECONDS", 0.05)
    monkeypatch.setattr(logs, "_POLL_SECONDS", 0.02)
    begun = {"containerID": "slurm://1/first/1", "restartCount": 1, "lastState": earlier}
    bench.report(1, container={**begun, "state": {"waiting": {"reason": "ContainerCreating"}}})
    bench.spool.tick()
    write(bench, "one")
    chunks = read(bench, Follow=True)
    assert [next(chunks) for _ in range(3)] == [b"one\n", b"", b""]
    bench.report(1, sequence=2, container=begun)
    bench.spool.tick()
    write(bench, "two")
    assert next(chunk for chunk in chunks if chunk) == b"two\n"
    bench.report(1, sequence=3, exit_code=0, container=begun)
    bench.spool.tick()
    assert b"".join(chunks) == b""


def test_a_follow_does_not_wait_for_the_report_of_the_start_to_go_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_KEEP_ALIVE_SECONDS", 0.05)
    monkeypatch.setattr(logs, "_POLL_SECONDS", 0.02)
    write(bench, "one")
    chunks = read(bench, Follow=True)
    assert [next(chunks) for _ in range(2)] == [b"one\n", b""]
    bench.report(1, exit_code=0)
    bench.spool.tick()
    assert b"".join(chunks) == b""


@pytest.mark.parametrize("reason", ["CrashLoopBackOff", "ContainerCreating", "SlurmPending"])
def test_a_follow_of_a_run_that_ended_does_not_wait_for_the_next_one(bench: Bench, reason: str) -> None:
    ended = {"terminated": {"exitCode": 1, "containerID": "slurm://1/first/0"}}
    waits = {"state": {"waiting": {"reason": reason}}, "lastState": ended, "containerID": "slurm://1/first/0"}
    bench.report(1, container=waits)
    bench.spool.tick()
    write(bench, "one")
    assert b"".join(read(bench, Follow=True)) == b"one\n"


def test_a_follow_says_that_it_lives(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_KEEP_ALIVE_SECONDS", 0.1)
    monkeypatch.setattr(logs, "_POLL_SECONDS", 0.02)
    bench.report(1)
    bench.spool.tick()
    write(bench, "one")
    chunks = read(bench, Follow=True)
    assert [next(chunks) for _ in range(3)] == [b"one\n", b"", b""]
    chunks.close()  # type: ignore[attr-defined]


def test_half_a_line_waits_for_its_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_KEEP_ALIVE_SECONDS", 0.05)
    monkeypatch.setattr(logs, "_POLL_SECONDS", 0.01)
    bench.report(1)
    bench.spool.tick()
    write(bench, "one")
    path = bench.folders.job(UID) / "logs" / "first.log"
    with path.open("a") as file:
        file.write("2026-01-01T00:00:00Z stdout F tw")
    chunks = read(bench, Follow=True)
    assert [next(chunks), next(chunks)] == [b"one\n", b""]
    with path.open("a") as file:
        file.write("o\n")
    assert next(chunk for chunk in chunks if chunk) == b"two\n"
    bench.report(1, sequence=2, exit_code=0)
    bench.spool.tick()
    assert b"".join(chunks) == b""
