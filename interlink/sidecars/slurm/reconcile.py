"""Slurm's word and the runners' reports → statuses: what the sidecar does by itself, one RPC for all pods a time.

Driven by ``backend``'s worker thread; ``apply`` takes a snapshot, so that tests need no thread. Invariants: Slurm alone
says that a job is over; a job that Slurm does not know is believed lost only after several answers in a row, and after
its folder and accounting were asked; of two jobs with one UID one is cancelled.
"""

import logging
import time
from collections.abc import Iterable

import msgspec

from interlink.core.job.batch_log import killed_for_memory
from interlink.core.job.facts import JobFacts
from interlink.core.job.states import JobPhase, job_end
from interlink.core.job.waiting import steady
from interlink.core.plan import BATCH_LOG
from interlink.sidecars.slurm.driver import SlurmDriver, SlurmRefused, SlurmUnavailable
from interlink.sidecars.slurm.folders import JobFolders, is_uid
from interlink.sidecars.slurm.pods import LivePod, PodTable
from interlink.sidecars.slurm.recover import adopt_folder, read_report
from interlink.sidecars.slurm.site import Site, Snapshot
from interlink.sidecars.slurm.spool import is_newer

log = logging.getLogger(__name__)
#: Answers in a row without the job before accounting is asked, and before the job is believed lost.
ASK_HISTORY_AFTER, LOST_AFTER = 3, 5
#: How long accounting is left in peace after it did not answer; nothing is believed lost meanwhile.
HISTORY_AGAIN_SECONDS = 10.0
#: How long the runner's last report may take through a network file system once Slurm says that the job is over, and
#: how long a first one of a job that Slurm killed: most likely its runner had not begun.
REPORT_SECONDS, FIRST_REPORT_SECONDS = 5.0, 0.5


class Reconciler:
    """Applies Slurm's word to the table of pods."""

    def __init__(
        self,
        table: PodTable,
        folders: JobFolders,
        driver: SlurmDriver,
        site: Site,
        report_seconds: float = REPORT_SECONDS,
    ) -> None:
        self._table = table
        self._folders = folders
        self._driver = driver
        self._site = site
        self._report_seconds = report_seconds
        #: Whether accounting did not answer last time, and when it is asked again.
        self._history_away = False
        self._ask_history_at = 0.0
        #: Jobs that were seen and left alone, so that each is logged once.
        self._left_alone: set[int] = set()

    def poll(self) -> bool:
        """Ask Slurm once and draw the conclusions; False while Slurm does not answer."""
        snapshot = self._site.poll()
        if snapshot is None:
            return False
        self.apply(snapshot)
        return True

    def apply(self, snapshot: Snapshot) -> None:
        """Bring every living pod up to the snapshot."""
        now = time.time()
        with self._table.lock:
            doubtful = [pod for pod in self._table.living.values() if pod.job_id is None]
            known = [pod for pod in self._table.living.values() if pod.job_id is not None]
            changed = [pod for pod in known if _track(pod, snapshot, now)]
        for pod in doubtful:
            self._settle_doubt(pod, snapshot)
        self._clear_up(snapshot)
        for pod in changed:
            self._await_report(pod)
        self._believe_missing([pod for pod in changed if pod.missing])
        for pod in changed:
            self._look_for_memory(pod)
        self._table.refresh(changed)

    def _settle_doubt(self, pod: LivePod, snapshot: Snapshot) -> None:
        """Find the job of a submit whose outcome is not known, or find out that there is none."""
        if pod.doubt_since is None or pod.submitting.locked():
            return
        jobs = [job for job in snapshot.by_uid.get(pod.uid, ()) if not _was_refused(job)]
        try:
            claim = self._folders.claimed_by(pod.uid)
        except OSError as error:
            log.warning("whether pod %s was submitted before is not known yet: %s", pod.uid, error)
            return
        if jobs or claim is not None:
            job_id = _winner(jobs, claim, None)
            log.warning("pod %s was submitted before: it is Slurm job %d", pod.uid, job_id)
            self._table.record(pod, job_id)
        elif self._site.is_final(snapshot, pod.doubt_since, unanswered=pod.unanswered):
            log.info("pod %s was not submitted before", pod.uid)
            pod.doubt_since = None
            if pod.deleted_at is not None:
                self._table.forget(pod)

    def _clear_up(self, snapshot: Snapshot) -> None:
        """Cancel second jobs of a pod and jobs of pods that have ended; adopt jobs whose folder is known here."""
        for uid, jobs in snapshot.by_uid.items():
            living = [job for job in jobs if job.phase is not JobPhase.ENDED]
            if not living or not is_uid(uid):
                continue
            with self._table.lock:
                pod = self._table.living.get(uid)
            if pod is None:
                self._take_in(uid, living)
            elif pod.job_id is not None and not pod.submitting.locked() and any(j.job_id != pod.job_id for j in living):
                self._choose(pod, living)

    def _choose(self, pod: LivePod, living: list[JobFacts]) -> None:
        """Keep one of several jobs with the pod's UID: the one that claimed the pod's folder, else the recorded one."""
        try:
            keep = _winner(living, self._folders.claimed_by(pod.uid), pod.job_id)
        except OSError as error:
            log.warning("which of the jobs of pod %s stays is not known yet: %s", pod.uid, error)
            return
        if keep != pod.job_id:
            log.warning("pod %s is run by Slurm job %d, not by %s", pod.uid, keep, pod.job_id)
            self._table.record(pod, keep)
        self._cancel(pod.uid, [job for job in living if job.job_id != keep])

    def _take_in(self, uid: str, living: list[JobFacts]) -> None:
        """Deal with living jobs of a pod that is not living here."""
        row = self._table.store.find(uid)
        if row is not None and row.ended_at is not None:
            self._cancel(uid, living)
        elif row is None and self._folders.has_job(uid):
            adopt_folder(self._table, self._folders, uid)
        elif fresh := {job.job_id for job in living} - self._left_alone:
            self._left_alone |= fresh
            log.info("Slurm jobs %s carry the comment %s, which is no pod of this sidecar: left alone", fresh, uid)

    def _cancel(self, uid: str, jobs: list[JobFacts]) -> None:
        for job in jobs:
            log.warning("Slurm job %d of pod %s is one too many: cancelled", job.job_id, uid)
            try:
                self._driver.cancel(job.job_id)
            except (SlurmRefused, SlurmUnavailable) as error:
                log.warning("Slurm job %d cannot be cancelled now: %s", job.job_id, error)

    def _await_report(self, pod: LivePod) -> None:
        """Look for the last report of a job that is over; for a while, believe that it is on its way."""
        over = pod.job_over or pod.missing
        never_ran = pod.job is not None and pod.job_over and not pod.job.nodes
        if not over or never_ran or (pod.report is not None and pod.report.finished):
            pod.settled = True
            pod.ended_seen = pod.ended_seen if over else None
            return
        report = read_report(self._folders, pod.uid)
        now = time.monotonic()
        with self._table.lock:
            if report is not None and report.job_id == str(pod.job_id) and is_newer(report, pod.report):
                pod.report = report
            if pod.ended_seen is None:
                pod.ended_seen = now
            finished = pod.report is not None and pod.report.finished
            pod.settled = finished or now - pod.ended_seen >= self._patience(pod)

    def _look_for_memory(self, pod: LivePod) -> None:
        """Let a job count as what it was if Slurm killed it for its memory, which only the job's own log says."""
        job = pod.job
        killed = job is not None and job.phase is JobPhase.ENDED and job.state == "FAILED" and job.nodes
        if job is None or not killed or not pod.settled or (pod.report is not None and pod.report.finished):
            return
        try:
            log_end = self._folders.read_end(pod.uid, BATCH_LOG)
        except OSError as error:
            log.warning("what ended Slurm job %d is not known: %s", job.job_id, error)
            return
        if killed_for_memory(log_end):
            with self._table.lock:
                pod.job = msgspec.structs.replace(job, state="OUT_OF_MEMORY")

    def _patience(self, pod: LivePod) -> float:
        """Return how long the runner's last report is waited for: a moment where it was killed before its first."""
        killed_early = pod.report is None and pod.job is not None and not job_end(pod.job.state).ordinary
        return min(self._report_seconds, FIRST_REPORT_SECONDS) if killed_early else self._report_seconds

    def _believe_missing(self, missing: list[LivePod]) -> None:
        """Decide on jobs that Slurm has not known for some answers in a row."""
        ask = {
            pod.job_id: pod
            for pod in missing
            if pod.missing >= ASK_HISTORY_AFTER and not (pod.report and pod.report.finished) and pod.job_id is not None
        }
        history = self._history(ask) if ask else {}
        for job_id, job in (history or {}).items():
            if job_id in ask and job.phase is JobPhase.ENDED and job.uid in ("", ask[job_id].uid):
                ask[job_id].job, ask[job_id].missing = job, 0
        for pod in missing:
            lost = pod.missing >= LOST_AFTER and history is not None
            if pod.missing and (lost or (pod.report is not None and pod.report.finished)):
                pod.gone = True

    def _history(self, job_ids: Iterable[int]) -> dict[int, JobFacts] | None:
        """Ask accounting; None while it does not answer, which is logged once."""
        now = time.monotonic()
        if now < self._ask_history_at:
            return None
        try:
            history = self._driver.history(job_ids)
        except (SlurmRefused, SlurmUnavailable) as error:
            if not self._history_away:
                log.warning("accounting cannot be asked; jobs that Slurm has forgotten wait for its word: %s", error)
            self._history_away, self._ask_history_at = True, now + HISTORY_AGAIN_SECONDS
            return None
        self._history_away = False
        return history


def _track(pod: LivePod, snapshot: Snapshot, now: float) -> bool:
    """Note what the snapshot says of the pod's job; True where the pod's status has to be worked out anew."""
    assert pod.job_id is not None  # noqa: S101 - the caller picks pods with a job
    job = snapshot.jobs.get(pod.job_id)
    if job is not None and job.uid == pod.uid:
        job = steady(job, pod.job, now)
        changed = job != pod.job
        if changed:  # thousands of equal ones would take the place of those that are here, and scatter the memory
            pod.job = job
        missed, pod.missing = pod.missing > 0, 0
        return changed or missed or job.phase is JobPhase.ENDED
    if snapshot.started <= pod.recorded_at:
        return False
    if pod.job is not None and pod.job.phase is JobPhase.ENDED:
        return True  # forgotten since: its end was seen
    pod.missing += 1
    return True


def _was_refused(job: JobFacts) -> bool:
    """Whether this is only slurmctld's record of a submit that it refused (seen with 26.05): it never had a node."""
    return job.state == "FAILED" and job.phase is JobPhase.ENDED and not job.nodes


def _winner(jobs: list[JobFacts], claim: int | None, recorded: int | None) -> int:
    """Return the job that stays: the one that claimed the folder, else the recorded one, else a living, early one."""
    ids = [job.job_id for job in sorted(jobs, key=lambda job: (job.phase is JobPhase.ENDED, job.job_id))]
    if claim is not None and (claim in ids or not ids):
        return claim
    return recorded if recorded in ids and recorded is not None else ids[0]
