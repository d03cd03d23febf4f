"""pyslurm's objects → our facts."""

from types import SimpleNamespace
from typing import Any

import pytest

from interlink.sidecars.slurm.drivers.pyslurm_facts import of_job, of_record


def job(**fields: Any) -> Any:
    """Return a job as pyslurm has one that ended at its --deadline before it had a node (seen with 26.05)."""
    seen = {
        "id": 12, "comment": "u", "state": "DEADLINE", "state_reason": "DeadLine", "submit_time": 1, "start_time": 9,
        "end_time": 9, "time_limit": 1, "requeue_count": 0, "allocated_nodes": None, "nodelist": "None assigned",
        "cancelled_by": None,
    }  # fmt: skip
    return SimpleNamespace(**{**seen, **fields})


@pytest.mark.parametrize("of", [of_job, of_record])
def test_a_job_that_ended_without_a_node_never_started(of: Any) -> None:
    facts = of(job())
    assert (facts.state, facts.nodes, facts.start_time, facts.end_time) == ("DEADLINE", "", None, 9.0)


@pytest.mark.parametrize("of", [of_job, of_record])
def test_one_that_had_a_node_started(of: Any) -> None:
    facts = of(job(state="NODE_FAIL", allocated_nodes="c1", nodelist="c1", start_time=4))
    assert (facts.nodes, facts.start_time) == ("c1", 4.0)
