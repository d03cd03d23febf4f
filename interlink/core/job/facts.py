"""What Slurm knows of one job, in one shape for every Slurm driver; filled by them, read by ``status``."""

from sys import intern

import msgspec

from interlink.core.job.states import REQUEUES, JobPhase, job_phase


class JobFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One job as slurmctld or slurmdbd tells it; what is not known stays None or empty.

    Thousands come with every look at Slurm, as JSON from another process: hence no defaults there, and no part in the
    collector's rounds, which its plain values have no need of.
    """

    job_id: int
    #: The pod's UID, from the job's comment.
    uid: str
    #: Whole words, as ``states.parse_state`` returns them.
    state: str
    flags: frozenset[str] = frozenset()
    #: Slurm's reason word for a pending or ended job.
    reason: str = ""
    #: Epoch seconds. ``end_time`` is the true end: None while the job lives, though Slurm then gives an expected one.
    submit_time: float | None = None
    start_time: float | None = None
    end_time: float | None = None
    #: When Slurm expects a pending job to start, epoch seconds.
    expected_start: float | None = None
    time_limit_minutes: int | None = None
    nodes: str = ""
    #: User id of whoever cancelled the job.
    cancelled_by: int | None = None
    #: How often Slurm has requeued the job.
    restart_count: int = 0
    #: The batch script's exit status; shown in a sentence, never taken for a container's.
    exit_code: int | None = None

    def __post_init__(self) -> None:
        """Share the words that thousands of jobs have alike."""
        msgspec.structs.force_setattr(self, "state", intern(self.state))
        msgspec.structs.force_setattr(self, "reason", intern(self.reason))

    @property
    def phase(self) -> JobPhase:
        """Whether the job waits, runs, is being cleared away, or is over."""
        return job_phase(self.state, self.flags)

    @property
    def requeued(self) -> bool:
        """Whether Slurm has taken the job back into its queue, and its earlier run may still be cleared away."""
        return bool(REQUEUES & {self.state, *self.flags})
