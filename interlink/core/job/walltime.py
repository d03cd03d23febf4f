"""The job's time limit and the warning before it: --time and --signal.

Called by ``placement``. The pod runner ends its containers by itself when activeDeadlineSeconds are over, and when
Slurm's warning comes: both leave the grace period and a margin before Slurm kills the job. Invariant: the warning never
comes before the pod's own deadline, and never at the very start of a job whose limit we know.
"""

import re
from dataclasses import dataclass

from interlink.core.errors import UnsupportedPod
from interlink.core.job.numbers import MOST_WARNING, bounded

#: After the grace period: containers that are killed, the last report, the stage-out of the node's own files.
MARGIN_SECONDS = 15
#: So much earlier than asked may the signal come (sbatch(1), --signal).
EARLY_SECONDS = 60
_SIGNAL = re.compile(r"(?:B:)?(?:SIG)?(?:TERM|15)@(?P<seconds>[0-9]{1,5})", re.IGNORECASE)


@dataclass(frozen=True)
class Walltime:
    """``limit_minutes`` None leaves the partition's own limit; ``signal`` is sbatch's --signal."""

    limit_minutes: int | None
    signal: str


def walltime(*, deadline: int | None, grace: int, limit_minutes: int | None, warning: str = "") -> Walltime:
    """Return the limit and the warning of a job.

    ``deadline`` and ``grace`` are the pod's, in seconds; ``limit_minutes`` is what its flags or flavor say, and
    ``warning`` their --signal, of which only "SIGTERM so many seconds before the end" can be had.
    Raises UnsupportedPod for another signal, and for a deadline that Slurm cannot hold.
    """
    warn = grace + MARGIN_SECONDS
    if warning:
        match = _SIGNAL.fullmatch(warning)
        if match is None:
            raise UnsupportedPod(f"--signal={warning[:60]}: only B:TERM@SECONDS reaches the containers")
        warn = max(warn, int(match["seconds"]))
    if deadline is not None:
        own = bounded("activeDeadlineSeconds, in minutes", -(-(deadline + warn + EARLY_SECONDS) // 60))
        limit_minutes = own if limit_minutes is None else min(own, limit_minutes)
    if limit_minutes is not None:
        # Of a short limit at least two thirds are left to work in, as far as Slurm's own resolution lets them.
        warn = min(warn, limit_minutes * 60 // 3)
    return Walltime(limit_minutes, f"B:TERM@{min(warn, MOST_WARNING)}")
