"""What Slurm's commands print when they fail → Slurm's error numbers, which ``slurm_errors`` knows what to do about.

Called by the classes beside it. The texts are slurm_strerror's of 26.05, as libslurm gives them; compared as pieces
of a line, the longest first, whatever stands around them.
"""

import re

from interlink.sidecars.slurm.transport.host import Finished

TEXTS = {
    101: "Network is unreachable",
    111: "Connection refused",
    113: "No route to host",
    1001: "Communication connection failure",
    1002: "Message send failure",
    1003: "Message receive failure",
    1004: "Communication shutdown failure",
    1005: "Incompatible versions of client and server code",
    1006: "I/O stream version number error",
    1009: "Invalid MPI plugin name",
    1010: "MPI plugin's pre-launch setup failed",
    1011: "Plugin initialization failed",
    1021: "Connection timed out establishing",
    1023: "Connection timed out reading",
    1800: "Unable to contact slurm controller (connect failure)",
    1801: "Unable to contact slurm controller (send failure)",
    1802: "Unable to contact slurm controller (receive failure)",
    1803: "Unable to contact slurm controller (shutdown failure)",
    1804: "Rate limit exceeded, please retry momentarily",
    1805: "Rate limit exceeded, please retry later",
    2000: "Invalid partition name specified",
    2001: "No partition specified or system default partition",
    2002: "Access/permission denied",
    2003: "User's group not permitted to use this partition",
    2004: "Requested nodes not in this partition",
    2005: "More processors requested than permitted",
    2006: "Node count specification invalid",
    2007: "MaxJobCount limit reached",
    2008: "Job size specification needs to be provided",
    2009: "Job script not specified",
    2010: "Invalid user id",
    2012: "Pathname of a file, directory or other parameter too long",
    2014: "Requested node configuration is not available",
    2015: "Requested partition configuration not available now",
    2016: "Requested nodes are busy",
    2017: "Invalid job id specified",
    2018: "Invalid node name specified",
    2019: "I/O error writing script/environment to file",
    2020: "Job can not be altered now, try again later",
    2021: "Job/step already completing or completed",
    2023: "Task distribution specification invalid",
    2024: "Job is pending execution",
    2025: "Task count specification invalid",
    2027: "Slurm backup controller in standby mode",
    2029: "Invalid feature specification",
    2036: "Requested operation not supported on this system",
    2038: "Job dependency problem",
    2039: "Only batch jobs are accepted or processed",
    2044: "Memory required by task is not available",
    2045: "Invalid account or account/partition combination specified",
    2048: "Invalid license specification",
    2049: "The node configuration changes that were made require restart of the slurmctld daemon to take effect",
    2050: "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
    2051: "Requested time limit is invalid (missing or exceeds some limit)",
    2052: "Access denied to requested reservation",
    2053: "Requested reservation is invalid",
    2054: "Invalid time specified",
    2055: "Requested reservation is in use",
    2057: "Invalid wckey specification",
    2061: "PrologSlurmctld is still running",
    2066: "Invalid qos specification",
    2068: "Required node not available (down, drained or reserved)",
    2069: "CPU count specification invalid",
    2072: "Invalid generic resource (gres) specification",
    2081: "Invalid job array specification",
    2084: "Job has already finished",
    2085: "Job is not running",
    2092: "Burst Buffer permission denied",
    2094: "Burst Buffer request invalid",
    2099: "Invalid mcs_label specified",
    2101: "Partition in DOWN state",
    2102: "Duplicate generic resource (gres) specification",
    2105: "System submissions disabled",
    2111: "Core count for reservation node list is not consistent!",
    2114: "Job --batch option is invalid or not a subset of --constraint",
    2115: "Invalid Trackable RESource (TRES) specification",
    2119: "Invalid GRES specification (with and without type identification)",
    2121: "Multiple KNL NUMA and/or MCDRAM constraints require use of a heterogeneous job",
    2122: "Requested GRES option unsupported by configured SelectType plugin",
    2123: "Invalid --nice value",
    2124: "Invalid time-min specification (exceeds job's time or other limits)",
    2129: "Reservations can't have users and groups specified, only one or the other",
    2130: "Multiple partition job request not supported when a partition is set in the association",
    2131: "Controller is in standby mode, try a different controller",
    2132: "Cannot request more threads per core than the job allocation",
    2133: "Invalid preferred feature specification",
    2134: "Insufficient GRES available in allocation",
    2163: "Invalid group ID",
    2164: "Unable to resolve group ID to group name",
    2166: "Unable to resolve user ID to user name",
    2167: "Invalid or unknown association",
    2170: "Invalid QOS specification, relative QOS can only be used in a single partition per cluster.",
    2171: "Invalid extra constraints specification",
    2174: "RestrictedCoresPerGPU: Not enough unique cores per GPU",
    2175: "RestrictedCoresPerGPU: Missing core topology for GPUs",
    2176: "RestrictedCoresPerGPU: No GPUs configured on node",
    2178: "Requested topology configuration is not available",
    5003: "Header lengths are longer than data received",
    5004: "Socket timed out on send/recv operation",
    5005: "Zero Bytes were transmitted or received",
    6000: "Invalid authentication credential",
    6001: "Authentication credential expired",
    7000: "Unable to connect to database",
    7008: "Database connection reference is invalid",
    7105: "Job locked by another sibling",
    8000: "Time limit specification required, but not provided",
}
_LONGEST_FIRST = sorted(TEXTS.items(), key=lambda item: -len(item[1]))
#: "sbatch: error: ", "slurm_load_jobs error: ", "scancel: error: Kill job error on job id 9: " …
_PREFIX = re.compile(r"^(?:[a-z_]+: )?(?:[a-z_]+ )?(?:error|fatal): (?:Kill job error on job id [0-9_+]+: )?")
_FAILED = "Batch job submission failed: "


def error_number(text: str) -> int | None:
    """Return the number behind the words; None for words that no table knows."""
    return next((number for number, words in _LONGEST_FIRST if words in text), None)


def said(finished: Finished) -> str:
    """Return what a command said of its failure as one line, the last and most general word first."""
    lines = [_PREFIX.sub("", line.strip()) for line in f"{finished.errors}\n{finished.output}".splitlines()]
    lines = [line.removeprefix(_FAILED) for line in lines if line]
    ordered = list(dict.fromkeys(lines[-1:] + lines[:-1]))
    first, others = " ".join(ordered[:1]), "; ".join(ordered[1:])
    return (f"{first} ({others})" if others else first)[:1000]


def is_error(finished: Finished) -> bool:
    """Whether the command failed; some print an error and end with 0 (squeue of an unknown user)."""
    return finished.status != 0 or "error: " in finished.errors
