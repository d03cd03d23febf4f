"""What Slurm says in a job's own log, and nowhere else. Pure; called by the reconciler for a job that was killed.

With OverMemoryKill (slurm.conf, JobAcctGatherParams) slurmd ends the whole batch step as by any SIGKILL: slurmctld,
squeue, sacct and pyslurm all say FAILED and RaisedSignal:9, and why stands in the log alone (seen with 26.05).
"""

import re

#: jobacct_gather's words (slurm_jobacct_gather.c), today's and those of 22.05 and before.
_MEMORY = re.compile(
    rb"^.*\berror: (?:.* exceeded memory limit \([0-9]+ > [0-9]+\), being killed|Exceeded (?:job|step) memory limit)",
    re.MULTILINE,
)


def killed_for_memory(log: bytes) -> bool:
    """Whether the end of a job's log says that Slurm killed the job because it used too much memory."""
    return _MEMORY.search(log) is not None
