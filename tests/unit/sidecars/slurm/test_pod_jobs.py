"""The jobs that are pods', whosever they are, and their end; a stranger's folder is no reason to stop."""

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from interlink.core.plan import PlanRecord
from interlink.core.pod.facts import PodFacts
from interlink.sidecars.slurm.driver import SlurmRefused
from interlink.sidecars.slurm.fake import FakeSlurm
from interlink.sidecars.slurm.folders import JobFolders
from interlink.sidecars.slurm.pod_jobs import end_jobs, pod_jobs
from interlink.sidecars.slurm.transport.host import Host, HostUnavailable, LocalHost
from tests.unit.sidecars.slurm.driver_contract import make_request

UIDS = [f"0a0b0c0d-0000-4000-8000-00000000000{number}" for number in range(4)]


class Closed(LocalHost):
    """A user whom the service may not become."""

    def call(self, *_: object, **__: object) -> tuple[object, bytes]:
        raise HostUnavailable("sudo: a password is required")


class Site:
    """Jobs of the service's user and of alice; mallory has made a folder in users/ and lets nobody in."""

    def __init__(self, root: Path) -> None:
        hosts: dict[str, Host] = {"mallory": Closed()}
        self.owners = {UIDS[1]: "alice", UIDS[2]: "alice"}
        self.folders = JobFolders(
            root,
            host_of=lambda user: hosts.setdefault(user, LocalHost()),
            owner=lambda uid: self.owners.get(uid, ""),
        )
        self.folders.prepare()
        self.driver = FakeSlurm()

    def job(self, uid: str, *, folder: bool = True) -> int:
        """Submit a pod's job, with its folder."""
        if folder:
            facts = PodFacts(namespace="ns", name=f"p{uid[-1]}", uid=uid)
            record = PlanRecord(pod=facts, created_at=1)
            self.folders.write_job(uid, msgspec.json.encode({"record": record}))
        return self.driver.submit(make_request(Path("/x"), comment=uid))

    def stranger(self) -> None:
        """Make mallory's folder."""
        (self.folders.root / "users" / "mallory").mkdir()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "root")


def test_every_users_jobs_are_found_and_no_others(site: Site) -> None:
    for uid in UIDS[:3]:
        site.job(uid)
    site.driver.move(site.job(UIDS[2]), "COMPLETED")
    site.job(UIDS[3], folder=False)  # another sidecar's
    site.driver.submit(make_request(Path("/x"), comment="mine"))
    found = [(job.job_id, job.user, job.pod, job.state) for job in pod_jobs(site.folders, site.driver)]
    assert found == [(1, "", "ns/p0", "PENDING"), (2, "alice", "ns/p1", "PENDING"), (3, "alice", "ns/p2", "PENDING")]


def test_looking_writes_nothing(site: Site) -> None:
    site.job(UIDS[1])
    before = sorted(site.folders.root.rglob("*"))
    pod_jobs(site.folders, site.driver)
    assert sorted(site.folders.root.rglob("*")) == before
    assert pod_jobs(JobFolders(site.folders.root / "nowhere", host_of=lambda _: LocalHost()), site.driver) == []


def test_a_user_who_cannot_be_become_matters_only_where_jobs_may_be_that_users(site: Site) -> None:
    site.job(UIDS[1])
    site.stranger()
    assert [job.user for job in pod_jobs(site.folders, site.driver)] == ["alice"]
    site.job(UIDS[3], folder=False)
    with pytest.raises(OSError, match=r"the jobs 2 may be pods'.*a password is required"):
        pod_jobs(site.folders, site.driver)


def test_jobs_are_ended_and_those_that_do_not_end_are_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.job(UIDS[0])
    site.job(UIDS[1])
    assert end_jobs(pod_jobs(site.folders, site.driver), site.driver, within=5) == []
    assert pod_jobs(site.folders, site.driver) == []
    slow = site.job(UIDS[2])
    monkeypatch.setattr(site.driver, "cancel", lambda _: None)
    left = end_jobs(pod_jobs(site.folders, site.driver), site.driver, within=0)
    assert [job.job_id for job in left] == [slow]


def test_the_end_is_waited_for(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = site.job(UIDS[0])
    ends: Callable[[int], object] = lambda _: threading.Timer(0.2, site.driver.move, (job_id, "CANCELLED")).start()  # noqa: E731
    monkeypatch.setattr(site.driver, "cancel", ends)
    assert end_jobs(pod_jobs(site.folders, site.driver), site.driver, within=10) == []


def test_a_refusal_of_slurms_is_not_swallowed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise SlurmRefused("Access/permission denied")

    site.job(UIDS[1])
    monkeypatch.setattr(site.driver, "cancel", refuse)
    with pytest.raises(SlurmRefused, match="denied"):
        end_jobs(pod_jobs(site.folders, site.driver), site.driver, within=1)
