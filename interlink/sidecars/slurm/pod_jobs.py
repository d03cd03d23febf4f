"""The jobs of pods that still live on the site, whosever they are, for who wants to take the sidecar away.

Called by ``interlink jobs``. A job is a pod's if its comment is the UID of a job folder below DataRootFolder: another
site's sidecar on the same Slurm keeps its own. Nothing is written; the service may run beside it, or be gone.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from interlink.core.job.states import JobPhase
from interlink.sidecars.slurm.driver import SlurmDriver
from interlink.sidecars.slurm.folders import JobFolders, is_uid
from interlink.sidecars.slurm.recover import Recorded
from interlink.wire.decoding import decode_json

_LOOK_AGAIN_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class PodJob:
    """One living job. ``user`` is empty for the service's own; ``pod`` is NAMESPACE/NAME, empty where not known."""

    job_id: int
    state: str
    user: str
    uid: str
    pod: str


def pod_jobs(folders: JobFolders, driver: SlurmDriver) -> list[PodJob]:
    """Return the living jobs of all pods, in the order of their ids; the driver asks for the folders' users.

    Raises OSError where jobs may be a user's whose folders cannot be had, SlurmUnavailable and SlurmRefused.
    """
    living = {job.uid: job for job in driver.jobs().values() if is_uid(job.uid) and job.phase is not JobPhase.ENDED}
    found: list[PodJob] = []
    trouble: OSError | None = None
    for user, home in folders.as_found():
        try:
            found += [
                PodJob(job_id=living[uid].job_id, state=living[uid].state, user=user, uid=uid, pod=_name(home, uid))
                for uid in _uids(home)
                if uid in living
            ]
        except OSError as error:  # anybody can make a folder in users/, and have no jobs of ours
            trouble = trouble or error
    unknown = living.keys() - {job.uid for job in found}
    if trouble and unknown:
        ids = ", ".join(str(living[uid].job_id) for uid in sorted(unknown))
        raise OSError(f"the jobs {ids} may be pods', and the folders of a user cannot be had: {trouble}") from trouble
    return sorted(found, key=lambda job: job.job_id)


def _uids(home: JobFolders) -> list[str]:
    try:
        return list(home.uids())
    except FileNotFoundError:
        return []


def end_jobs(jobs: Iterable[PodJob], driver: SlurmDriver, within: float) -> list[PodJob]:
    """Cancel the jobs, wait until Slurm says that they have ended, and return those that have not in so many seconds.

    Raises SlurmUnavailable and SlurmRefused.
    """
    left = list(jobs)
    deadline = time.monotonic() + within
    for job in left:
        driver.cancel(job.job_id)
    while left:
        seen = driver.jobs()
        left = [job for job in left if job.job_id in seen and seen[job.job_id].phase is not JobPhase.ENDED]
        if not left or time.monotonic() >= deadline:
            break
        time.sleep(_LOOK_AGAIN_SECONDS)
    return left


def _name(home: JobFolders, uid: str) -> str:
    try:
        facts = decode_json(home.read_plan(uid) or b"", Recorded).record.pod
    except msgspec.MsgspecError:
        return ""
    return f"{facts.namespace}/{facts.name}"
