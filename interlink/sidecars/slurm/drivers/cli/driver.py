"""The CLI driver: ``SlurmDriver`` by Slurm's own commands, run on this host, a login node or the like.

Called from any thread. Each command has a deadline, at which its process group is killed; a submit that was killed may
have been carried out (SlurmTimedOut). Invariant: one squeue serves all pods, and only so many submits run at once.
"""

import logging
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from interlink.core.job.facts import JobFacts
from interlink.core.job.states import JobPhase
from interlink.sidecars.slurm.driver import Capacity, JobRequest, SlurmRefused, SlurmTimedOut, SlurmUnavailable
from interlink.sidecars.slurm.drivers.cli import fields
from interlink.sidecars.slurm.drivers.cli.sacct import Sacct, UnknownFieldError
from interlink.sidecars.slurm.drivers.cli.sbatch import KEEP as SBATCH_KEEP
from interlink.sidecars.slurm.drivers.cli.sbatch import Sbatch
from interlink.sidecars.slurm.drivers.cli.scancel import Scancel
from interlink.sidecars.slurm.drivers.cli.sinfo import Sinfo
from interlink.sidecars.slurm.drivers.cli.squeue import Squeue
from interlink.sidecars.slurm.transport.host import Finished, Host, HostTimedOut

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Programs:
    """Slurm's commands, by path or to be found on PATH."""

    sbatch: str = "sbatch"
    squeue: str = "squeue"
    sacct: str = "sacct"
    scancel: str = "scancel"
    sinfo: str = "sinfo"

    @property
    def scontrol(self) -> str:
        """The command that stands beside squeue."""
        return f"{self.squeue.rpartition('/')[0]}/scontrol" if "/" in self.squeue else "scontrol"


class CliDriver:
    """``SlurmDriver`` by way of sbatch, squeue, sacct, scancel and sinfo."""

    def __init__(  # noqa: PLR0913 - by name
        self,
        host_of: Callable[[str], Host],
        *,
        programs: Programs = Programs(),
        call_timeout: float = 15.0,
        most_submits: int = 8,
        users: Callable[[], Collection[str]] = tuple,
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        """``host_of`` is where a user's commands run ("": our own); ``users`` are the others who have jobs of ours."""
        self._host_of = host_of
        self._programs = programs
        self._timeout = call_timeout
        self._submits = threading.BoundedSemaphore(most_submits)
        self._users = users
        self._on_close = on_close
        self._user_ids: dict[str, int] = {}
        #: The jobs that are not our own user's, with their owners.
        self._owners: dict[int, str] = {}
        self._restarts_known = True
        self._private: bool | None = None

    def submit(self, request: JobRequest) -> int:
        """See SlurmDriver."""
        command = Sbatch(self._programs.sbatch, request)
        argv = command.argv()
        if not self._submits.acquire(timeout=self._timeout):
            raise SlurmUnavailable(f"no turn to submit within {self._timeout:g} s (earlier submits still wait)")
        try:
            finished = self._run(argv, request.user, command.environment(), SBATCH_KEEP, command.stdin())
        finally:
            self._submits.release()
        job_id = command.parse(finished)
        if request.user:
            self._owners[job_id] = request.user
        return job_id

    def jobs(self) -> dict[int, JobFacts]:
        """See SlurmDriver."""
        users = sorted({"", *self._users()})
        together = len(users) == 1 or not self._jobs_are_private()
        found: dict[int, JobFacts] = {}
        for some in [users] if together else [[user] for user in users]:
            names = {self._user_id(user): user for user in some}
            squeue = Squeue(self._programs.squeue, tuple(names))
            for user_id, job in squeue.parse(self._run(squeue.argv(), "" if together else some[0])):
                if user_id in names:
                    found[job.job_id] = job
                    if names[user_id]:
                        self._owners[job.job_id] = names[user_id]
        return found

    def history(self, job_ids: Iterable[int]) -> dict[int, JobFacts]:
        """See SlurmDriver."""
        by_owner: dict[str, list[int]] = defaultdict(list)
        for job_id in job_ids:
            by_owner[self._owners.get(job_id, "")].append(job_id)
        return {job.job_id: job for owner, jobs in by_owner.items() for job in self._history(owner, tuple(jobs))}

    def signal(self, job_id: int, name: str) -> bool:
        """See SlurmDriver. Of a pending job scancel tries it for a minute before it says so; squeue says so at once."""
        owner = self._owners.get(job_id, "")
        found = Squeue.parse(self._run(Squeue(self._programs.squeue, job_id=job_id).argv(), owner))
        if not found:
            return True
        if found[0][1].phase is JobPhase.PENDING:
            return False
        command = Scancel(self._programs.scancel, job_id, name)
        return command.parse(self._run(command.argv(), owner))

    def cancel(self, job_id: int) -> None:
        """See SlurmDriver."""
        command = Scancel(self._programs.scancel, job_id)
        command.parse(self._run(command.argv(), self._owners.get(job_id, "")))

    def totals(self, partition: str) -> Capacity:
        """See SlurmDriver."""
        command = Sinfo(self._programs.sinfo, partition)
        return command.parse(self._run(command.argv()))

    def close(self) -> None:
        """See SlurmDriver."""
        self._on_close()

    def _history(self, owner: str, job_ids: tuple[int, ...]) -> list[JobFacts]:
        command = Sacct(self._programs.sacct, job_ids, self._restarts_known)
        try:
            return command.parse(self._run(command.argv(), owner))
        except UnknownFieldError:
            self._restarts_known = False
            return self._history(owner, job_ids)

    def _jobs_are_private(self) -> bool:
        """Whether each user sees only their own jobs (PrivateData of slurm.conf), so that each has to be asked."""
        if self._private is None:
            finished = self._run([self._programs.scontrol, "show", "config"])
            match = re.search(r"^PrivateData\s*=\s*(.*)$", finished.output, re.MULTILINE)
            if finished.status != 0 or match is None:
                raise SlurmUnavailable(f"whether PrivateData hides jobs is not known: {finished.errors.strip()}")
            self._private = "jobs" in match[1].split(",")
        return self._private

    def _user_id(self, user: str) -> int:
        """Return the user's number where Slurm's commands run."""
        if user not in self._user_ids:
            finished = self._run(["id", "-u", *([user] if user else [])])
            if finished.status != 0:
                raise SlurmUnavailable(
                    f"user {user} is not known where Slurm's commands run: {finished.errors.strip()}"
                )
            self._user_ids[user] = int(finished.output)
        return self._user_ids[user]

    def _run(self, argv: list[str], user: str = "", *job: Any) -> Finished:
        """Run a command as the user; ``job`` are a submit's environment, what is kept of the host's, and the script."""
        environment, keep, stdin = job or (fields.ENVIRONMENT, fields.KEEP, "")
        try:
            finished = self._host_of(user).run(
                argv, environment=environment, keep=keep, stdin=stdin, timeout=self._timeout
            )
        except HostTimedOut as error:
            raise SlurmTimedOut(str(error)) from error
        except FileNotFoundError as error:
            raise SlurmUnavailable(
                f"{argv[0]} is not there: install Slurm's client commands, or set "
                f"{argv[0].rpartition('/')[2].capitalize()}Path"
            ) from error
        except PermissionError as error:
            raise SlurmRefused(f"{argv[0]} cannot be run as user {user or 'of this service'}: {error}") from error
        except OSError as error:
            raise SlurmUnavailable(str(error)) from error
        if finished.status is None:
            raise SlurmTimedOut(f"{argv[0].rpartition('/')[2]} gave no answer within {self._timeout:g} s")
        return finished
