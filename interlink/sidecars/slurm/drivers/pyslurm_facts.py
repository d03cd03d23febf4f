"""pyslurm's objects → our facts, by attribute; takes any object with those attributes, imports no pyslurm.

Called by ``pyslurm_child``. Invariant: Slurm's expected times are never passed on as real ones, and
exit codes not at all, because pyslurm's arithmetic on them is wrong (137 → 9, 128 → 0, so 9 may be either).
"""

import pwd
from collections import Counter
from collections.abc import Iterable, Set
from functools import lru_cache
from typing import Any

import msgspec

from interlink.core.job.facts import JobFacts
from interlink.core.job.states import JobPhase, job_phase, parse_state
from interlink.sidecars.slurm.driver import Capacity

#: slurmdbd's words for no node.
_NO_NODES = "None assigned"
#: Few words, in thousands of jobs.
_parse_state = lru_cache(maxsize=256)(parse_state)
_STARTED = (JobPhase.RUNNING, JobPhase.COMPLETING, JobPhase.ENDED)


def of_job(job: Any) -> JobFacts:
    """Return the facts of a ``pyslurm.Job``, as slurmctld knows it."""
    return _facts(job, nodes=job.allocated_nodes, reason=job.state_reason, restarts=job.requeue_count)


def of_record(job: Any) -> JobFacts:
    """Return the facts of a ``pyslurm.db.Job``, as accounting knows it; it alone says who cancelled a job."""
    facts = _facts(job, nodes=job.nodelist, reason="", restarts=job.requeue_count)
    if facts.state != "CANCELLED":
        return facts
    return msgspec.structs.replace(facts, cancelled_by=_user_id(job.cancelled_by))


def capacity(partitions: Set[str], nodes: Iterable[Any]) -> Capacity:
    """Sum up the nodes of the partitions, whatever their state."""
    members = [node for node in nodes if not partitions.isdisjoint(_names(node.partitions))]
    gres: Counter[str] = Counter()
    for node in members:
        gres.update(node.configured_gres or {})
    return Capacity(
        cpus=sum(node.total_cpus or 0 for node in members),
        memory_mib=sum(node.real_memory or 0 for node in members),
        nodes=len(members),
        gres=dict(gres),
    )


def _facts(job: Any, *, nodes: str | None, reason: str | None, restarts: int | None) -> JobFacts:
    """Return the facts that both kinds of job have under the same name, and those three."""
    state, flags = _parse_state(str(job.state or ""))
    nodes = "" if nodes in (None, _NO_NODES) else nodes
    phase = job_phase(state, flags)
    return JobFacts(
        job_id=int(job.id),
        uid=job.comment or "",
        state=state,
        flags=flags,
        reason=reason or "",
        submit_time=_seconds(job.submit_time),
        # A job that ended in the queue has the time of its end there.
        start_time=_seconds(job.start_time) if phase in _STARTED and nodes else None,
        expected_start=_seconds(job.start_time) if state == "PENDING" and phase is JobPhase.PENDING else None,
        end_time=_seconds(job.end_time) if phase is JobPhase.ENDED else None,
        time_limit_minutes=job.time_limit if isinstance(job.time_limit, int) else None,
        nodes=nodes,
        restart_count=int(restarts or 0),
    )


def _user_id(user: str | None) -> int | None:
    """Return the id behind what pyslurm made of it: a name, or the number where there is none."""
    if not user or user.isdecimal():
        return int(user) if user else None
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def _seconds(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and value > 0 else None


def _names(value: Any) -> list[str]:
    return value.split(",") if isinstance(value, str) else list(value or ())
