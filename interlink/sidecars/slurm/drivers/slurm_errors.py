"""Slurm's error numbers → what to do: try again later, or tell the pod's author. Numbers of slurm_errno.h, 26.05.

Called by ``pyslurm_child`` and ``cli``. A submit is refused only by a number of ``REFUSALS``, or by a limit that the
job breaks by itself: better a pod that waits with Slurm's words on it than one that is given up while its job runs. To
every other call a number that no table knows is a refusal: Slurm answered and said no, and the call is repeated more
slowly.
"""

import errno

from interlink.core.job.limits import limit_in
from interlink.sidecars.slurm.drivers.messages import Failure

#: From here on a number is Slurm's answer to what was asked; below it stand the system's errno (connect, timed out) and
#: the communication errors (1001 CONNECTION_ERROR to 1805 HARD_DROP): Slurm did not answer.
_FIRST_ANSWER = 2000
#: Sockets and authentication (5004 SOCKET_IMPL_TIMEOUT, 6001 AUTH_EXPIRED): no answer either.
_NO_ANSWER = range(5000, 7000)
#: The request did not even leave: nobody listens.
_NOT_SENT = {
    errno.ENETUNREACH: "ENETUNREACH",
    errno.ECONNREFUSED: "ECONNREFUSED",
    errno.EHOSTUNREACH: "EHOSTUNREACH",
    1001: "CONNECTION_ERROR",
    1021: "CONNECT_TIMEOUT",
    1800: "SLURMCTLD_CONNECTION_ERROR",
    1804: "SLURMCTLD_BACKOFF",
}
#: The job breaks a limit of its account or QOS: one of the moment (MaxSubmitJobs), or one that it breaks whenever it is
#: submitted. Slurm says which by a name beside the number.
_ACCOUNTING_POLICY = 2050
#: Slurm will not have this job, however often it is asked.
REFUSALS = {
    2000: "INVALID_PARTITION_NAME",
    2001: "DEFAULT_PARTITION_NOT_SET",
    2002: "ACCESS_DENIED",
    2003: "JOB_MISSING_REQUIRED_PARTITION_GROUP",
    2004: "REQUESTED_NODES_NOT_IN_PARTITION",
    2005: "TOO_MANY_REQUESTED_CPUS",
    2006: "INVALID_NODE_COUNT",
    2008: "JOB_MISSING_SIZE_SPECIFICATION",
    2009: "JOB_SCRIPT_MISSING",
    2010: "USER_ID_MISSING",
    2012: "PATHNAME_TOO_LONG",
    2014: "REQUESTED_NODE_CONFIG_UNAVAILABLE",
    2015: "REQUESTED_PART_CONFIG_UNAVAILABLE",
    2018: "INVALID_NODE_NAME",
    2023: "BAD_DIST",
    2025: "BAD_TASK_COUNT",
    2029: "INVALID_FEATURE",
    2036: "NOT_SUPPORTED",
    2038: "DEPENDENCY",
    2039: "BATCH_ONLY",
    2044: "INVALID_TASK_MEMORY",
    2045: "INVALID_ACCOUNT",
    2048: "INVALID_LICENSES",
    2051: "INVALID_TIME_LIMIT",
    2052: "RESERVATION_ACCESS",
    2053: "RESERVATION_INVALID",
    2054: "INVALID_TIME_VALUE",
    2057: "INVALID_WCKEY",
    2066: "INVALID_QOS",
    2069: "INVALID_CPU_COUNT",
    2072: "INVALID_GRES",
    2081: "INVALID_ARRAY",
    2092: "BURST_BUFFER_PERMISSION",
    2094: "INVALID_BURST_BUFFER_REQUEST",
    2099: "INVALID_MCS_LABEL",
    2102: "DUPLICATE_GRES",
    2111: "INVALID_CORE_CNT",
    2113: "GROUP_ID_MISSING",
    2114: "BATCH_CONSTRAINT",
    2115: "INVALID_TRES",
    2119: "INVALID_GRES_TYPE",
    2121: "MULTI_KNL_CONSTRAINT",
    2122: "UNSUPPORTED_GRES",
    2123: "INVALID_NICE",
    2124: "INVALID_TIME_MIN_LIMIT",
    2127: "ENVIRONMENT_MISSING",
    2129: "RESERVATION_USER_GROUP",
    2130: "PARTITION_ASSOC",
    2132: "BAD_THREAD_PER_CORE",
    2133: "INVALID_PREFER",
    2134: "INSUFFICIENT_GRES",
    2163: "GROUP_ID_INVALID",
    2164: "GROUP_ID_UNKNOWN",
    2165: "USER_ID_INVALID",
    2166: "USER_ID_UNKNOWN",
    2167: "INVALID_ASSOC",
    2170: "INVALID_RELATIVE_QOS",
    2171: "INVALID_EXTRA",
    2174: "RES_CORES_PER_GPU_UNIQUE",
    2175: "RES_CORES_PER_GPU_TOPO",
    2176: "RES_CORES_PER_GPU_NO",
    2178: "REQUESTED_TOPO_CONFIG_UNAVAILABLE",
    8000: "MISSING_TIME_LIMIT",
}
#: Slurm answered "not now" to another call than a submit: the same may pass later.
TRANSIENT = {
    2007: "MAX_JOB_COUNT",
    2016: "NODES_BUSY",
    2019: "WRITING_TO_FILE",
    2020: "TRANSITION_STATE_NO_UPDATE",
    2027: "IN_STANDBY_MODE",
    2049: "NEED_RESTART",
    _ACCOUNTING_POLICY: "ACCOUNTING_POLICY",
    2055: "RESERVATION_BUSY",
    2061: "PROLOG_RUNNING",
    2068: "NODE_NOT_AVAIL",
    2101: "PARTITION_DOWN",
    2105: "SUBMISSIONS_DISABLED",
    2131: "IN_STANDBY_USE_BACKUP",
    4034: "TOO_MANY_RPCS",
    7000: "DB_CONNECTION",
    7008: "DB_CONNECTION_INVALID",
    7105: "FED_JOB_LOCK",
}
#: There is nothing to signal or cancel any more.
ALREADY_OVER = {2017: "INVALID_JOB_ID", 2021: "ALREADY_DONE", 2084: "JOB_FINISHED", 4002: "KILL_JOB_ALREADY_COMPLETE"}
#: There is no batch step to signal yet (2020 is what slurmctld 26.05 says of a pending job).
JOB_PENDING = {2020: "TRANSITION_STATE_NO_UPDATE", 2024: "JOB_PENDING", 2085: "JOB_NOT_RUNNING"}


#: Slurm did not take the job, and will once others of the user, the account or the site have left the queue.
_FULL = {2007: "MAX_JOB_COUNT", _ACCOUNTING_POLICY: "ACCOUNTING_POLICY"}


def submit_failure(number: int, words: str | None) -> Failure:
    """Return the answer to a submit that Slurm failed with this number and these words."""
    unanswered = not _answered(number) and number not in _NOT_SENT
    refused = number in REFUSALS or (number == _ACCOUNTING_POLICY and _asks_too_much(words or ""))
    full = number in _FULL and not refused
    return Failure(_words(number, words), refused=refused, unanswered=unanswered, full=full)


def failure(number: int, words: str | None) -> Failure:
    """Return the answer to any other call that Slurm failed."""
    return Failure(_words(number, words), refused=_answered(number) and number not in TRANSIENT)


def _asks_too_much(words: str) -> bool:
    """Whether the job breaks a limit whatever else is in the queue; no where Slurm names none."""
    limit = limit_in(words)
    return limit is not None and not limit.counts_jobs


def _answered(number: int) -> bool:
    """Whether the number is Slurm's answer, and not the lack of one."""
    return number >= _FIRST_ANSWER and number not in _NO_ANSWER


def _words(number: int, words: str | None) -> str:
    return words or f"Slurm error {number}"
