"""``squeue``: every job of some users that slurmctld remembers, in one call (squeue(1)).

A fixed format and not ``--json``: 22.05 to 26.05 say the same in it, with 100 bytes a job; JSON takes 10 to 15 kB (each
core of each node stands in it, seen with 26.05), and releases before 23.02 list the whole site's jobs in it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from interlink.core.job.facts import JobFacts
from interlink.core.job.states import JobPhase, job_phase, parse_state
from interlink.sidecars.slurm.driver import SlurmUnavailable
from interlink.sidecars.slurm.drivers.cli import fields, words
from interlink.sidecars.slurm.drivers.slurm_errors import ALREADY_OVER
from interlink.sidecars.slurm.transport.host import Finished

#: The comment comes last: it is the one field of free text.
_FIELDS = (
    "JobID", "UserID", "State", "Reason", "SubmitTime", "StartTime", "EndTime", "TimeLimit", "RestartCnt", "exit_code",
    "NodeList", "Comment",
)  # fmt: skip
_STARTED = (JobPhase.RUNNING, JobPhase.COMPLETING, JobPhase.ENDED)


@dataclass(frozen=True)
class Squeue:
    """One look at all jobs of the users, by their numbers: of a name that it does not know squeue shows nothing.

    Or at one job alone, by its id.
    """

    program: str
    user_ids: tuple[int, ...] = ()
    job_id: int | None = None

    def argv(self) -> list[str]:
        """Return the command, hidden partitions included; a width of 0 (none) cuts nothing off."""
        users = ",".join(map(str, self.user_ids))
        which = f"--user={users}" if self.job_id is None else f"--jobs={self.job_id}"
        columns = ",".join(f"{field}:|" for field in _FIELDS)
        return [self.program, "--noheader", "--states=all", "--all", "--local", which, f"--Format={columns}"]

    @staticmethod
    def parse(finished: Finished) -> list[tuple[int, JobFacts]]:
        """Return each job with its user's number. Raises SlurmUnavailable for an answer that is not whole."""
        if words.error_number(words.said(finished)) in ALREADY_OVER:
            return []  # the one job that was asked for
        if words.is_error(finished):
            raise SlurmUnavailable(words.said(finished) or f"squeue ended with status {finished.status}")
        return list(_jobs(finished.output.splitlines()))


def _jobs(lines: Iterable[str]) -> Iterable[tuple[int, JobFacts]]:
    for line in lines:
        columns = line.split("|", len(_FIELDS) - 1)
        if len(columns) == len(_FIELDS) and columns[0].isdecimal() and columns[1].isdecimal():
            yield int(columns[1]), _facts(columns)  # array tasks and foreign comments' second lines are no pods


def _facts(columns: list[str]) -> JobFacts:
    job, _, words_of_state, reason, submitted, started, ended, limit, restarts, code, nodes, comment = columns
    state, flags = parse_state(words_of_state)
    phase = job_phase(state, flags)
    return JobFacts(
        job_id=int(job),
        uid=fields.text(comment.removesuffix("|")),
        state=state,
        flags=flags,
        reason=fields.text(reason),
        submit_time=fields.seconds(submitted),
        start_time=fields.seconds(started) if phase in _STARTED and nodes else None,  # or the time of its cancellation
        end_time=fields.seconds(ended) if phase is JobPhase.ENDED else None,
        expected_start=fields.seconds(started) if phase is JobPhase.PENDING else None,
        time_limit_minutes=fields.minutes(limit),
        nodes=fields.text(nodes),
        restart_count=fields.number(restarts) or 0,
        exit_code=fields.exit_code(code) if phase is JobPhase.ENDED else None,
    )
