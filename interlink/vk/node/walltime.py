"""A node whose time is limited: how much is left, when nothing new may come, when pods are to go, when it is over.

Pure; used by ``controller.py``. The end is kept in the node's own annotation, so that a virtual kubelet that was killed
goes on towards it; another run (the next batch job of the same node's name) begins anew.
"""

import enum
import os
import socket
from collections.abc import Mapping
from typing import Any

import msgspec

from interlink.config.nodes import NodeSettings

Json = dict[str, Any]

TAINT = "interlink.io/walltime"
#: Where the batch system says which job this process is part of: another job is another run.
_JOB_VARIABLES = ("SLURM_JOB_ID", "PBS_JOBID", "JOB_ID", "LSB_JOBID")
#: The label with the time that is left falls in steps, because each is a write: fine ones towards the end.
_STEP_SECONDS, _FINE_STEP_SECONDS, _FINE_BELOW_SECONDS = 60, 10, 600


class Stage(enum.IntEnum):
    """How far the end is."""

    OPEN = 0
    #: Nothing new is scheduled here.
    CLOSED = 1
    #: Pods are evicted, and what comes all the same is refused.
    DRAINED = 2
    OVER = 3


class Term(msgspec.Struct, frozen=True):
    """The time that one run gives a node. ``seconds`` is the whole of it, ``ends`` in epoch seconds."""

    run: str
    seconds: int
    ends: int

    def continued(self, held: "Term | None") -> "Term":
        """Return the term that an earlier process of this run has begun, else this one."""
        same = held is not None and (held.run, held.seconds) == (self.run, self.seconds) and held.ends <= self.ends
        return held if held and same else self

    def left(self, now: float) -> int:
        """Return the whole seconds that are left."""
        return max(0, int(self.ends - now))

    def stage(self, now: float, drain: float) -> Stage:
        """Return the stage; ``drain`` seconds before the end the node is closed, and halfway from there drained."""
        drain = min(drain, self.seconds / 2)
        left = self.ends - now
        if left <= 0:
            return Stage.OVER
        if left <= drain / 2:
            return Stage.DRAINED
        return Stage.CLOSED if left <= drain else Stage.OPEN

    def labels(self, now: float) -> dict[str, str]:
        """Return JIRIAF's labels; what is left is rounded down, so that ``Gt`` in an affinity promises enough."""
        left = self.left(now)
        step = _STEP_SECONDS if left > _FINE_BELOW_SECONDS else _FINE_STEP_SECONDS
        return {"jiriaf.walltime": str(self.seconds), "jiriaf.alivetime": str(left - left % step)}


def new_term(settings: NodeSettings, now: float, environ: Mapping[str, str] = os.environ) -> Term | None:
    """Return the term of a node that begins now, None where its time is not limited."""
    if not settings.walltime:
        return None
    run = next((environ[name] for name in _JOB_VARIABLES if environ.get(name)), "") or socket.gethostname()
    return Term(run, settings.walltime, int(now) + settings.walltime)


def walltime_taints(stage: Stage) -> list[Json]:
    """Return the taints of a stage: the second one has Kubernetes evict the pods, with their own grace period."""
    effects = {Stage.OPEN: (), Stage.CLOSED: ("NoSchedule",)}.get(stage, ("NoSchedule", "NoExecute"))
    return [{"key": TAINT, "value": "ending", "effect": effect} for effect in effects]
