"""Slurm's reasons for a job to wait, in plain words: what the waiting message of a pod says.

Source: job_reason_codes.html and job_state_reason_string() of Slurm 22.05 to 26.05. Invariant: a reason that no table
knows is repeated as it is and counts as one that passes, because only Slurm knows what it means.
"""

from dataclasses import dataclass
from enum import Enum

from interlink.core.job.limits import limit


class Wait(Enum):
    """Whether a job's wait ends by itself; the value is the waiting reason of the pod's containers."""

    PASSES = "SlurmPending"
    #: Until somebody releases the job.
    HELD = "SlurmHeld"
    #: Until the pod or the site's configuration changes.
    BLOCKED = "SlurmBlocked"


@dataclass(frozen=True)
class Pending:
    """One reason: what it is for a kind, the rest of a sentence "Pending in Slurm (job 12): …", and what to change."""

    wait: Wait
    sentence: str
    change: str = ""


_PASSES = {
    "None": "the scheduler has not looked at the job yet",
    "Priority": "jobs of higher priority come first",
    "Resources": "the job waits for free cores, memory or nodes",
    "BeginTime": "the job's earliest start time has not come yet",
    "Dependency": "the job waits for another job that it depends on",
    "PartitionDown": "the partition is down",
    "PartitionInactive": "the partition accepts no job starts at present",
    "ReqNodeNotAvail": "a node that the job needs is down, drained or reserved",
    "NodeDown": "a node that the job needs is down",
    "Licenses": "the job waits for a licence",
    "Reservation": "the job waits for its reservation to begin",
    "JobLaunchFailure": "the job could not be launched",
    "Cleaning": "the job was requeued, and its earlier run is still being cleared away",
    "Prolog": "the node's prolog script still runs",
    "Nodes_required_for_job_are_DOWN,_DRAINED_or_reserved_for_jobs_in_higher_priority_partitions": (
        "the nodes that the job needs are down, drained or reserved for partitions of higher priority"
    ),
    "BurstBufferResources": "the job waits for burst buffer space",
    "BurstBufferStageIn": "data are being staged in to the burst buffer",
    "FrontEndDown": "no front end node is available",
    "JobArrayTaskLimit": "the job array runs as many tasks at once as it may",
    "SystemFailure": "Slurm itself, its file system or its network has a problem",
    "AssociationJobLimit": "the account runs as many jobs as it may",
    "AssociationResourceLimit": "the account uses as much as it may",
    "AssociationTimeLimit": "the account has used up its time",
    "QOSJobLimit": "as many jobs of this quality of service (QOS) run as may",
    "QOSResourceLimit": "the quality of service (QOS) has no more resources to give",
    "QOSTimeLimit": "the quality of service (QOS) has used up its time",
    "QOSUsageThreshold": "the quality of service (QOS) demands a better usage factor than the account has",
}

_RELEASE = "it starts once it is released (scontrol release)"
_HELD = {
    "JobHeldUser": "the job is held by its user",
    "JobHeldAdmin": "the job is held by an administrator",
    "JobHoldMaxRequeue": "the job was requeued too often and is held",
    "launch_failed_requeued_held": "the job could not be launched and is held; its node may have a problem",
    "job_requeued_in_held_state": "the job was requeued and is held",
    "ReservationDeleted": "the job's reservation was deleted, and the job is held",
}

#: Reason → sentence, what to change.
_BLOCKED = {
    "DependencyNeverSatisfied": (
        "the job it depends on ended in a way that never lets this one start",
        "delete the pod and create it without that dependency",
    ),
    "PartitionNodeLimit": (
        "the job asks for more or fewer nodes than the partition allows",
        "ask for other nodes or another partition",
    ),
    "PartitionTimeLimit": (
        "the job's time limit is longer than the partition allows",
        "lower activeDeadlineSeconds, or choose another partition",
    ),
    "PartitionConfig": (
        "the job asks for what the partition is not configured for",
        "lower the pod's requests and limits, or choose another partition",
    ),
    "BadConstraints": (
        "no node of the site can ever satisfy what the job asks for",
        "lower the pod's requests and limits, or drop its constraints",
    ),
    "InvalidAccount": (
        "the job's account is not valid on this site",
        "choose another account, or let the site's administrator add it",
    ),
    "InvalidQOS": ("the job's quality of service (QOS) is not valid on this site", "choose another QOS"),
    "AccountNotAllowed": ("the job's account may not use this partition", "choose another account or partition"),
    "QOSNotAllowed": (
        "the job's quality of service (QOS) may not be used in this partition or account",
        "choose another QOS or partition",
    ),
    "MaxMemPerLimit": (
        "the job asks for more memory per core or node than the site allows",
        "lower the pod's memory requests and limits",
    ),
}


def pending(reason: str) -> Pending:
    """Return what the reason means; Slurm's own word stands behind the sentence, or alone where no table knows it."""
    word = reason.strip().strip("()") or "None"
    for key in (word, word.split(",", 1)[0]):
        found = _look_up(key.replace(" ", "_"))
        if found is not None:
            shown = found.sentence if word == "None" else f"{found.sentence} ({word})"
            return Pending(found.wait, shown, found.change)
    return Pending(Wait.PASSES, word)


def _look_up(word: str) -> Pending | None:
    if word in _PASSES:
        return Pending(Wait.PASSES, _PASSES[word])
    if word in _HELD:
        return Pending(Wait.HELD, _HELD[word], _RELEASE)
    if word in _BLOCKED:
        return Pending(Wait.BLOCKED, *_BLOCKED[word])
    found = limit(word)
    if found is None:
        return None
    return Pending(Wait.BLOCKED, *found.exceeded()) if found.of_one_job else Pending(Wait.PASSES, found.reached())
