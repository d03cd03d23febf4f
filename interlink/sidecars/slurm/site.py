"""What Slurm last said of all our jobs, and whether it answers at all.

Polled by ``reconcile`` (one RPC for all pods), asked by ``submit``. Invariant: an outage is logged once, and nothing is
concluded from what Slurm did not say.
"""

import logging
import time
from collections import defaultdict
from dataclasses import dataclass, field

from interlink.core.job.facts import JobFacts
from interlink.sidecars.slurm.driver import SlurmDriver, SlurmRefused, SlurmUnavailable

log = logging.getLogger(__name__)
#: A request that was on its way when its sender died may still be carried out this much later; and one that went out
#: and was never answered, by a controller that was stopped or is swamped, this much later.
SETTLE_SECONDS, UNANSWERED_SECONDS = 2.0, 60.0


@dataclass(frozen=True)
class Snapshot:
    """All jobs of our user at one moment; ``started`` is the monotonic time before the question was asked."""

    started: float
    jobs: dict[int, JobFacts]
    by_uid: dict[str, list[JobFacts]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for job in self.jobs.values():
            if job.uid:
                self.by_uid[job.uid].append(job)


class Site:
    """The one poller's view of Slurm. Read from any thread."""

    def __init__(
        self,
        driver: SlurmDriver,
        settle_seconds: float = SETTLE_SECONDS,
        unanswered_seconds: float = UNANSWERED_SECONDS,
    ) -> None:
        self._driver = driver
        self._settle = settle_seconds
        self._unanswered = unanswered_seconds
        #: Since when Slurm has answered every poll.
        self._answering_since: float | None = None
        #: Slurm's words, or ours about its silence, while it does not answer.
        self.outage = ""

    def poll(self) -> Snapshot | None:
        """Ask Slurm; None while it does not answer."""
        started = time.monotonic()
        try:
            jobs = self._driver.jobs()
        except (SlurmUnavailable, SlurmRefused) as error:
            self._note_outage(str(error))
            return None
        if self.outage:
            log.warning("Slurm answers again")
        if self._answering_since is None:
            self._answering_since = time.monotonic()
        self.outage = ""
        return Snapshot(started, jobs)

    def is_final(self, snapshot: Snapshot, doubt_since: float, *, unanswered: bool) -> bool:
        """Whether a job that the snapshot does not show cannot come any more of a submit that ended at that time."""
        if self._answering_since is None:
            return False
        settle = self._unanswered if unanswered else self._settle
        return snapshot.started >= max(doubt_since, self._answering_since) + settle

    def _note_outage(self, words: str) -> None:
        self._answering_since = None
        if not self.outage:
            log.error("Slurm does not answer; pods stay as they were until it does: %s", words)
        self.outage = words or "no answer"
