"""Slurm's words of refusal → what to change, for the pod's author or the site's administrator.

Pure; used by ``submit``. The left side is a piece of Slurm's own text (slurm_strerror of
22.05 to 26.05); the first that fits counts, behind the limit that the text names.
"""

from interlink.core.job.limits import limit_in

HINTS = (
    ("node configuration is not available", "no node has that much: lower the pod's cpu or memory requests and limits"),
    ("Memory required by task is not available", "no node has that much memory: lower the pod's memory limits"),
    ("More processors requested than permitted", "lower the pod's cpu requests and limits"),
    ("cannot be described to Slurm", "lower the pod's cpu and memory requests and limits"),
    ("CPU count", "lower the pod's cpu requests and limits"),
    ("time limit", "lower activeDeadlineSeconds to the partition's limit"),
    (
        "Invalid account",
        "name an account of the job's user, in the pod or in the site's SlurmAccount",
    ),
    (
        "Invalid partition",
        "name a partition of `sinfo`, in the pod or in the site's SlurmPartition",
    ),
    ("default partition", "the site's administrator has to set SlurmPartition"),
    ("Access/permission denied", "the site's administrator has to give the service's user leave to submit there"),
    ("User's group not permitted", "the site's administrator has to let the service's user into the partition"),
    ("Invalid qos", "the site's administrator has to give the service's user that QOS"),
    ("generic resource (gres)", "ask for resources that the partition's nodes have"),
)


def refused(words: str) -> str:
    """Return Slurm's words with what to change behind them, where that is known."""
    limit = limit_in(words)
    hint = "; ".join(limit.exceeded()) if limit and not limit.counts_jobs else _hint(words)
    return f"Slurm refused the job: {words}" + (f" ({hint})" if hint else "")


def full(words: str) -> str:
    """Return Slurm's words for a job that it did not take yet, with the limit's meaning behind them."""
    limit = limit_in(words)
    return f"Not yet submitted to Slurm: {words}" + (f" ({limit.reached()})" if limit else "")


def _hint(words: str) -> str:
    return next((hint for piece, hint in HINTS if piece.lower() in words.lower()), "")
