"""Exactly one job per pod, whatever dies when."""

import contextlib
import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from interlink.core.plan import Plan
from interlink.sidecars.backend import Busy, Deleted, Refused, Unavailable
from interlink.sidecars.slurm.driver import JobRequest, SlurmTimedOut, SlurmUnavailable
from interlink.sidecars.slurm.fake import FakeSlurm
from interlink.sidecars.slurm.site import Site, Snapshot
from interlink.wire.messages import RetrievedPodData
from interlink.wire.pod import Pod
from tests.unit.sidecars.slurm.bench import UID, Bench, make_pod


class Died(BaseException):
    """A kill -9, as far as a test can have one."""


def test_a_job_carries_the_pods_uid_and_only_what_was_configured(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    os.environ["A_SECRET_OF_OURS"] = "x"
    reply = bench.create()
    assert (reply.PodUID, reply.PodJID) == (UID, "1")
    job = bench.driver.requests[1]
    assert (job.name, job.comment) == ("ns-p", UID)
    assert set(job.environment) == {"PATH"}
    assert job.working_directory == str(bench.folders.job(UID))
    assert job.script.startswith("#!")
    plan = bench.folders.plan(UID)
    assert msgspec.json.decode(plan.read_bytes(), type=Plan).uid == UID
    assert stat.S_IMODE(plan.stat().st_mode) == 0o600
    assert stat.S_IMODE(plan.parent.stat().st_mode) == 0o700
    assert bench.create().PodJID == "1"
    assert len(bench.driver.requests) == 1


def test_what_came_between_a_creates_first_look_and_its_intent_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    prepare = bench.submitter._prepare

    def meanwhile(change: Callable[[], object]) -> None:
        def and_then(request: RetrievedPodData) -> tuple[Plan, JobRequest]:
            monkeypatch.undo()
            change()
            return prepare(request)

        monkeypatch.setattr(bench.submitter, "_prepare", and_then)

    def another_create_and_its_end() -> None:
        bench.create()
        bench.driver.move(1, "COMPLETED")
        bench.reconciler.poll()

    meanwhile(another_create_and_its_end)
    with pytest.raises(Unavailable, match="came first"):
        bench.create()
    assert bench.create().PodJID == "1"
    assert (len(bench.driver.requests), bench.table.living) == (1, {})

    pod = make_pod(uid="0" * 8 + UID[8:])
    meanwhile(lambda: bench.lifecycle.delete(pod))
    with pytest.raises(Deleted):
        bench.create(pod)
    assert (len(bench.driver.requests), bench.table.living) == (1, {})


def test_killed_between_intent_and_submit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path)

    def die(request: JobRequest) -> int:
        raise Died

    monkeypatch.setattr(bench.driver, "submit", die)
    with pytest.raises(Died):
        bench.create()
    monkeypatch.undo()
    again = bench.restart(settle=0.05)
    with pytest.raises(Unavailable, match="looked up"):
        again.create()
    again.reconciler.poll()
    with pytest.raises(Unavailable, match="looked up"):
        again.create()  # too early: a submit on its way could still come
    time.sleep(0.06)
    again.reconciler.poll()
    assert again.create().PodJID == "1"
    assert len(bench.driver.requests) == 1


def test_killed_between_submit_and_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path)
    submit = FakeSlurm.submit

    def submit_and_die(request: JobRequest) -> int:
        submit(bench.driver, request)
        raise Died

    monkeypatch.setattr(bench.driver, "submit", submit_and_die)
    with pytest.raises(Died):
        bench.create()
    monkeypatch.undo()
    again = bench.restart()
    again.reconciler.poll()
    assert again.create().PodJID == "1"
    assert len(bench.driver.requests) == 1


def test_a_lost_reply_is_looked_up_not_repeated(tmp_path: Path) -> None:
    bench = Bench(tmp_path, settle=10)
    bench.driver.lose_reply = True
    with pytest.raises(Unavailable):
        bench.create()
    bench.driver.lose_reply = False
    with pytest.raises(Unavailable):
        bench.create()
    bench.reconciler.poll()
    assert bench.create().PodJID == "1"
    assert len(bench.driver.requests) == 1


def test_a_job_that_ran_and_was_forgotten_meanwhile_is_known_by_its_claim(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.driver.lose_reply = True
    with pytest.raises(Unavailable):
        bench.create()
    bench.driver.lose_reply = False
    bench.driver.forget(1)
    (bench.folders.job(UID) / "claim").write_text("1\n")
    bench.reconciler.poll()
    assert bench.create().PodJID == "1"


def test_a_refusal_says_slurms_words_and_leaves_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.driver.refuse = "Requested node configuration is not available"
    with pytest.raises(Refused, match=r"Requested node configuration is not available.*lower the pod's") as refused:
        bench.create()
    assert refused.value.reason == "SlurmRefused"
    assert bench.store.find(UID) is None
    assert list(bench.folders.uids()) == []
    assert bench.journal.after(None, 0).statuses == []
    bench.driver.refuse = ""
    bench.driver.lose_reply = True
    with pytest.raises(Unavailable):
        bench.create()
    bench.reconciler.poll()
    assert bench.create().PodJID == "2"  # and not 1, Slurm's record of the refused one


def test_a_limit_that_the_job_breaks_by_itself_says_what_to_change(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.driver.refuse = "Job violates accounting/QOS policy (…) (QOSMaxCpuPerJobLimit)"
    with pytest.raises(Refused, match=r"asks for more cores than the quality of service .*; lower the pod's cpu"):
        bench.create()


def test_a_full_queue_leaves_nothing_behind_and_nothing_in_doubt(tmp_path: Path) -> None:
    bench = Bench(tmp_path, settle=10)
    bench.driver.full = "Job violates accounting/QOS policy (…) (QOSMaxSubmitJobPerUserLimit)"
    with pytest.raises(
        Busy, match=r"Not yet submitted.*QOSMaxSubmitJobPerUserLimit.*as many jobs in the queue"
    ) as busy:
        bench.create()
    assert busy.value.reason == "SlurmPending"
    assert bench.store.find(UID) is None
    assert list(bench.folders.uids()) == []
    bench.driver.full = ""
    assert bench.create().PodJID == "1"  # at once: nothing has to be looked up


def test_a_pod_that_the_core_does_not_support_is_refused(tmp_path: Path) -> None:
    pod = make_pod()
    pod.spec.restartPolicy = "Sometimes"
    bench = Bench(tmp_path)
    with pytest.raises(Refused, match="Sometimes") as refused:
        bench.create(pod)
    assert refused.value.reason == "UnsupportedPod"
    pod.metadata.uid = "../../etc"
    with pytest.raises(Refused, match="UUID") as refused:
        bench.create(pod)
    assert refused.value.reason == "Refused"
    assert bench.driver.calls == []


def test_while_slurm_is_known_to_be_away_nobody_waits_for_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.driver.away = "Unable to contact slurm controller"
    assert bench.reconciler.poll() is False
    with pytest.raises(Unavailable, match="Unable to contact"):
        bench.create()
    assert bench.driver.calls == ["jobs"]
    assert bench.store.find(UID) is None
    bench.driver.away = ""
    bench.reconciler.poll()
    assert bench.create().PodJID == "1"


def test_a_full_disk_is_no_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bench.folders, "write_job", full)
    with pytest.raises(Unavailable, match="No space left"):
        bench.create()
    assert bench.store.find(UID) is None


def test_creates_at_once_submit_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.driver.hang = threading.Event()
    threads = [threading.Thread(target=bench.create) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    bench.driver.hang.set()
    for thread in threads:
        thread.join()
    assert len(bench.driver.requests) == 1


def test_a_delete_during_the_submit_ends_the_job(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.driver.hang = threading.Event()
    errors: list[BaseException] = []

    def create() -> None:
        try:
            bench.create()
        except Deleted as error:
            errors.append(error)

    thread = threading.Thread(target=create)
    thread.start()
    while "submit" not in bench.driver.calls:
        time.sleep(0.01)
    bench.lifecycle.delete(make_pod())
    assert not bench.live().gone
    bench.driver.hang.set()
    thread.join()
    assert len(errors) == 1
    bench.reconciler.poll()
    bench.lifecycle.act()
    bench.reconciler.poll()
    status = bench.status()
    assert status is not None
    assert status.ended
    assert bench.driver.living() == {}


def test_races_of_create_and_delete_leave_no_job(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for number in range(60):
        uid = f"00000000-0000-0000-0000-{number:012d}"
        pod = make_pod(uid)
        threads = [
            threading.Thread(target=_quietly, args=(bench.create, pod)),
            threading.Thread(target=_quietly, args=(bench.lifecycle.delete, pod)),
            threading.Thread(target=_quietly, args=(bench.create, pod)),
        ]
        for thread in threads if number % 2 else reversed(threads):
            thread.start()
        for thread in threads:
            thread.join()
    for _ in range(3):
        bench.reconciler.poll()
        bench.lifecycle.act()
    bench.reconciler.poll()
    assert bench.driver.living() == {}
    assert bench.table.living == {}


def _quietly(call: Callable[[Pod], object], pod: Pod) -> None:
    with contextlib.suppress(Deleted, Unavailable):
        call(pod)


def test_submit_time_out_then_no_job_then_submits_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path)

    def time_out(request: JobRequest) -> int:
        raise SlurmUnavailable("no answer within 15 s")

    monkeypatch.setattr(bench.driver, "submit", time_out)
    with pytest.raises(Unavailable, match="15 s"):
        bench.create()
    assert bench.status() is None
    monkeypatch.undo()
    bench.reconciler.poll()
    bench.reconciler.poll()
    assert bench.create().PodJID == "1"


@pytest.mark.parametrize("job_comes", [True, False])
def test_an_unanswered_submit_is_doubted_for_long_but_its_job_is_found_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job_comes: bool
) -> None:
    bench = Bench(tmp_path, unanswered=0.3)
    requests: list[JobRequest] = []

    def time_out(request: JobRequest) -> int:
        requests.append(request)
        raise SlurmTimedOut("no answer within 15 s")

    with monkeypatch.context() as patch:
        patch.setattr(bench.driver, "submit", time_out)
        with pytest.raises(Unavailable, match="15 s"):
            bench.create()
    bench.reconciler.poll()
    bench.reconciler.poll()
    with pytest.raises(Unavailable, match="looked up"):
        bench.create()
    if job_comes:  # the controller goes on with what it had in hand
        bench.driver.submit(requests[0])
    else:
        time.sleep(0.31)
    bench.reconciler.poll()
    assert bench.create().PodJID == "1"
    assert len(bench.driver.requests) == 1


def test_the_settling_times_of_a_real_site() -> None:
    site = Site(FakeSlurm())
    site.poll()
    since = time.monotonic()
    for unanswered, early, late in ((False, 1, 3), (True, 59, 61)):
        assert not site.is_final(Snapshot(since + early, {}), since, unanswered=unanswered)
        assert site.is_final(Snapshot(since + late, {}), since, unanswered=unanswered)


def test_a_claim_that_cannot_be_read_leaves_the_doubt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path)
    bench.driver.lose_reply = True
    with pytest.raises(Unavailable):
        bench.create()
    bench.driver.lose_reply = False
    bench.driver.forget(1)
    (bench.folders.job(UID) / "claim").write_text("1\n")

    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(bench.folders, "read", fail)
        bench.reconciler.poll()
        with pytest.raises(Unavailable, match="looked up"):
            bench.create()
    bench.reconciler.poll()
    assert bench.create().PodJID == "1"
