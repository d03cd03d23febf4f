"""The child that owns pyslurm: deadlines, deaths, errors by type; with a module of pyslurm's name in its place."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from interlink.sidecars.slurm.driver import (
    Capacity,
    JobRequest,
    SlurmFull,
    SlurmRefused,
    SlurmTimedOut,
    SlurmUnavailable,
)
from interlink.sidecars.slurm.drivers.child_process import ChildProcess
from interlink.sidecars.slurm.drivers.pyslurm_process import PyslurmDriver
from interlink.sidecars.slurm.drivers.slurm_errors import REFUSALS, failure, submit_failure
from tests.unit.sidecars.slurm.driver_contract import make_request

ROOT = Path(__file__).parents[4]


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent / 'fake_pyslurm'}:{ROOT}")


@pytest.fixture
def driver(path: None) -> Iterator[PyslurmDriver]:
    driver = PyslurmDriver(call_timeout=10)
    yield driver
    driver.close()


def job(script: str = "#!/bin/sh") -> JobRequest:
    return make_request(Path("/tmp"), script=script)


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_job_goes_there_and_its_facts_come_back(driver: PyslurmDriver) -> None:
    request = job()
    assert driver.submit(request) == 1
    facts = driver.jobs()
    assert list(facts) == [1]
    assert (facts[1].uid, facts[1].state, facts[1].time_limit_minutes, facts[1].nodes) == (
        request.comment, "RUNNING", 5, "c1",
    )  # fmt: skip
    assert (facts[1].start_time, facts[1].end_time, facts[1].exit_code) == (2.0, None, None)
    driver.cancel(1)
    assert driver.jobs()[1].end_time == 9.0
    assert driver.history([1]) == {}


def test_signals(driver: PyslurmDriver) -> None:
    driver.submit(job())
    assert driver.signal(1, "TERM") is True
    assert driver.signal(2020, "TERM") is False
    assert driver.signal(77, "TERM") is True
    driver.cancel(77)
    with pytest.raises(SlurmRefused, match="denied"):
        driver.cancel(13)


def test_totals(driver: PyslurmDriver) -> None:
    assert driver.totals("") == Capacity(cpus=16, memory_mib=2000, nodes=2, gres={"gpu:a100": 6, "gpu": 1})
    short = Capacity(cpus=8, memory_mib=1000, nodes=1, gres={"gpu:a100": 4, "gpu": 1})
    assert driver.totals("short") == short
    assert driver.totals(",short") == driver.totals("")
    with pytest.raises(SlurmRefused, match="no partition no-such-one; there are: main, short"):
        driver.totals("no-such-one")


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        ("fail 2014 Requested node configuration is not available", SlurmRefused, "Requested node configuration"),
        ("fail 2050 Job violates accounting/QOS policy", SlurmFull, "violates accounting"),
        ("limit QOSMaxCpuPerJobLimit", SlurmRefused, r"violates accounting/QOS policy \(QOSMaxCpuPerJobLimit\)"),
        ("limit QOSMaxSubmitJobPerUserLimit", SlurmFull, r"QOS policy \(QOSMaxSubmitJobPerUserLimit\)"),
        ("fail 2007 MaxJobCount limit reached", SlurmFull, "MaxJobCount"),
        ("fail 1001 Communication connection failure", SlurmUnavailable, "connection failure"),
        ("fail 111 Connection refused", SlurmUnavailable, "Connection refused"),
        ("fail 5004 Socket timed out on send/recv operation", SlurmTimedOut, "Socket timed out"),
        ("fail 9999 A number of tomorrow", SlurmUnavailable, "of tomorrow"),
        ("bad", SlurmRefused, "Batch script is empty"),
        ("mistyped", SlurmRefused, "expected str"),
        ("late", SlurmUnavailable, "after the submit"),
        ("odd", SlurmUnavailable, "RuntimeError: something else"),
        ("die", SlurmTimedOut, "process ended"),
    ],
)
def test_errors_say_what_to_do_and_the_driver_goes_on(
    driver: PyslurmDriver, script: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as raised:
        driver.submit(job(script))
    assert type(raised.value) is error
    assert driver.submit(job()) == 1


def test_a_job_of_another_user_is_refused_before_slurm_hears_of_it(driver: PyslurmDriver) -> None:
    with pytest.raises(SlurmRefused, match="user alice's: pyslurm submits for its own user only"):
        driver.submit(make_request(Path("/tmp"), user="alice"))
    assert driver.jobs() == {}


def test_what_libslurm_prints_during_a_submit_is_logged_all_the_same(
    driver: PyslurmDriver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(SlurmFull):
        driver.submit(job("limit AssocMaxSubmitJobLimit"))
    eventually(lambda: "error: AssocMaxSubmitJobLimit" in caplog.text)


def test_a_hung_call_ends_at_its_deadline_for_all_and_logs_once(path: None, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    driver = PyslurmDriver(call_timeout=1)
    driver.jobs()
    begun, failed = time.monotonic(), []

    def hang() -> None:
        try:
            driver.submit(job("hang"))
        except SlurmUnavailable as error:
            failed.append(str(error))

    threads = [threading.Thread(target=hang) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failed) == 4
    assert all("no answer within 1 s" in words for words in failed)
    assert time.monotonic() - begun < 4
    assert driver.submit(job()) == 1
    assert len([record for record in caplog.records if "ended" in record.message]) == 1
    driver.close()


def test_a_killed_child_fails_all_calls_under_way_as_unanswered(driver: PyslurmDriver) -> None:
    driver.jobs()
    child = driver._child
    assert child
    failed: list[Exception] = []

    def fail(call: Callable[[], object]) -> None:
        with pytest.raises(SlurmTimedOut) as caught:
            call()
        failed.append(caught.value)

    calls: list[Callable[[], object]] = [lambda: driver.submit(job("hang")), driver.jobs, driver.jobs]
    threads = [threading.Thread(target=fail, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    eventually(lambda: len(child._waiting) == 3)
    os.kill(child.pid, signal.SIGKILL)
    for thread in threads:
        thread.join()
    assert len(failed) == 3
    assert driver.submit(job()) == 1


def test_a_call_behind_a_slow_one_is_left_time_of_its_own(driver: PyslurmDriver) -> None:
    driver.jobs()
    driver._timeout = 4.0
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(driver.submit, job("slow 2.5"))
        eventually(lambda: driver._child is not None and driver._child.busy)
        second = pool.submit(driver.submit, job("slow 2"))
        assert [first.result(), second.result()] == [1, 2]


def test_calls_that_wait_for_their_turn_longer_than_the_deadline_were_not_made(path: None) -> None:
    driver = PyslurmDriver(call_timeout=1)
    driver.jobs()
    for _ in range(4):  # as many as may be under way
        driver._turns.acquire()
    with pytest.raises(SlurmUnavailable, match="earlier calls still wait") as caught:
        driver.submit(job())
    assert not isinstance(caught.value, SlurmTimedOut)
    driver._turns.release()
    assert driver.submit(job()) == 1
    driver.close()


def test_each_of_many_threads_gets_its_own_answers(driver: PyslurmDriver) -> None:
    wanted = {"": 16, "short": 8}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda name: (name, driver.totals(name).cpus), ["", "short"] * 200))
    assert all(wanted[name] == cpus for name, cpus in answers)


#: Answers two calls in reverse order, each with its own body, and only when it has both.
REVERSER = """
import sys
from interlink.sidecars.slurm.drivers.messages import HELLO, pack, read_frame
out = sys.stdout.buffer
out.write(pack(0, HELLO)); out.flush()
frames = [read_frame(sys.stdin.buffer) for _ in range(2)]
for number, body in reversed(frames):
    out.write(pack(number, body))
out.write(pack(99, b"nobody asked")); out.flush()
read_frame(sys.stdin.buffer)
"""


def test_a_second_call_lies_in_the_childs_pipe_while_it_is_at_the_first_and_numbers_match_answers(path: None) -> None:
    child = ChildProcess((sys.executable, "-c", REVERSER))
    child.hello(10)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda n: child.exchange(n, f"{n}".encode(), 10), (1, 2))) == [b"1", b"2"]
    with pytest.raises(OSError, match="answered a call, 99, that nobody waits for"):
        child.exchange(3, b"", 10)
    child.close()


def test_a_call_larger_than_the_pipe_ends_at_its_deadline_where_the_child_does_not_read(path: None) -> None:
    child = ChildProcess((sys.executable, "-c", REVERSER.replace("frames =", "import time; time.sleep(60)  #")))
    child.hello(10)
    with pytest.raises(TimeoutError):
        child.exchange(1, bytes(2**20), 0.3)
    child.close()
    with pytest.raises(OSError, match="ended"):
        child.exchange(2, b"", 1)


def test_a_site_without_slurm_conf_says_so(path: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_NO_CONF", "1")
    driver = PyslurmDriver(call_timeout=5)
    with pytest.raises(SlurmUnavailable, match=r"does not start: .*Unable to find slurm\.conf"):
        driver.jobs()


def test_no_pyslurm_at_all_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with pytest.raises(SlurmUnavailable, match="pyslurm"):
        PyslurmDriver(call_timeout=5).jobs()


def test_a_command_that_cannot_be_started_is_an_error_not_a_wait() -> None:
    with pytest.raises(SlurmUnavailable, match="no-such-python"):
        PyslurmDriver(command=("/no-such-python",)).jobs()


def test_after_close_nothing_is_started(driver: PyslurmDriver) -> None:
    driver.jobs()
    driver.close()
    with pytest.raises(SlurmUnavailable, match=r"stopping|ended"):
        driver.jobs()
    with pytest.raises(SlurmUnavailable, match="stopping"):
        driver.jobs()


def test_the_child_outlives_the_thread_that_made_it_start(driver: PyslurmDriver) -> None:
    thread = threading.Thread(target=driver.submit, args=(job(),))
    thread.start()
    thread.join()
    time.sleep(0.2)
    assert list(driver.jobs()) == [1]  # the same child: it knows the job


def test_the_child_dies_with_a_killed_parent_even_in_a_call(path: None) -> None:
    code = (
        "import threading, json, time\n"
        "from pathlib import Path\n"
        "from interlink.sidecars.slurm.drivers.pyslurm_process import PyslurmDriver\n"
        "from tests.unit.sidecars.slurm.driver_contract import make_request\n"
        "driver = PyslurmDriver(30)\n"
        "driver.jobs()\n"
        "threading.Thread(target=driver.submit, args=(make_request(Path('/tmp'), script='hang'),)).start()\n"
        "time.sleep(0.3)\n"
        "print(json.dumps(driver._child.pid), flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        child = json.loads(parent.stdout.readline())
        os.kill(child, 0)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    for _ in range(100):
        try:
            if Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return
        except (FileNotFoundError, ProcessLookupError):
            return
        time.sleep(0.05)
    raise AssertionError("the child lives on")


@pytest.mark.parametrize(
    ("number", "refused"),
    [(2, False), (1805, False), (2000, True), (2007, False), (5004, False), (6001, False), (7000, False), (9999, True)],
)
def test_error_numbers(number: int, refused: bool) -> None:
    assert failure(number, None).refused is refused
    assert str(number) in failure(number, "").words


@pytest.mark.parametrize("number", [2000, 2001, 2002, 2014, 2015, 2045, 2048, 2051, 2066, 2072, 2119, 8000])
def test_a_submit_is_refused_by_the_numbers_that_say_so(number: int) -> None:
    assert submit_failure(number, None).refused
    assert not submit_failure(number, None).unanswered


@pytest.mark.parametrize(
    ("number", "unanswered"),
    [
        *((number, True) for number in (-1, 104, 110, 1003, 1023, 1802, 5003, 5004, 5005, 5999, 6000, 6999)),
        *((number, False) for number in (111, 1001, 1021, 1800, 2007, 2050, 2105, 4034, 7000, 7008, 9999)),
    ],
)
def test_every_other_number_leaves_a_submit_in_doubt(number: int, unanswered: bool) -> None:
    answer = submit_failure(number, "words of Slurm's")
    assert (answer.refused, answer.unanswered, answer.words) == (False, unanswered, "words of Slurm's")


def test_no_refusal_is_a_number_of_silence() -> None:
    assert not [number for number in REFUSALS if number < 2000 or 5000 <= number <= 7000]


@pytest.mark.parametrize("size", [{"cpus": 2**40}, {"cpus": 2**70}, {"cpus": 0xFFFE}, {"memory_mib": 2**63 + 1}])
def test_an_absurd_size_is_a_refusal_in_words(driver: PyslurmDriver, size: dict[str, int]) -> None:
    with pytest.raises(SlurmRefused, match=r"such a job cannot be described to Slurm: (CPUs|memory).*too large"):
        driver.submit(make_request(Path("/tmp"), **size))
    assert driver.submit(job()) == 1


def test_accounting_that_is_away_is_not_nothing_known(path: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_ACCOUNTING", "down")
    driver = PyslurmDriver(call_timeout=10)
    with pytest.raises(SlurmUnavailable, match="slurmdbd does not answer: Failed to get Jobs"):
        driver.history([1])
    driver.close()


def test_accounting_says_who_cancelled_a_job(path: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_ACCOUNTING", "up")
    driver = PyslurmDriver(call_timeout=10)
    assert [job.cancelled_by for job in driver.history([1, 2, 3, 4]).values()] == [0, 4711, None, None]
    driver.close()
