"""``sacct``: what accounting keeps of jobs that slurmctld has forgotten (sacct(1)).

The comment is there where the site has ``AccountingStoreFlags=job_comment``. Older releases have no
``Restarts``.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from interlink.core.job.facts import JobFacts
from interlink.core.job.states import JobPhase, job_phase, parse_state
from interlink.sidecars.slurm.driver import SlurmUnavailable
from interlink.sidecars.slurm.drivers.cli import fields, words
from interlink.sidecars.slurm.transport.host import Finished

_FIELDS = ("JobIDRaw", "State", "Submit", "Start", "End", "TimelimitRaw", "ExitCode", "NodeList", "Restarts", "Comment")
_BY = "CANCELLED by "


class UnknownFieldError(Exception):
    """Slurm here has no field ``Restarts``."""


@dataclass(frozen=True)
class Sacct:
    """One look at some jobs, without their steps."""

    program: str
    job_ids: tuple[int, ...]
    with_restarts: bool = True

    def argv(self) -> list[str]:
        """Return the command."""
        jobs = ",".join(map(str, self.job_ids))
        columns = ",".join(field for field in _FIELDS if self.with_restarts or field != "Restarts")
        words = ["--allocations", "--noheader", "--parsable2", "--noconvert", f"--format={columns}", f"--jobs={jobs}"]
        return [self.program, *words]

    def parse(self, finished: Finished) -> list[JobFacts]:
        """Return the jobs; none on a site without accounting. Raises SlurmUnavailable, UnknownFieldError."""
        if words.is_error(finished):
            said = words.said(finished)
            if "accounting storage is disabled" in said:
                return []
            if self.with_restarts and "Invalid field requested" in said:
                raise UnknownFieldError(said)
            raise SlurmUnavailable(f"accounting: {said or f'sacct ended with status {finished.status}'}")
        return list(self._jobs(finished.output.splitlines()))

    def _jobs(self, lines: Iterable[str]) -> Iterable[JobFacts]:
        names = [field for field in _FIELDS if self.with_restarts or field != "Restarts"]
        for line in lines:
            columns = dict(zip(names, line.split("|", len(names) - 1), strict=False))
            if len(columns) == len(names) and columns["JobIDRaw"].isdecimal():
                yield _facts(columns)


def _facts(columns: dict[str, str]) -> JobFacts:
    state, flags = parse_state(columns["State"])
    ended = job_phase(state, flags) is JobPhase.ENDED
    return JobFacts(
        job_id=int(columns["JobIDRaw"]),
        uid=fields.text(columns["Comment"]),
        state=state,
        flags=flags,
        submit_time=fields.seconds(columns["Submit"]),
        start_time=fields.seconds(columns["Start"]),
        end_time=fields.seconds(columns["End"]) if ended else None,
        time_limit_minutes=fields.number(columns["TimelimitRaw"]),
        nodes=fields.text(columns["NodeList"]),
        cancelled_by=fields.number(columns["State"].partition(_BY)[2]),
        restart_count=fields.number(columns.get("Restarts", "")) or 0,
        exit_code=fields.exit_code(columns["ExitCode"]) if ended else None,
    )
