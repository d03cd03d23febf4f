"""The Slurm sidecar alone on real Slurm while things break: never lost, never doubled."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.sidecar import Json, Sidecar, own_sidecar, small_pod, state_of
from tests.e2e.site import frozen, setting
from tests.e2e.slurm import Slurm
from tests.e2e.waiting import wait_for
from tests.testbed.bed import Bed

#: Shorter than the outage of the test.
CALL_TIMEOUT, OUTAGE = 3, 10


@pytest.fixture
def sidecar(bed: Bed) -> Iterator[Sidecar]:
    with own_sidecar(bed, SlurmCallTimeout=CALL_TIMEOUT) as sidecar:
        yield sidecar


def exit_code(status: Json) -> int:
    return int(state_of(status)["terminated"]["exitCode"])


def wait_running(sidecar: Sidecar, pod: Json) -> None:
    wait_for("it to run", lambda: "running" in state_of(sidecar.status(pod)))


def uid_of(pod: Json) -> str:
    return str(pod["metadata"]["uid"])


def test_create_delete_and_status_may_be_asked_again_and_again(sidecar: Sidecar, slurm: Slurm) -> None:
    pod = small_pod("sleep 60")
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(sidecar.create, [pod] * 4))
    assert {code for code, _ in answers} == {200}
    assert len({answer["PodJID"] for _, answer in answers}) == 1
    assert len(slurm.jobs(uid_of(pod))) == 1
    assert sidecar.status(pod)["JID"] == sidecar.status(pod)["JID"] == answers[0][1]["PodJID"]
    assert [sidecar.delete(pod), sidecar.delete(pod)] == [200, 200]
    assert sidecar.wait_ended(pod)["ended"]
    assert sidecar.create(pod)[0] == 409
    assert sidecar.delete(pod) == 200
    assert slurm.living(uid_of(pod)) == {}


def test_a_batch_that_is_cut_off_by_a_kill_is_one_job_a_pod_when_it_is_sent_again(
    sidecar: Sidecar, slurm: Slurm
) -> None:
    pods = [small_pod("sleep 600") for _ in range(8)]
    malformed = {"metadata": {"name": "p", "namespace": "ns", "uid": "none"}, "spec": {"containers": []}}
    creations = [{"path": "/create", "body": {"pod": pod, "container": []}} for pod in [*pods, malformed]]
    with ThreadPoolExecutor(1) as threads:
        cut_off = threads.submit(sidecar.ask, "batch", {"calls": creations})
        wait_for("the first of its jobs", lambda: any(slurm.jobs(uid_of(pod)) for pod in pods))
        sidecar.kill()
        cut_off.result()
    sidecar.start()

    def outcome() -> list[int]:
        code, reply = sidecar.ask("batch", {"calls": creations})
        assert code == 200, reply
        seen = [answer["status"] for answer in reply["answers"]]
        assert set(seen) <= {200, 400, 503}, reply
        return seen

    # Whether Slurm has taken a submit that the kill cut off is in doubt for a while: 503 until that is known.
    wait_for("all of it to be taken", outcome, lambda seen: seen == [200] * 8 + [400], within=120)
    assert [len(slurm.jobs(uid_of(pod))) for pod in pods] == [1] * 8
    deletions = {"calls": [{"path": "/delete", "body": pod} for pod in pods]}
    assert [answer["status"] for answer in sidecar.ask("batch", deletions)[1]["answers"]] == [200] * 8
    for pod in pods:
        assert sidecar.wait_ended(pod)["ended"]
    assert [slurm.living(uid_of(pod)) for pod in pods] == [{}] * 8


def test_an_outage_longer_than_a_call_loses_and_doubles_nothing(sidecar: Sidecar, slurm: Slurm, bed: Bed) -> None:
    before, during, gone = small_pod(sidecar.until_let_go("exit 3")), small_pod("exit 0"), small_pod("sleep 600")
    assert sidecar.create(before)[0] == 200
    wait_running(sidecar, before)
    with ThreadPoolExecutor(2) as threads, frozen(bed, "slurmctld"):
        creating = [threads.submit(sidecar.create, pod) for pod in (during, gone)]
        wait_for("the deletion to be noted", lambda: sidecar.delete(gone) == 200)
        code, answer = creating[0].result()
        assert (code, "Slurm" in answer["description"]) == (503, True)
        assert creating[1].result()[0] in (409, 503)
        # The pod ends meanwhile, and its runner says so; only Slurm can say that its job is over.
        sidecar.let_go()
        wait_for("the container's end", lambda: "terminated" in state_of(sidecar.status(before)), within=OUTAGE + 20)
        assert not sidecar.status(before)["ended"]
    assert exit_code(sidecar.wait_ended(before)) == 3
    wait_for("the pod's job", lambda: sidecar.create(during)[0] == 200, within=120)
    assert exit_code(sidecar.wait_ended(during)) == 0
    assert sidecar.wait_ended(gone, within=120)["ended"]
    assert slurm.living(uid_of(gone)) == {}
    assert {len(slurm.jobs(uid_of(pod))) for pod in (before, during)} == {1}


def test_without_its_database_a_sidecar_knows_every_pod_by_slurm_and_the_job_folders(
    sidecar: Sidecar, slurm: Slurm, bed: Bed
) -> None:
    over, running = small_pod("exit 7"), small_pod(sidecar.until_let_go("exit 5"))
    jobs = [sidecar.create(pod)[1]["PodJID"] for pod in (over, running)]
    assert exit_code(sidecar.wait_ended(over)) == 7
    wait_running(sidecar, running)
    sidecar.kill()
    bed.site(["sh", "-c", f"rm {sidecar.state}/*"])
    sidecar.start()
    assert [sidecar.create(pod)[1]["PodJID"] for pod in (over, running)] == jobs
    sidecar.let_go()
    assert exit_code(sidecar.wait_ended(over)) == 7
    assert exit_code(sidecar.wait_ended(running)) == 5
    assert [len(slurm.jobs(uid_of(pod))) for pod in (over, running)] == [1, 1]


def test_a_job_that_slurmctld_has_forgotten_ended_as_its_report_or_slurmdbd_says(
    sidecar: Sidecar, slurm: Slurm, bed: Bed
) -> None:
    reported, killed = small_pod(sidecar.until_let_go("exit 4")), small_pod("sleep 600")
    for pod in (reported, killed):
        assert sidecar.create(pod)[0] == 200
        wait_running(sidecar, pod)
    sidecar.kill()
    sidecar.let_go()
    with setting(bed, "MinJobAge", "2"):
        # Its runner has no time for a last word.
        bed.site(["pkill", "-KILL", "--full", f"{sidecar.data}/jobs/{uid_of(killed)}"])
        uids = [uid_of(reported), uid_of(killed)]
        wait_for("Slurm to forget both", lambda: [slurm.jobs(uid) for uid in uids], lambda seen: seen == [{}, {}], 180)
        sidecar.start()
        assert exit_code(sidecar.wait_ended(reported)) == 4
        status = sidecar.wait_ended(killed)
    assert status["reason"] == "JobFailed", status
    assert exit_code(status) != 0


def test_a_full_disk_refuses_in_words_and_everything_goes_on_when_there_is_room(slurm: Slurm, bed: Bed) -> None:
    with own_sidecar(bed, disk="8m") as sidecar:
        first, second = small_pod(sidecar.until_let_go("exit 6")), small_pod("exit 0")
        assert sidecar.create(first)[0] == 200
        wait_running(sidecar, first)
        bed.site(["sh", "-c", f"dd if=/dev/zero of={sidecar.root}/filler bs=4096 2>/dev/null || true"])
        code, answer = sidecar.create(second)
        assert code == 503
        assert "disk" in answer["description"] or "space" in answer["description"]
        sidecar.let_go()
        running = ["sh", "-c", "ps axo args | grep '[e]xit 6' || true"]
        wait_for("the container's end", lambda: bed.site(running), lambda seen: not seen)
        assert sidecar.ask("changes")[0] == 200
        assert slurm.jobs(uid_of(second)) == {}
        bed.site(["rm", f"{sidecar.root}/filler"])
        assert exit_code(sidecar.wait_ended(first)) == 6
        assert sidecar.create(second)[0] == 200
        assert exit_code(sidecar.wait_ended(second)) == 0
        assert [len(slurm.jobs(uid_of(pod))) for pod in (first, second)] == [1, 1]
