"""Slurm in memory: the driver that the tests use, with switches for everything that a real one does to us.

Shipped beside the real one and held to the same contract. Never used in a service.
"""

import itertools
import threading
import time
from collections.abc import Iterable

import msgspec

from interlink.core.job.facts import JobFacts
from interlink.core.job.states import JobPhase
from interlink.sidecars.slurm.driver import (
    Capacity,
    JobRequest,
    SlurmFull,
    SlurmRefused,
    SlurmTimedOut,
    SlurmUnavailable,
)


class FakeSlurm:
    """A site of one partition whose jobs move only when a test says so."""

    def __init__(self, capacity: Capacity | None = None, partition: str = "normal") -> None:
        self.capacity = capacity or Capacity(cpus=32, memory_mib=65_536, nodes=2, gres={"gpu:a100": 4, "gpu": 2})
        self.partition = partition
        #: Switches: Slurm's words when it refuses, is full or away, a submit whose reply is lost, and one that hangs.
        self.refuse = ""
        self.full = ""
        self.away = ""
        self.lose_reply = False
        self.hang: threading.Event | None = None
        self.requests: dict[int, JobRequest] = {}
        self.signals: list[tuple[int, str]] = []
        self.calls: list[str] = []
        #: What accounting knows, and its words while it is away.
        self.accounting_away = ""
        self.accounting: dict[int, JobFacts] = {}
        self._jobs: dict[int, JobFacts] = {}
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    def submit(self, request: JobRequest) -> int:
        """Take the job in as PENDING."""
        self._call("submit")
        if self.hang:
            self.hang.wait(30)
        if self.full:
            raise SlurmFull(self.full)
        refusal = self.refuse or self._refusal(request)
        with self._lock:
            job_id = next(self._ids)
            if refusal:  # the real one keeps such a record, too
                self._jobs[job_id] = JobFacts(
                    job_id=job_id, uid=request.comment, state="FAILED", reason="BadConstraints", end_time=time.time()
                )
                raise SlurmRefused(refusal)
            self.requests[job_id] = request
            self._jobs[job_id] = JobFacts(
                job_id=job_id,
                uid=request.comment,
                state="PENDING",
                reason="Priority",
                submit_time=time.time(),
                time_limit_minutes=request.time_limit_minutes,
            )
        if self.lose_reply:
            raise SlurmTimedOut("no answer within 15 s")
        return job_id

    def jobs(self) -> dict[int, JobFacts]:
        """Return a copy of what the controller remembers."""
        self._call("jobs")
        with self._lock:
            return dict(self._jobs)

    def history(self, job_ids: Iterable[int]) -> dict[int, JobFacts]:
        """Return what a test put into ``accounting``."""
        self._call("history")
        if self.accounting_away:
            raise SlurmUnavailable(self.accounting_away)
        return {job_id: self.accounting[job_id] for job_id in job_ids if job_id in self.accounting}

    def signal(self, job_id: int, name: str) -> bool:
        """Note the signal; KILL ends the job."""
        self._call("signal")
        job = self._jobs.get(job_id)
        if job is None or job.phase is JobPhase.ENDED:
            return True
        if job.phase is JobPhase.PENDING:
            return False
        self.signals.append((job_id, name))
        if name == "KILL":
            self.move(job_id, "CANCELLED")
        return True

    def cancel(self, job_id: int) -> None:
        """End the job."""
        self._call("cancel")
        job = self._jobs.get(job_id)
        if job and job.phase is not JobPhase.ENDED:
            self.move(job_id, "CANCELLED")

    def totals(self, partition: str) -> Capacity:
        """Return the capacity."""
        self._call("totals")
        if not {"", self.partition}.issuperset(partition.split(",")):
            raise SlurmRefused(f"no partition {partition}; there are: {self.partition}")
        return self.capacity

    def close(self) -> None:
        """Nothing is held."""

    # For tests: what the site does by itself.

    def move(self, job_id: int, state: str, **facts: object) -> None:
        """Let the job change its state, with the times that go with it."""
        with self._lock:
            job = msgspec.structs.replace(self._jobs[job_id], state=state, **facts)
            if job.phase is JobPhase.RUNNING and job.start_time is None:
                job = msgspec.structs.replace(job, start_time=time.time(), nodes=job.nodes or "c1", reason="")
            if job.phase is JobPhase.ENDED:
                job = msgspec.structs.replace(job, end_time=time.time())
            self._jobs[job_id] = job

    def forget(self, job_id: int) -> None:
        """Let slurmctld forget the job, as after MinJobAge."""
        with self._lock:
            del self._jobs[job_id]

    def jobs_now(self) -> dict[int, JobFacts]:
        """Return the jobs, whoever is away."""
        return dict(self._jobs)

    def living(self) -> dict[int, JobFacts]:
        """Return the jobs that have not ended."""
        return {job_id: job for job_id, job in self._jobs.items() if job.phase is not JobPhase.ENDED}

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if self.away:
            raise SlurmUnavailable(self.away)

    def _refusal(self, request: JobRequest) -> str:
        if request.partition not in ("", self.partition):
            return "Invalid partition name specified"
        if request.memory_mib > self.capacity.memory_mib:
            return "Requested node configuration is not available"
        return ""
