"""A job in pyslurm's attributes: everything of it, in the forms that pyslurm 25.11 was seen to take."""

from pathlib import Path

import pytest

from interlink.core.job.policy import NEVER
from interlink.core.job.sbatch import OPTIONS
from interlink.sidecars.slurm.drivers.pyslurm_job import NotPossible, description
from tests.unit.sidecars.slurm.driver_contract import make_request

HERE = Path("/tmp")


def test_every_field_of_the_job_is_said() -> None:
    said = description(
        make_request(
            HERE, partition="main,short", account="a", qos="q", reservation="r", constraint="c&d", nodes=2, tasks=8,
            gres=("gpu:a100:2", "fpga:1"), tmp_mib=5, signal="B:TERM@45", requeue=True,
            time_limit_minutes=7,
        )
    )  # fmt: skip
    wanted = {
        "partitions": ["main", "short"], "account": "a", "qos": "q", "reservations": ["r"], "constraints": "c&d",
        "nodes": 2, "ntasks": 8, "gres_per_node": "gpu:a100:2,fpga:1", "temporary_disk_per_node": "5M",
        "signal": "B:SIGTERM@45", "is_requeueable": True, "time_limit": 7,
    }  # fmt: skip
    assert {name: said[name] for name in wanted} == wanted


def test_what_is_not_said_is_left_to_slurm_but_no_requeue() -> None:
    said = description(make_request(HERE))
    assert not {"partitions", "reservations", "gres_per_node", "signal", "user_id", "qos", "constraints"} & set(said)
    assert said["is_requeueable"] is False


@pytest.mark.parametrize(
    ("option", "value", "attribute"),
    [
        ("exclusive", "", ("resource_sharing", "exclusive")),
        ("exclusive", "user", ("resource_sharing", "user")),
        ("nodelist", "c[1-2]", ("required_nodes", "c[1-2]")),
        ("exclude", "c3", ("excluded_nodes", "c3")),
        ("licenses", "a:2", ("licenses", "a:2")),
        ("dependency", "afterok:1", ("dependencies", "afterok:1")),
        ("begin", "now+1hour", ("begin_time", "now+1hour")),
        ("nice", "", ("nice", 100)),
        ("nice", "7", ("nice", 7)),
        ("mail-type", "END,FAIL", ("mail_types", "END,FAIL")),
        ("no-kill", "", ("kill_on_node_fail", False)),
        ("hold", "", ("priority", 0)),
        ("time-min", "1-02:03:04", ("time_limit_min", "1-02:04:00")),
        ("ntasks-per-node", "4", ("ntasks_per_node", 4)),
    ],
)
def test_options_become_attributes(option: str, value: str, attribute: tuple[str, object]) -> None:
    assert description(make_request(HERE, options={option: value}))[attribute[0]] == attribute[1]


@pytest.mark.parametrize("option", ["distribution", "switches", "hint", "prefer"])
def test_an_option_that_pyslurm_cannot_say_is_refused_by_its_name(option: str) -> None:
    with pytest.raises(NotPossible, match=rf"--{option} is not possible .*; SlurmDriver: cli can"):
        description(make_request(HERE, options={option: "x"}))


def test_every_option_is_said_or_refused_and_never_left_out() -> None:
    plain = description(make_request(HERE))
    for option in OPTIONS.keys() - NEVER.keys():
        try:
            said = description(make_request(HERE, options={option: "3"}))
        except NotPossible:
            continue
        assert said != plain, option


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(NotPossible, match="--ntasks-per-node: 'many' is no number"):
        description(make_request(HERE, options={"ntasks-per-node": "many"}))
