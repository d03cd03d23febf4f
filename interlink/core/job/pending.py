"""Slurm's reasons for a job to wait, in plain words: what the waiting message of a pod says.

Source: job_reason_codes.html and job_state_reason_string() of Slurm 22.05 to 26.05. Invariant: a reason that no table
knows is repeated as it is and counts as one that passes, because only Slurm knows what it means.
"""

import re
from dataclasses import dataclass
from enum import Enum


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

#: AssocGrpCpuLimit, QOSMaxMemoryPerUser, AssocMaxWallDurationPerJobLimit, QOSMinCpuNotSatisfied, …
_LIMIT = re.compile(
    r"(?P<whose>Assoc|QOS)(?P<kind>Grp|Max|Min)"
    r"(?P<what>Cpu|CPU|Memory|Mem|Node|GRES|BB|Billing|Energy|License|SubmitJobs?|Jobs?|WallDuration|Wall|Unknown)"
    r"(?P<time>(?:Run)?(?:Minutes|Mins))?(?:Per(?P<scope>Job|Node|User|Account|Acct))?(?:Limit|NotSatisfied)?"
)
_WHOSE = {"Assoc": "the account", "QOS": "the quality of service (QOS)"}
#: What is limited → in a sentence, and what of the pod asks for it.
_WHAT = {
    "cpu": ("cores", "cpu requests and limits"),
    "memory": ("memory", "memory requests and limits"),
    "mem": ("memory", "memory requests and limits"),
    "node": ("nodes", "number of nodes"),
    "gres": ("GPUs or other generic resources", "GPU limits"),
    "bb": ("burst buffer space", "burst buffer"),
    "billing": ("billed resources", "requests and limits"),
    "energy": ("energy", "requests and limits"),
    "license": ("licences", "licences"),
    "unknown": ("resources", "requests and limits"),
    "wall": ("time", "activeDeadlineSeconds"),
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
    match = _LIMIT.fullmatch(word)
    return None if match is None else _limit(**{key: value or "" for key, value in match.groupdict().items()})


def _limit(*, whose: str, kind: str, what: str, time: str, scope: str) -> Pending:
    """Return the words for a limit of an account or QOS, which Slurm names by a grammar."""
    owner, what = _WHOSE[whose], what.lower()
    if what.startswith("wall") and kind != "Grp":
        longer = f"the job's time limit is longer than {owner} allows"
        return Pending(Wait.BLOCKED, longer, "lower activeDeadlineSeconds")
    who = {"User": "the user", "Account": "the account", "Acct": "the account"}.get(scope, "the user")
    if "job" in what:
        have = "has as many jobs in the queue" if what.startswith("submit") else "runs as many jobs"
        sentence = f"{owner} {have} as it may" if kind == "Grp" else f"{who} {have} as {owner} allows"
        return Pending(Wait.PASSES, sentence)
    thing, asked = _WHAT[what]
    thing = f"minutes of {thing}" if time else thing
    if kind == "Min":
        return Pending(Wait.BLOCKED, f"the job asks for fewer {thing} than {owner} demands", f"raise the pod's {asked}")
    if kind == "Max" and scope in ("Job", "Node"):
        each = " on one node" if scope == "Node" else ""
        return Pending(
            Wait.BLOCKED, f"the job asks for more {thing}{each} than {owner} allows", f"lower the pod's {asked}"
        )
    together = f"all jobs of {owner} together use as much as they may of: {thing}"
    return Pending(Wait.PASSES, together if kind == "Grp" else f"{who} uses as much as {owner} allows of: {thing}")
