"""Slurm's words for a job's state and end, as tables: state → phase, end → reason and sentence.

Source: slurm.h (enum job_states, the JOB_* flags) and squeue's manual, Slurm 22.05 to 26.05. Words are compared whole:
CONFIGURING is no FAILED. A word that no table knows counts as running, because only Slurm may say that a job is over.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class JobPhase(Enum):
    """Where a job stands, as far as a pod cares."""

    PENDING = "pending"
    RUNNING = "running"
    #: Over for the scheduler, but processes may still be about.
    COMPLETING = "completing"
    ENDED = "ended"


PHASES = {
    "PENDING": JobPhase.PENDING,
    "CONFIGURING": JobPhase.PENDING,
    "POWER_UP_NODE": JobPhase.PENDING,
    "REQUEUED": JobPhase.PENDING,
    "REQUEUE_HOLD": JobPhase.PENDING,
    "REQUEUE_FED": JobPhase.PENDING,
    "RESV_DEL_HOLD": JobPhase.PENDING,
    "SPECIAL_EXIT": JobPhase.PENDING,
    "RUNNING": JobPhase.RUNNING,
    "RESIZING": JobPhase.RUNNING,
    "SIGNALING": JobPhase.RUNNING,
    "STOPPED": JobPhase.RUNNING,
    "SUSPENDED": JobPhase.RUNNING,
    "COMPLETING": JobPhase.COMPLETING,
    "STAGE_OUT": JobPhase.COMPLETING,
    "BOOT_FAIL": JobPhase.ENDED,
    "CANCELLED": JobPhase.ENDED,
    "COMPLETED": JobPhase.ENDED,
    "DEADLINE": JobPhase.ENDED,
    "FAILED": JobPhase.ENDED,
    "LAUNCH_FAILED": JobPhase.ENDED,
    "NODE_FAIL": JobPhase.ENDED,
    "OUT_OF_MEMORY": JobPhase.ENDED,
    "PREEMPTED": JobPhase.ENDED,
    "REVOKED": JobPhase.ENDED,
    "TIMEOUT": JobPhase.ENDED,
}

#: Words that Slurm may set beside a state; alone they are the state.
FLAGS = frozenset(
    {
        "COMPLETING",
        "CONFIGURING",
        "LAUNCH_FAILED",
        "POWER_UP_NODE",
        "RECONFIG_FAIL",
        "REQUEUED",
        "REQUEUE_FED",
        "REQUEUE_HOLD",
        "RESIZING",
        "RESV_DEL_HOLD",
        "REVOKED",
        "SIGNALING",
        "SPECIAL_EXIT",
        "STAGE_OUT",
        "STOPPED",
        "UPDATE_DB",
        "EXPEDITING",
    }
)
#: The job runs again, or will when it is released: nothing of it has ended for good.
REQUEUES = frozenset({"REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"})
#: Somebody has to release the job.
HOLDS = frozenset({"REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
#: The job has its nodes, and its processes were stopped (scontrol suspend, gang scheduling, scancel --signal=STOP).
STANDSTILLS = frozenset({"SUSPENDED", "STOPPED"})
_LINGERING_FLAGS = frozenset({"COMPLETING", "STAGE_OUT"})
#: The job has its nodes, and they are still being made ready: nothing of it runs.
STARTING = frozenset({"CONFIGURING", "POWER_UP_NODE"})


@dataclass(frozen=True)
class JobEnd:
    """How a job's end reads in Kubernetes: ``reason`` of pod and containers, the rest of a sentence, an exit code."""

    reason: str
    #: Follows "Slurm job 12 "; may name {by}, {limit}, {nodes} and {code}, which bring their own leading space.
    sentence: str
    #: 137 (killed), or 143 where somebody asked the job to end.
    exit_code: int = 137
    #: The batch script ended by itself: if the runner reported its end, Slurm has nothing to add to it.
    ordinary: bool = False
    #: The site took the job's node from it: the pod itself did nothing to end (v1.PodCondition DisruptionTarget).
    disruption: bool = False


_SAID_NOTHING = "before the pod runner could report its end; the job's batch.log may say why"
ENDS = {
    "BOOT_FAIL": JobEnd("BootFailure", "failed because its node{nodes} did not boot", disruption=True),
    "CANCELLED": JobEnd("Cancelled", "was cancelled{by}", 143),
    "COMPLETED": JobEnd("JobEnded", "ended " + _SAID_NOTHING, ordinary=True),
    "DEADLINE": JobEnd("DeadlineExceeded", "could not end before its deadline"),
    "FAILED": JobEnd("JobFailed", "failed{code} " + _SAID_NOTHING, ordinary=True),
    "LAUNCH_FAILED": JobEnd("LaunchFailed", "could not be launched on its node{nodes}", disruption=True),
    "NODE_FAIL": JobEnd("NodeFailure", "lost its node{nodes}", disruption=True),
    # Of a job of which the kernel killed any process; its containers know better what that came to.
    "OUT_OF_MEMORY": JobEnd("OOMKilled", "ran out of memory", ordinary=True),
    "PREEMPTED": JobEnd("Preempted", "was preempted for a job of higher priority", 143, disruption=True),
    "REVOKED": JobEnd("Revoked", "was revoked, because another cluster of the federation runs it"),
    "TIMEOUT": JobEnd("DeadlineExceeded", "reached its time limit{limit}"),
}


def parse_state(text: str | Iterable[str]) -> tuple[str, frozenset[str]]:
    """Split Slurm's words into the state and the flags beside it.

    Takes every spelling in use: ``RUNNING``, ``CANCELLED by 0`` and ``COMPLETED+`` (sacct), ``RUNNING,COMPLETING``,
    ``["CANCELLED", "COMPLETING"]`` (JSON). Returns ``("", …)`` for no words at all.
    """
    joined = text if isinstance(text, str) else ",".join(text)
    words = [re.sub(r"( BY .*|\+)$", "", word.strip()) for word in re.split(r"[,|]", joined.upper())]
    words = [word for word in words if word]
    states = [word for word in words if word not in FLAGS] or words[:1]
    flags = frozenset(word for word in words if word not in states)
    return (states[0] if states else ""), flags


def job_phase(state: str, flags: frozenset[str] = frozenset()) -> JobPhase:
    """Return where the job stands; a requeue flag means that it waits again, a starting one that it still waits."""
    if flags & REQUEUES:
        return JobPhase.PENDING
    phase = PHASES.get(state, JobPhase.RUNNING)
    if phase is JobPhase.ENDED and flags & _LINGERING_FLAGS:
        return JobPhase.COMPLETING
    if phase is JobPhase.RUNNING and flags & STARTING:
        return JobPhase.PENDING
    return phase


def job_end(state: str) -> JobEnd:
    """Return how the end of a job in this state reads; a word that is not in the table is repeated."""
    return ENDS.get(state) or JobEnd("JobEnded", f"ended in state {state or 'unknown'}")
