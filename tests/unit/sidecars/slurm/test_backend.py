"""The whole sidecar with its threads on a fake site: the contract of all sidecars, and a pod's whole way."""

import dataclasses
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from interlink.config import Config
from interlink.config.entries import FlavorConfig
from interlink.core.job.states import JobPhase
from interlink.core.plan import Report
from interlink.sidecars.backend import NotFound, Unavailable
from interlink.sidecars.slurm import backend as module
from interlink.sidecars.slurm.backend import SlurmBackend
from interlink.sidecars.slurm.fake import FakeSlurm
from interlink.sidecars.slurm.transport.host import LocalHost
from interlink.wire.messages import Accelerator, LogOptions, LogRequest, PodStatus, RetrievedPodData
from tests.unit.sidecars.contract import UID, BackendContract, make_pod, wait_for_status


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setattr(module, "runner_bundle", lambda: b"# the pod runner\n")
    return dataclasses.replace(
        Config(), data_root_folder=tmp_path / "shared", state_folder=tmp_path / "state", slurm_poll_seconds=0.05
    )


@pytest.fixture
def site() -> FakeSlurm:
    return FakeSlurm()


@pytest.fixture
def backend(config: Config, site: FakeSlurm) -> Iterator[SlurmBackend]:
    backend = SlurmBackend(config, site)
    backend.start()
    yield backend
    backend.close()


class TestSlurmBackend(BackendContract):
    """The contract, on Slurm."""


def test_capacity_is_the_sites_whole(backend: SlurmBackend) -> None:
    resources = backend.ping().resources
    assert resources is not None
    assert (resources.cpu, resources.memory, resources.pods) == ("32", "65536Mi", "10000")
    assert resources.accelerators == [Accelerator(resourceType="nvidia.com/gpu", available="6")]


def test_a_ping_tells_of_the_partitions_and_flavors_that_it_asks_about(config: Config, site: FakeSlurm) -> None:
    flavors = {"here": FlavorConfig(partition=site.partition), "gone": FlavorConfig(partition="gone")}
    backend = SlurmBackend(dataclasses.replace(config, flavors=flavors), site)
    reply = backend.ping([site.partition, "gone"], ["here", "gone", "unknown"])
    assert reply.partitions is not None
    assert {name: offer.cpu for name, offer in reply.partitions.items()} == {site.partition: "32"}
    assert reply.flavors is not None
    assert {name: offer.memory for name, offer in reply.flavors.items()} == {"here": "65536Mi"}
    assert backend.ping().partitions is None
    backend.close()


def test_a_partition_is_asked_for_now_and_then_only(backend: SlurmBackend, site: FakeSlurm) -> None:
    for _ in range(3):
        backend.ping([site.partition, "gone"])
    assert site.calls.count("totals") == 3, "the whole, and each of the two"


def test_a_flavors_partition_that_is_not_there_does_not_cost_the_node(config: Config, site: FakeSlurm) -> None:
    config = dataclasses.replace(config, flavors={"f": FlavorConfig(partition="gone")})
    backend = SlurmBackend(config, site)
    resources = backend.ping().resources
    assert resources is not None
    assert resources.cpu == "32"
    backend.close()


def test_a_pods_whole_way(backend: SlurmBackend, site: FakeSlurm, config: Config) -> None:
    backend.create(RetrievedPodData(pod=make_pod()))
    assert site.requests[1].script.count(str(config.data_root_folder / "runner" / "pod_runner-")) == 1
    site.move(1, "RUNNING")
    folder = config.data_root_folder / "jobs" / UID
    (folder / "logs").mkdir()
    (folder / "logs" / "first.log").write_text("2026-01-01T00:00:00Z stdout F hello\n")

    def report(sequence: int, state: dict[str, object], *, finished: bool) -> None:
        containers = [{"name": name, "state": state, "restartCount": 0} for name in ("first", "second")]
        data = Report(uid=UID, job_id="1", sequence=sequence, time="", containers=containers, finished=finished)
        path = config.data_root_folder / "spool" / f"{UID}.1.{sequence}.json"
        LocalHost().write(path, msgspec.json.encode(data))

    report(1, {"running": {}}, finished=False)
    wait_for_status(backend, UID, lambda status: "running" in status.containers[0]["state"])
    request = LogRequest(Namespace="ns", PodUID=UID, PodName="p", ContainerName="first", Opts=LogOptions(Follow=True))
    chunks = backend.logs(request)
    assert next(chunks) == b"hello\n"
    report(2, {"terminated": {"exitCode": 3}}, finished=True)
    assert list(chunks) == []
    site.move(1, "FAILED")
    status = wait_for_status(backend, UID, lambda status: status.ended)
    assert [item["state"]["terminated"]["exitCode"] for item in status.containers] == [3, 3]
    backend.delete(make_pod())


def test_away_and_back(backend: SlurmBackend, site: FakeSlurm) -> None:
    backend.create(RetrievedPodData(pod=make_pod()))
    site.away = "Unable to contact slurm controller"
    time.sleep(0.3)
    with pytest.raises(Unavailable, match="Unable to contact"):
        backend.ping()
    backend.delete(make_pod())
    time.sleep(0.3)
    assert site.jobs_now()[1].phase is JobPhase.PENDING
    site.away = ""
    wait_for_status(backend, UID, lambda status: status.ended)
    assert site.living() == {}


def test_many_pods_many_threads_one_job_each(backend: SlurmBackend, site: FakeSlurm) -> None:
    pods = [make_pod(f"00000000-0000-0000-0000-{number:012d}") for number in range(100)]

    def work(part: int) -> None:
        for pod in pods[part::5] + pods[(part + 1) % 5 :: 5]:
            backend.create(RetrievedPodData(pod=pod))

    threads = [threading.Thread(target=work, args=(part,)) for part in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(site.living()) == 100
    for pod in pods:
        backend.delete(pod)
    deadline = time.monotonic() + 10
    while not all(status.ended for status in backend.statuses(pods)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert site.living() == {}


def test_uids_that_are_none_reach_no_path(backend: SlurmBackend) -> None:
    pod = make_pod("../../etc")
    backend.delete(pod)
    assert backend.statuses([pod]) == []
    with pytest.raises(NotFound):
        backend.logs(LogRequest(Namespace="ns", PodUID="../../etc", PodName="p", ContainerName="first"))


def test_a_full_answer_is_what_disk_and_memory_have(config: Config, site: FakeSlurm, backend: SlurmBackend) -> None:
    other = "99999999-2222-3333-4444-555555555555"
    for uid in (UID, other):
        backend.create(RetrievedPodData(pod=make_pod(uid)))
    site.move(1, "CANCELLED")
    wait_for_status(backend, UID, lambda status: status.ended, within=15)
    statuses: list[PodStatus] = backend.changes(None, 0).statuses
    assert sorted((status.UID, status.ended) for status in statuses) == [(UID, True), (other, False)]
    backend.close()
    again = SlurmBackend(config, site)
    assert sorted((s.UID, s.ended) for s in again.changes(None, 0).statuses) == [(UID, True), (other, False)]
    again.close()


def test_a_waiting_poll_ends_with_the_backend(backend: SlurmBackend) -> None:
    cursor = backend.changes(None, 0).cursor
    ended: list[float] = []

    def poll() -> None:
        backend.changes(cursor, 30)
        ended.append(time.monotonic())

    threads = [threading.Thread(target=poll) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    assert ended == []
    begun = time.monotonic()
    backend.close()
    for thread in threads:
        thread.join(5)
    assert len(ended) == 3
    assert max(ended) - begun < 5, "a sixth of what they would have waited"
