"""Slurm's reasons for a job to wait, in plain words: what the waiting message of a pod says.

Source: job_reason_codes.html and job_state_reason_string() of Slurm 22.05 to 26.05. Each text completes "Pending in
Slurm (job 12): …".
"""

SENTENCES = {
    "None": "the scheduler has not looked at the job yet",
    "Priority": "jobs of higher priority come first",
    "Resources": "the job waits for free cores, memory or nodes",
    "BeginTime": "the job's earliest start time has not come yet",
    "Dependency": "the job waits for another job that it depends on",
    "DependencyNeverSatisfied": "the job it depends on ended in a way that never lets this one start",
    "PartitionDown": "the partition is down",
    "PartitionInactive": "the partition accepts no job starts at present",
    "PartitionNodeLimit": "the job asks for more nodes than the partition allows",
    "PartitionTimeLimit": "the job's time limit is longer than the partition allows",
    "PartitionConfig": "the job asks for what the partition is not configured for",
    "ReqNodeNotAvail": "a node that the job needs is down, drained or reserved",
    "NodeDown": "a node that the job needs is down",
    "BadConstraints": "no node of the site can ever satisfy what the job asks for",
    "Licenses": "the job waits for a licence",
    "Reservation": "the job waits for its reservation to begin",
    "ReservationDeleted": "the job's reservation was deleted",
    "InvalidAccount": "the job's account is not valid on this site",
    "InvalidQOS": "the job's quality of service (QOS) is not valid on this site",
    "AccountNotAllowed": "the job's account may not use this partition",
    "QOSNotAllowed": "the job's quality of service (QOS) may not be used in this partition or account",
    "JobHeldUser": "the job is held by its user",
    "JobHeldAdmin": "the job is held by an administrator",
    "JobHoldMaxRequeue": "the job was requeued too often and is held",
    "JobLaunchFailure": "the job could not be launched",
    "launch_failed_requeued_held": "the job could not be launched and is held; its node may have a problem",
    "job_requeued_in_held_state": "the job was requeued and is held",
    "Cleaning": "the job was requeued, and its earlier run is still being cleared away",
    "Prolog": "the node's prolog script still runs",
    "Nodes_required_for_job_are_DOWN,_DRAINED_or_reserved_for_jobs_in_higher_priority_partitions": (
        "the nodes that the job needs are down, drained or reserved for partitions of higher priority"
    ),
    "BurstBufferResources": "the job waits for burst buffer space",
    "BurstBufferStageIn": "data are being staged in to the burst buffer",
    "FrontEndDown": "no front end node is available",
    "MaxMemPerLimit": "the job asks for more memory per core or node than the site allows",
    "JobArrayTaskLimit": "the job array runs as many tasks at once as it may",
    "SystemFailure": "Slurm itself, its file system or its network has a problem",
    "AssociationJobLimit": "the account runs as many jobs as it may",
    "AssociationResourceLimit": "the account uses as much as it may",
    "AssociationTimeLimit": "the account has used up its time",
    "AssocGrpCpuLimit": "the account uses as many cores as it may",
    "AssocGrpMemLimit": "the account uses as much memory as it may",
    "AssocGrpJobsLimit": "the account runs as many jobs as it may",
    "AssocGrpSubmitJobsLimit": "the account has as many jobs in the queue as it may",
    "AssocGrpCPUMinutesLimit": "the account has used up its core minutes",
    "AssocMaxJobsLimit": "the user runs as many jobs as the account allows",
    "AssocMaxWallDurationPerJobLimit": "the job's time limit is longer than the account allows",
    "QOSGrpCpuLimit": "all jobs of this quality of service (QOS) together use as many cores as they may",
    "QOSGrpMemLimit": "all jobs of this quality of service (QOS) together use as much memory as they may",
    "QOSGrpNodeLimit": "all jobs of this quality of service (QOS) together use as many nodes as they may",
    "QOSGrpJobsLimit": "as many jobs of this quality of service (QOS) run as may",
    "QOSJobLimit": "as many jobs of this quality of service (QOS) run as may",
    "QOSResourceLimit": "the quality of service (QOS) has no more resources to give",
    "QOSTimeLimit": "the quality of service (QOS) has used up its time",
    "QOSUsageThreshold": "the quality of service (QOS) demands a better usage factor than the account has",
    "QOSMaxCpuPerUserLimit": "the user has as many cores as the quality of service (QOS) allows",
    "QOSMaxCpuPerJobLimit": "the job asks for more cores than the quality of service (QOS) allows",
    "QOSMaxMemoryPerUser": "the user has as much memory as the quality of service (QOS) allows",
    "QOSMaxMemoryPerJob": "the job asks for more memory than the quality of service (QOS) allows",
    "QOSMaxNodePerUserLimit": "the user has as many nodes as the quality of service (QOS) allows",
    "QOSMaxJobsPerUserLimit": "the user runs as many jobs as the quality of service (QOS) allows",
    "QOSMaxSubmitJobPerUserLimit": "the user has as many jobs in the queue as the quality of service (QOS) allows",
    "QOSMaxWallDurationPerJobLimit": "the job's time limit is longer than the quality of service (QOS) allows",
    "QOSMinCpuNotSatisfied": "the job asks for fewer cores than the quality of service (QOS) demands",
    "QOSMinGRES": "the job asks for fewer GPUs or other generic resources than the quality of service (QOS) demands",
}


def pending_sentence(reason: str) -> str:
    """Return the reason in plain words with Slurm's own word behind them, or that word alone where none is known."""
    word = reason.strip().strip("()") or "None"
    sentence = SENTENCES.get(word) or SENTENCES.get(word.split(",", 1)[0])
    if sentence is None:
        return word
    return sentence if word == "None" else f"{sentence} ({word})"
