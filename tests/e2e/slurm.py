"""What the end-to-end tests see of Slurm: jobs by the pod's UID in their comment."""

import re

from tests.testbed.bed import Bed

#: States in which a job may still run or start.
LIVING = {"PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "COMPLETING", "SIGNALING", "STAGE_OUT", "REQUEUED"}


class Slurm:
    """The site's Slurm, seen through its commands."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed

    def jobs(self, uid: str) -> dict[int, str]:
        """Return the states of all jobs of a pod that the controller remembers, by job id."""
        return self.all_jobs().get(uid, {})

    def all_jobs(self) -> dict[str, dict[int, str]]:
        """Return the states of all jobs, by comment and job id."""
        found: dict[str, dict[int, str]] = {}
        for line in self.bed.site(["squeue", "--noheader", "--states=all", "--format=%A|%T|%k"]).splitlines():
            job, state, comment = line.split("|", 2)
            found.setdefault(comment, {})[int(job)] = state
        return found

    def all_living(self) -> dict[str, dict[int, str]]:
        """Return the states of the jobs that have not ended, by comment and job id."""
        each = {
            uid: {job: state for job, state in jobs.items() if state in LIVING} for uid, jobs in self.all_jobs().items()
        }
        return {uid: jobs for uid, jobs in each.items() if jobs}

    def living(self, uid: str) -> dict[int, str]:
        """Return only the pod's jobs that have not ended."""
        return self.all_living().get(uid, {})

    def job(self, uid: str) -> dict[str, str]:
        """Return `scontrol show job` of the pod's one job."""
        (job,) = self.jobs(uid)
        return dict(re.findall(r"(\S+?)=(\S*)", self.bed.site(["scontrol", "show", "job", str(job)])))

    def cancel(self, uid: str) -> None:
        """Cancel the pod's job as an administrator would."""
        (job,) = self.jobs(uid)
        self.bed.site(["scancel", str(job)])
