"""Delete: a tombstone first, then the job's end, within the pod's grace period, whatever is away meanwhile.

``delete`` is called by ``backend`` from any thread and only notes; ``act`` is driven by the worker thread and is the
only place that signals jobs. Invariant: once the tombstone is written, nothing of the pod starts, and ``act`` goes on
until Slurm says that the job is over.
"""

import logging
import math
import time
from collections.abc import Callable

from interlink.core.pod.facts import PodFacts
from interlink.sidecars.backend import Unavailable
from interlink.sidecars.slurm.driver import SlurmDriver, SlurmRefused, SlurmUnavailable
from interlink.sidecars.slurm.folders import JobFolders
from interlink.sidecars.slurm.pods import LivePod, PodTable
from interlink.sidecars.slurm.site import Site
from interlink.sidecars.slurm.store import StoreError
from interlink.wire.pod import Pod

log = logging.getLogger(__name__)
DEFAULT_GRACE_SECONDS = 30
#: Beyond the grace period, for the runner's own kill and last report before the job is ended from outside.
MARGIN_SECONDS = 10.0
_KILL_AGAIN_SECONDS, _REFUSED_AGAIN_SECONDS = 10.0, 30.0
#: Signals are one RPC a pod: this much of a tick goes to them.
_BUDGET_SECONDS = 1.0


class Lifecycle:
    """Ends pods."""

    def __init__(
        self, table: PodTable, folders: JobFolders, driver: SlurmDriver, site: Site, wake: Callable[[], None]
    ) -> None:
        self._table = table
        self._folders = folders
        self._driver = driver
        self._site = site
        self._wake = wake

    def delete(self, pod: Pod) -> None:
        """Note that the pod shall end; a later call with a shorter grace period shortens it. Raises Unavailable."""
        grace = _grace(pod)
        try:
            self._table.delete(PodFacts.of(pod), time.time() + grace + (MARGIN_SECONDS if grace else 0))
        except StoreError as error:
            raise Unavailable(f"the sidecar cannot write its state: {error}") from error
        self._wake()

    def act(self) -> None:
        """Signal and cancel the jobs of deleted pods, as far as is due."""
        if self._site.outage:
            return
        started = time.monotonic()
        with self._table.lock:
            due = [pod for pod in self._table.ending.values() if _is_due(pod, started)]
        for pod in due:
            try:
                self._end(pod)
            except SlurmRefused as error:
                pod.next_try = time.monotonic() + _REFUSED_AGAIN_SECONDS
                log.warning("Slurm will not end job %s of pod %s: %s", pod.job_id, pod.uid, error)
            except SlurmUnavailable as error:
                log.warning("the end of %d pods waits for Slurm: %s", len(due), error)
                return
            if time.monotonic() - started > _BUDGET_SECONDS:
                return

    def _end(self, pod: LivePod) -> None:
        """Ask the runner to end the pod, or end the job where the pod's time is over or nothing of it runs yet."""
        job_id = pod.job_id
        assert job_id is not None  # noqa: S101 - _is_due
        if _overdue(pod):
            log.info("pod %s is past its grace period: job %d is killed", pod.uid, job_id)
            self._driver.signal(job_id, "KILL")
            self._driver.cancel(job_id)
            pod.next_try = time.monotonic() + _KILL_AGAIN_SECONDS
        elif pod.term_sent_for != (kill_at := pod.kill_at):
            self._tell_grace(pod.uid, kill_at)
            if not self._driver.signal(job_id, "TERM"):
                self._driver.cancel(job_id)
            pod.term_sent_for = kill_at

    def _tell_grace(self, uid: str, kill_at: float | None) -> None:
        """Write down what is left of the grace period, so that the runner's own kill comes before ours."""
        if kill_at is None:
            return
        try:
            self._folders.write_grace(uid, max(0, math.ceil(kill_at - MARGIN_SECONDS - time.time())))
        except OSError as error:
            log.warning("pod %s is ended with the grace period of its spec: %s", uid, error)


def _grace(pod: Pod) -> int:
    """Return the seconds that the pod has to end."""
    for seconds in (pod.metadata.deletionGracePeriodSeconds, pod.spec.terminationGracePeriodSeconds):
        if seconds is not None:
            return max(0, seconds)
    return DEFAULT_GRACE_SECONDS


def _overdue(pod: LivePod) -> bool:
    return pod.kill_at is not None and time.time() >= pod.kill_at


def _is_due(pod: LivePod, now: float) -> bool:
    if pod.job_id is None or pod.job_over or now < pod.next_try:
        return False
    return _overdue(pod) or pod.term_sent_for != pod.kill_at
