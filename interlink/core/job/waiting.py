"""What the containers of a pod wait for while no pod runner speaks for it, and the event that says so.

Pure; called by ``core.status``, and ``steady`` by the reconciler before it looks for changes. Invariant: the text
changes only when Slurm's word does, or its expected start by more than a user would care for.
"""

from datetime import UTC, datetime

import msgspec

from interlink.core.job.facts import JobFacts
from interlink.core.job.pending import Wait, pending
from interlink.core.job.states import HOLDS, STARTING, JobPhase
from interlink.wire.messages import SiteEvent

PENDING_REASON = Wait.PASSES.value
_CREATING = "ContainerCreating"
#: An expected start is shown in steps of five minutes, and moves when it is off by five minutes, or by a tenth of the
#: wait where that is more.
_STEP_SECONDS, _TENTH = 300, 10


def waiting(job_id: str, job: JobFacts | None) -> tuple[dict[str, str], SiteEvent | None]:
    """Return the waiting state (v1.ContainerStateWaiting) in Slurm's words and plain ones, and an event if one is due.

    ``job_id`` is empty before the submit; ``job`` None says that Slurm has not spoken of it yet.
    """
    if not job_id:
        return {"reason": PENDING_REASON, "message": "Not yet submitted to Slurm"}, None
    if job is None:
        return {"reason": PENDING_REASON, "message": f"Submitted as Slurm job {job_id}"}, None
    if job.phase is JobPhase.COMPLETING and job.restart_count:
        words = f"Requeued in Slurm (job {job_id}): its earlier run is still being cleared away"
        return {"reason": PENDING_REASON, "message": words}, None
    if job.phase is not JobPhase.PENDING:
        place = f" on {job.nodes}" if job.nodes else ""
        stage = f"has started{place}; its pod runner prepares"
        if job.phase is not JobPhase.RUNNING:
            stage = "is ending; its pod runner has said nothing"
        return {"reason": _CREATING, "message": f"Slurm job {job_id} {stage}"}, None
    if STARTING & {job.state, *job.flags}:
        words = f"Pending in Slurm (job {job_id}): its nodes are being started"
        return {"reason": PENDING_REASON, "message": words}, None
    return _pending(job_id, job)


def _pending(job_id: str, job: JobFacts) -> tuple[dict[str, str], SiteEvent | None]:
    found = pending(job.reason)
    again = bool(job.restart_count or job.requeued)
    wait = Wait.HELD if HOLDS & {job.state, *job.flags} else found.wait
    opening = {
        Wait.PASSES: f"{'Requeued' if again else 'Pending'} in Slurm (job {job_id})",
        Wait.HELD: f"{'Requeued and held' if again else 'Held'} in Slurm (job {job_id})",
        Wait.BLOCKED: f"Slurm cannot start job {job_id} as it is",
    }[wait]
    message = f"{opening}: {found.sentence}" + (f"; {found.change}" if found.change else "")
    said_nothing = job.reason in ("", "None") and not again
    event = None if said_nothing else SiteEvent(
        key=f"{job.restart_count}.{wait.value}.{job.reason.split(',', 1)[0]}",
        type="Normal" if wait is Wait.PASSES and not again else "Warning",
        reason=wait.value,
        message=message,
    )  # fmt: skip
    if wait is Wait.PASSES and job.expected_start is not None:
        message += f"; expected to start about {_about(job.expected_start)}"
    return {"reason": wait.value, "message": message}, event


def steady(job: JobFacts, before: JobFacts | None, now: float) -> JobFacts:
    """Return the facts with an expected start that moves only by what matters; ``now`` in epoch seconds.

    Slurm's scheduler makes a new estimate with each of its rounds, for hundreds of jobs; one that has gone by says
    nothing.
    """
    expected = job.expected_start
    if expected is None:
        return job
    shown = before.expected_start if before is not None else None
    if expected <= now:
        expected = None
    elif shown is not None and shown > now and abs(expected - shown) <= max(_STEP_SECONDS, (shown - now) / _TENTH):
        expected = shown
    return job if expected == job.expected_start else msgspec.structs.replace(job, expected_start=expected)


def _about(seconds: float) -> str:
    """Return the time as a user reads it, rounded up."""
    rounded = -(-int(seconds) // _STEP_SECONDS) * _STEP_SECONDS
    return datetime.fromtimestamp(rounded, UTC).strftime("%Y-%m-%d %H:%M UTC")
