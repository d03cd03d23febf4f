"""The pods that have not ended, in memory, above the store: what ``submit``, ``lifecycle``, ``reconcile`` share.

Invariants: ``lock`` is held for every change of a LivePod but its ``submitting`` lock, and for every look at more than
one of its values that must fit together; a status is saved before it is published; a pod leaves memory when it has
ended. No RPC and no network file is waited for under ``lock``.
"""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from interlink.core.job.facts import JobFacts
from interlink.core.job.states import JobPhase
from interlink.core.plan import Report
from interlink.core.pod.facts import PodFacts
from interlink.core.status import pod_status
from interlink.sidecars.backend import Deleted, Unavailable
from interlink.sidecars.changes import ChangeJournal
from interlink.sidecars.slurm.store import Row, Store, StoreError
from interlink.wire.messages import PodStatus

#: How long a job takes at most, as a rule, to end after its runner's last word.
HURRY_SECONDS = 3.0


@dataclass(eq=False, slots=True)
class LivePod:
    """One pod that has not ended. Times without another word are monotonic."""

    facts: PodFacts
    #: Epoch seconds, as the two below.
    created_at: float
    deleted_at: float | None = None
    kill_at: float | None = None
    #: Whether its intent is written down.
    intended: bool = False
    job_id: int | None = None
    #: When the job's id came to be known: a snapshot from before says nothing of the job.
    recorded_at: float = 0.0
    #: Since when a job may or may not have been submitted for the pod.
    doubt_since: float | None = None
    #: Whether that submit went out and was never answered: Slurm may be at it for longer.
    unanswered: bool = False
    job: JobFacts | None = None
    report: Report | None = None
    status: PodStatus | None = None
    #: Successful polls in a row in which Slurm did not know the job; and whether that is now believed.
    missing: int = 0
    gone: bool = False
    #: When Slurm was first seen to have ended the job, while the runner's last report is awaited.
    ended_seen: float | None = None
    settled: bool = True
    #: The kill time that the runner was told of with TERM; a sooner one is told again.
    term_sent_for: float | None = None
    next_try: float = 0.0
    #: Held by the one create that submits.
    submitting: threading.Lock = field(default_factory=threading.Lock)

    @property
    def uid(self) -> str:
        """The pod's UID."""
        return self.facts.uid

    @property
    def job_over(self) -> bool:
        """Whether Slurm has said that the job is over."""
        return self.gone or (self.job is not None and self.job.phase is JobPhase.ENDED)

    def present_status(self) -> PodStatus | None:
        """Return the status as of now; None while nothing was submitted, which is told to nobody but the creator."""
        if self.job_id is not None:
            return pod_status(
                self.facts,
                job_id=str(self.job_id),
                job=self.job,
                report=self.report,
                lost=self.gone,
                settled=self.settled,
            )
        return never_started(self.facts) if self.gone else None


def never_started(facts: PodFacts) -> PodStatus:
    """Return the last status of a pod that was deleted before it had a job."""
    status = pod_status(facts, job_id="", job=None, report=None)
    status.ended, status.reason, status.message = True, "Deleted", "The pod was deleted before it had a Slurm job"
    return status


def was_deleted(facts: PodFacts) -> Deleted:
    """Return what a create of a deleted pod raises."""
    return Deleted(f"pod {facts.namespace}/{facts.name} was deleted")


class PodTable:
    """The living pods by UID, and every change of the store. Thread-safe by ``lock``, which callers may hold."""

    def __init__(self, store: Store, journal: ChangeJournal) -> None:
        self.store = store
        self.lock = threading.RLock()
        self.living: dict[str, LivePod] = {}
        #: Those of them that were deleted.
        self.ending: dict[str, LivePod] = {}
        #: Until then a job is about to end: Slurm's word of it is worth a look sooner.
        self.hurry_until = 0.0
        #: How many jobs were recorded.
        self.recorded = 0
        self._journal = journal

    def adopt(self, row: Row) -> LivePod:
        """Take a stored pod into memory; whether a submit without a known outcome reached Slurm is in doubt."""
        now = time.monotonic()
        pod = LivePod(
            facts=row.facts,
            created_at=row.created_at,
            deleted_at=row.deleted_at,
            kill_at=row.kill_at,
            intended=True,
            job_id=row.job_id,
            doubt_since=now if row.job_id is None else None,
            report=row.report,
            status=row.status,
        )
        with self.lock:
            self.living[pod.uid] = pod
            if pod.deleted_at is not None:
                self.ending[pod.uid] = pod
        return pod

    def begin(self, facts: PodFacts) -> LivePod:
        """Return the pod, which lives from now on; ``intend`` finds out whether it may."""
        with self.lock:
            pod = self.living.get(facts.uid)
            if pod is None:
                pod = self.living[facts.uid] = LivePod(facts=facts, created_at=time.time())
            return pod

    def intend(self, pod: LivePod, *, sync: bool = True) -> None:
        """Write the pod's intent down, once, with ``sync`` to the disk; its ``submitting`` lock is held, ``lock`` not.

        Raises StoreError, Deleted and Unavailable, and then the pod does not live any more.
        """
        if pod.intended:
            return
        try:
            if not self.store.intend(pod.facts, pod.created_at):
                self._check_known(pod)
            if sync:
                self.store.sync()
        except (StoreError, Deleted, Unavailable):
            with self.lock:
                if pod.deleted_at is None:
                    del self.living[pod.uid]
            raise
        pod.intended = True

    def _check_known(self, pod: LivePod) -> None:
        """Look what came between the creator's look at the store and its intent. Raises Deleted, Unavailable."""
        row = self.store.find(pod.uid)
        if row is not None and row.deleted_at is not None:
            raise was_deleted(pod.facts)
        if row is not None and row.job_id is not None:
            raise Unavailable("another create of the pod came first: ask again")

    def record(self, pod: LivePod, job_id: int) -> None:
        """Note the pod's job, on disk and for everyone. Raises StoreError, and then nothing has changed.

        Called by one at a time for each pod: its creator, else the reconciler.
        """
        # Reports are numbered by job: another job's would hide the first ones of this.
        same_job = pod.job_id in (None, job_id)
        report = pod.report if same_job else None
        status = pod_status(pod.facts, job_id=str(job_id), job=None, report=report)
        # Not under the lock: with eight creates at once their threads spent half of their time on waiting for it.
        self.store.record_job(pod.uid, job_id, status)
        with self.lock:
            if not same_job:
                pod.report = None
            self.recorded += 1
            pod.job_id, pod.recorded_at, pod.doubt_since = job_id, time.monotonic(), None
            pod.job, pod.missing, pod.gone, pod.term_sent_for = None, 0, False, None
            if pod.report is report:
                pod.status = status
                self._journal.publish([status])
            else:  # a newer one came meanwhile
                self.refresh([pod])

    def forget(self, pod: LivePod) -> None:
        """Drop a pod for which there is surely no job; one that was deleted has now ended instead."""
        with self.lock:
            if self.living.get(pod.uid) is not pod:
                return
            if pod.deleted_at is not None:
                pod.gone = True
                self.refresh([pod])
                return
            self.store.forget(pod.uid)
            del self.living[pod.uid]

    def delete(self, facts: PodFacts, kill_at: float) -> LivePod | None:
        """Write the tombstone and return the pod if it still lives; another one is told to have ended. StoreError."""
        with self.lock:
            pod = self.living.get(facts.uid)
            row = self.store.delete(facts, time.time(), kill_at, living=pod is not None)
            if pod is not None:
                pod.deleted_at, pod.kill_at = row.deleted_at, row.kill_at
        # Not under the lock: a thousand deletions at once wait for the disk together, and nobody else for them.
        self.store.sync()
        with self.lock:
            if pod is None:
                status = row.status or never_started(row.facts)
                self.store.save([(status, row.report, row.ended_at)])
                self._journal.publish([status])
            elif self.living.get(pod.uid) is pod:
                self.ending[pod.uid] = pod
                self.end_without_job(pod)
            return pod

    def end_without_job(self, pod: LivePod) -> None:
        """Let a deleted pod end for which there is surely no job, and nobody about to submit one."""
        if pod.deleted_at is None:
            return
        with self.lock:
            certain = pod.job_id is None and pod.doubt_since is None and not pod.submitting.locked()
            if certain and self.living.get(pod.uid) is pod:
                pod.gone = True
                self.refresh([pod])

    def refresh(self, pods: Iterable[LivePod]) -> None:
        """Work out the pods' statuses; save and publish those that changed; let go of pods that have ended."""
        with self.lock:
            changed = [(pod, status) for pod in pods if (status := pod.present_status()) and status != pod.status]
            if not changed:
                return
            now = time.time()
            self.store.save((status, pod.report, now if status.ended else None) for pod, status in changed)
            for pod, status in changed:
                pod.status = status
                if pod.report is not None and pod.report.finished and not status.ended:
                    self.hurry_until = time.monotonic() + HURRY_SECONDS
                if status.ended:
                    self.living.pop(pod.uid, None)
                    self.ending.pop(pod.uid, None)
            self._journal.publish(status for _, status in changed)

    def status(self, uid: str) -> PodStatus | None:
        """Return the pod's last status, from memory or disk."""
        with self.lock:
            pod = self.living.get(uid)
            if pod is not None:
                return pod.status
        row = self.store.find(uid)
        return None if row is None else row.status

    def user_of(self, uid: str) -> str:
        """Return the user who owns the pod's job; "" is our own, and nobody's."""
        pod = self.living.get(uid)
        if pod is not None:
            return pod.facts.user
        row = self.store.find(uid)
        return row.facts.user if row else ""

    def users(self) -> set[str]:
        """Return the other users who own jobs of living pods."""
        with self.lock:
            return {pod.facts.user for pod in self.living.values() if pod.facts.user}

    def all_statuses(self, deleted_for: float) -> list[PodStatus]:
        """Return every status known, but of pods that were deleted and ended more than ``deleted_for`` seconds ago."""
        with self.lock:
            living = [pod.status for pod in self.living.values() if pod.status is not None]
        uids = {status.UID for status in living}
        ended = self.store.ended_statuses(time.time() - deleted_for)
        return living + [status for status in ended if status.UID not in uids]
