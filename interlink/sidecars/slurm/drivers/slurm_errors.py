"""Slurm's error numbers → what to do: try again later, or tell the pod's author. Numbers of slurm_errno.h, 25.11.

Called by ``pyslurm_child``. A number of Slurm's that no table knows is a refusal: Slurm answered, and said no.
"""

from interlink.sidecars.slurm.drivers.messages import Failure

#: From here on a number is Slurm's answer to what was asked; below it stand the system's errno (connect, timed out) and
#: the communication errors (1001 CONNECTION_ERROR to 1805 HARD_DROP): Slurm did not answer.
_FIRST_ANSWER = 2000
#: Slurm answered "not now": the same request may pass later. 2050 covers limits of the moment (MaxSubmitJobs) and of
#: the site alike; a pod that waits with Slurm's words on it is the lesser evil.
TRANSIENT = {
    2007: "MAX_JOB_COUNT",
    2016: "NODES_BUSY",
    2019: "WRITING_TO_FILE",
    2020: "TRANSITION_STATE_NO_UPDATE",
    2027: "IN_STANDBY_MODE",
    2049: "NEED_RESTART",
    2050: "ACCOUNTING_POLICY",
    2055: "RESERVATION_BUSY",
    2061: "PROLOG_RUNNING",
    2068: "NODE_NOT_AVAIL",
    2101: "PARTITION_DOWN",
    2105: "SUBMISSIONS_DISABLED",
    2131: "IN_STANDBY_USE_BACKUP",
    4034: "TOO_MANY_RPCS",
    6000: "AUTH_CRED_INVALID",
    6001: "AUTH_EXPIRED",
    6009: "AUTH_UNABLE_TO_GENERATE_TOKEN",
    7008: "DB_CONNECTION_INVALID",
    7105: "FED_JOB_LOCK",
}
#: There is nothing to signal or cancel any more.
ALREADY_OVER = {2017: "INVALID_JOB_ID", 2021: "ALREADY_DONE", 2084: "JOB_FINISHED", 4002: "KILL_JOB_ALREADY_COMPLETE"}
#: There is no batch step to signal yet (2020 is what slurmctld 26.05 says of a pending job).
JOB_PENDING = {2020: "TRANSITION_STATE_NO_UPDATE", 2024: "JOB_PENDING", 2085: "JOB_NOT_RUNNING"}


def failure(number: int, words: str | None) -> Failure:
    """Return the answer to a call that Slurm failed with this number and these words."""
    refused = number >= _FIRST_ANSWER and number not in TRANSIENT
    return Failure(words or f"Slurm error {number}", refused=refused)
