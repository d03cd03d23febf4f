"""What every Slurm driver keeps to: the same tests for the fake and, on the test bed, for the real ones.

A test class inherits ``DriverContract``, gives the fixture ``driver`` (a site where a small job can start), and says
how a job is made to run (``make_running``): a real site does it by itself.
"""

import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from interlink.core.job.facts import JobFacts
from interlink.core.job.states import JobPhase
from interlink.sidecars.slurm.driver import JobRequest, SlurmDriver, SlurmRefused

NO_SUCH_JOB = 67_000_000
#: Ends well on TERM, and by itself after a while.
SCRIPT = "#!/bin/bash\ntrap 'exit 0' TERM\necho ready\nfor _ in $(seq 300); do sleep 0.1; done\n"


def make_request(folder: Path, **changes: object) -> JobRequest:
    """Return a small job with a comment of its own."""
    values: dict[str, object] = {
        "name": "contract-test",
        "comment": str(uuid.uuid4()),
        "script": SCRIPT,
        "working_directory": str(folder),
        "output": str(folder / "batch.log"),
        "cpus": 1,
        "memory_mib": 64,
        "time_limit_minutes": 5,
        "environment": {"PATH": "/usr/bin:/bin"},
    }
    return JobRequest(**{**values, **changes})  # type: ignore[arg-type]


def wait_for_job(driver: SlurmDriver, job_id: int, good: Callable[[JobFacts], bool], within: float = 30) -> JobFacts:
    """Poll until the job's facts are good."""
    deadline = time.monotonic() + within
    while True:
        job = driver.jobs().get(job_id)
        if job is not None and good(job):
            return job
        assert time.monotonic() < deadline, f"job {job_id} within {within} s: {job}"
        time.sleep(0.1)


class DriverContract:
    """Submit, look, signal, cancel; errors by type, in Slurm's words."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """A folder where jobs may write."""
        return tmp_path

    def make_running(self, driver: SlurmDriver, job_id: int) -> None:
        """Let the job start."""
        wait_for_job(driver, job_id, lambda job: job.phase is JobPhase.RUNNING)

    def wait_ready(self, folder: Path) -> None:
        """Wait until the job's script has set its trap: Slurm says RUNNING before there is a process."""

    def after_term(self, driver: SlurmDriver, job_id: int) -> None:
        """Let the job do what its script does on TERM."""

    def test_a_job_is_found_by_its_comment(self, driver: SlurmDriver, folder: Path) -> None:
        request = make_request(folder)
        job_id = driver.submit(request)
        try:
            job = driver.jobs()[job_id]
            assert (job.job_id, job.uid, job.time_limit_minutes) == (job_id, request.comment, 5)
            assert job.phase in (JobPhase.PENDING, JobPhase.RUNNING)
            assert job.end_time is None
            assert job.submit_time is not None
            assert abs(job.submit_time - time.time()) < 60
        finally:
            driver.cancel(job_id)

    def test_a_running_job_says_since_when_and_where(self, driver: SlurmDriver, folder: Path) -> None:
        job_id = driver.submit(make_request(folder))
        try:
            self.make_running(driver, job_id)
            job = driver.jobs()[job_id]
            assert job.start_time is not None
            assert abs(job.start_time - time.time()) < 60
            assert job.nodes
        finally:
            driver.cancel(job_id)

    def test_every_submit_is_a_job_of_its_own_from_any_thread(self, driver: SlurmDriver, folder: Path) -> None:
        ids: list[int] = []
        threads = [threading.Thread(target=lambda: ids.append(driver.submit(make_request(folder)))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        try:
            assert len(set(ids)) == 6
            assert set(ids) <= set(driver.jobs())
        finally:
            for job_id in ids:
                driver.cancel(job_id)

    def test_a_cancelled_job_is_over(self, driver: SlurmDriver, folder: Path) -> None:
        job_id = driver.submit(make_request(folder))
        self.make_running(driver, job_id)
        driver.cancel(job_id)
        job = wait_for_job(driver, job_id, lambda job: job.phase is JobPhase.ENDED)
        assert job.state == "CANCELLED"
        assert job.end_time is not None
        driver.cancel(job_id)
        assert driver.signal(job_id, "TERM") is True

    def test_term_reaches_the_batch_script(self, driver: SlurmDriver, folder: Path) -> None:
        job_id = driver.submit(make_request(folder))
        self.make_running(driver, job_id)
        self.wait_ready(folder)
        assert driver.signal(job_id, "TERM") is True
        self.after_term(driver, job_id)
        job = wait_for_job(driver, job_id, lambda job: job.phase is JobPhase.ENDED, within=15)
        assert job.state == "COMPLETED"

    def test_kill_ends_a_script_that_ignores_term(self, driver: SlurmDriver, folder: Path) -> None:
        script = "#!/bin/bash\ntrap '' TERM\necho ready\nfor _ in $(seq 300); do sleep 0.1; done\n"
        job_id = driver.submit(make_request(folder, script=script))
        self.make_running(driver, job_id)
        self.wait_ready(folder)
        assert driver.signal(job_id, "KILL") is True
        driver.cancel(job_id)
        wait_for_job(driver, job_id, lambda job: job.phase is JobPhase.ENDED, within=8)

    def test_a_pending_job_cannot_be_signalled_but_cancelled(self, driver: SlurmDriver, folder: Path) -> None:
        totals = driver.totals("")
        whole_nodes = [
            driver.submit(make_request(folder, cpus=totals.cpus // totals.nodes)) for _ in range(totals.nodes)
        ]
        for whole in whole_nodes:
            self.make_running(driver, whole)
        job_id = driver.submit(make_request(folder))
        try:
            job = wait_for_job(driver, job_id, lambda job: bool(job.reason))
            assert job.phase is JobPhase.PENDING
            assert driver.signal(job_id, "TERM") is False
            driver.cancel(job_id)
            assert wait_for_job(driver, job_id, lambda job: job.phase is JobPhase.ENDED).state == "CANCELLED"
        finally:
            for whole in whole_nodes:
                driver.cancel(whole)

    def test_jobs_that_never_were_are_no_error(self, driver: SlurmDriver) -> None:
        driver.cancel(NO_SUCH_JOB)
        assert driver.signal(NO_SUCH_JOB, "TERM") is True
        assert driver.history([NO_SUCH_JOB]) == {}

    @pytest.mark.parametrize("impossible", [{"memory_mib": 10**9}, {"partition": "no-such-one"}])
    def test_what_slurm_refuses_comes_with_its_words_and_never_runs(
        self, driver: SlurmDriver, folder: Path, impossible: dict[str, object]
    ) -> None:
        request = make_request(folder, **impossible)
        with pytest.raises(SlurmRefused, match=r"\w{4}"):
            driver.submit(request)
        left = [job for job in driver.jobs().values() if job.uid == request.comment]
        assert [job for job in left if job.phase is not JobPhase.ENDED or job.nodes] == []

    def test_totals_are_of_one_partition(self, driver: SlurmDriver) -> None:
        totals = driver.totals("")
        assert min(totals.cpus, totals.memory_mib, totals.nodes) > 0
        with pytest.raises(SlurmRefused, match="no-such-one"):
            driver.totals("no-such-one")
