"""Each command's parser, on what Slurm really printed (recorded/, with the argv that gave it), failures included."""

import json
from pathlib import Path
from typing import Any

import pytest

from interlink.core.job.states import JobPhase
from interlink.sidecars.slurm.driver import Capacity, SlurmRefused, SlurmTimedOut, SlurmUnavailable
from interlink.sidecars.slurm.drivers.cli import fields
from interlink.sidecars.slurm.drivers.cli.sacct import Sacct, UnknownFieldError
from interlink.sidecars.slurm.drivers.cli.sbatch import Sbatch
from interlink.sidecars.slurm.drivers.cli.scancel import Scancel
from interlink.sidecars.slurm.drivers.cli.sinfo import Sinfo
from interlink.sidecars.slurm.drivers.cli.squeue import Squeue
from interlink.sidecars.slurm.transport.host import Finished

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "recorded" / "slurm-26.05.json").read_text())
UID = "0a0b0c0d-0000-4000-8000-00000000000"


def recorded(name: str) -> Finished:
    found = RECORDED[name]
    return Finished(found["status"], found["output"], found["errors"])


def job(name: str) -> int:
    return int(RECORDED["ids"][name])


def test_what_was_recorded_is_what_the_driver_runs() -> None:
    assert RECORDED["squeue"]["argv"] == Squeue("squeue", (964,)).argv()
    assert RECORDED["scancel_unknown"]["argv"] == Scancel("scancel", 67_000_000).argv()
    assert RECORDED["scancel_signal_unknown"]["argv"] == Scancel("scancel", 67_000_000, "TERM").argv()
    assert RECORDED["sinfo"]["argv"] == Sinfo("sinfo", "").argv()
    assert RECORDED["sacct_unknown"]["argv"] == Sacct("sacct", (67_000_000,)).argv()
    assert set(RECORDED["sbatch"]["argv"]) - {"--mem=100M"} > {"--parsable", "--time=5"}


def test_a_submitted_job_has_its_id() -> None:
    assert Sbatch.parse(recorded("sbatch")) == job("run")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sbatch_too_much_memory", "Requested node configuration is not available"),
        ("sbatch_no_partition", "Invalid partition name specified"),
        ("sbatch_no_feature", "Invalid feature specification"),
        ("sbatch_no_gres", "Requested node configuration is not available"),
        ("sbatch_no_reservation", "Requested reservation is invalid"),
        ("sbatch_bad_time", "Invalid --time specification"),
        ("sbatch_bad_option", "unrecognized option '--no-such-option'"),
    ],
)
def test_a_refusal_is_in_slurms_words(name: str, words: str) -> None:
    with pytest.raises(SlurmRefused) as raised:
        Sbatch.parse(recorded(name))
    assert words in str(raised.value)
    assert "error:" not in str(raised.value)


@pytest.mark.parametrize(
    "words",
    [
        "Invalid qos specification",
        "Invalid account or account/partition combination specified",
        "User's group not permitted to use this partition",
        "Requested time limit is invalid (missing or exceeds some limit)",
    ],
)
def test_a_refusal_that_this_site_does_not_make_is_known_by_slurm_strerrors_words(words: str) -> None:
    with pytest.raises(SlurmRefused) as raised:
        Sbatch.parse(Finished(1, "", f"sbatch: error: Batch job submission failed: {words}\n"))
    assert str(raised.value) == words


def test_a_controller_that_is_away_is_no_refusal() -> None:
    with pytest.raises(SlurmUnavailable, match="Unable to contact slurm controller") as raised:
        Sbatch.parse(recorded("sbatch_no_controller"))
    assert not isinstance(raised.value, SlurmTimedOut)
    for parse, name in (
        (Squeue.parse, "squeue_no_controller"),
        (Scancel("scancel", 1, "TERM").parse, "scancel_no_controller"),
        (Sinfo("sinfo", "").parse, "sinfo_no_controller"),
    ):
        with pytest.raises(SlurmUnavailable, match="Unable to contact slurm controller"):
            parse(recorded(name))
    with pytest.raises(SlurmUnavailable, match="accounting: "):
        Sacct("sacct", (1,)).parse(recorded("sacct_no_slurmdbd"))


def test_squeue_says_every_state_and_time() -> None:
    jobs = {facts.job_id: facts for user, facts in Squeue.parse(recorded("squeue")) if user == 964}
    run, failed, killed = jobs[job("run")], jobs[job("failed")], jobs[job("killed")]
    assert (run.phase, run.uid, run.time_limit_minutes, run.end_time) == (JobPhase.RUNNING, f"{UID}1", 5, None)
    assert run.submit_time is not None
    assert run.start_time is not None
    assert run.submit_time <= run.start_time
    assert run.nodes
    assert (failed.state, failed.exit_code, killed.state, killed.exit_code) == ("FAILED", 3, "FAILED", 137)
    assert failed.end_time is not None
    held, timed = jobs[job("held")], jobs[job("timed")]
    assert (held.phase, held.reason, held.start_time, held.nodes) == (JobPhase.PENDING, "JobHeldUser", None, "")
    assert (timed.reason, timed.time_limit_minutes) == ("PartitionTimeLimit", 3 * 24 * 60)
    assert (jobs[job("cancelled")].state, jobs[job("cancelled")].start_time) == ("CANCELLED", None)
    assert jobs[job("big")].expected_start is not None
    assert jobs[job("req")].restart_count == 1


def test_a_user_that_squeue_does_not_know_is_not_a_user_without_jobs() -> None:
    assert RECORDED["squeue_unknown_user"]["status"] == 0
    with pytest.raises(SlurmUnavailable, match="Invalid user"):
        Squeue.parse(recorded("squeue_unknown_user"))


def test_lines_that_are_no_jobs_are_left_out() -> None:
    lines = "JOBID\n12_3|964|RUNNING|None|1|2|3|1:00|0|0:0|c1|x|\n9|964|RUNNING|None|1|2|3|1:00|0|0:0|c1|a|b\nc|\n"
    assert [facts.uid for _, facts in Squeue.parse(Finished(0, lines, ""))] == ["a|b"]


def test_signals_and_ends_find_their_job_or_nothing_to_do() -> None:
    signal = Scancel("scancel", 1, "TERM")
    assert signal.parse(recorded("scancel_signal_pending")) is False
    assert signal.parse(recorded("scancel_signal_over")) is True
    assert signal.parse(recorded("scancel_signal_unknown")) is True
    assert Scancel("scancel", 1).parse(recorded("scancel")) is True
    assert Scancel("scancel", 1).parse(recorded("scancel_unknown")) is True
    with pytest.raises(SlurmRefused, match="Access/permission denied"):
        Scancel("scancel", 1).parse(recorded("scancel_not_ours"))


def test_accounting_remembers_ends() -> None:
    jobs = {facts.job_id: facts for facts in Sacct("sacct", ()).parse(recorded("sacct"))}
    failed, cancelled, req = jobs[job("failed")], jobs[job("cancelled")], jobs[job("req")]
    assert (failed.state, failed.exit_code, failed.uid) == ("FAILED", 3, f"{UID}2")
    assert None not in (failed.start_time, failed.end_time, failed.submit_time)
    assert (cancelled.state, cancelled.cancelled_by, cancelled.start_time) == ("CANCELLED", 964, None)
    assert jobs[job("run")].end_time is None
    assert jobs[job("run")].time_limit_minutes == 5
    assert req.restart_count == 1
    assert Sacct("sacct", (1,)).parse(recorded("sacct_unknown")) == []


def test_a_site_without_accounting_knows_nothing_and_an_odd_field_is_told() -> None:
    assert Sacct("sacct", (1,)).parse(recorded("sacct_disabled")) == []
    with pytest.raises(UnknownFieldError):
        Sacct("sacct", (1,)).parse(recorded("sacct_bad_field"))


def test_totals_count_each_node_once() -> None:
    seen = Sinfo("sinfo", "").parse(recorded("sinfo"))
    assert (seen.nodes, seen.gres) == (2, {"gpu:a100": 2, "gpu": 2})
    lines = (
        "main*|c1|32|64000|gpu:a100:2(S:0-1),nvme:no_consume:1K\nmain*|c2|8+|1000+|gpu:a100:1\n"
        "short|c1|32|64000|(null)\n"
    )
    main = Capacity(cpus=40, memory_mib=65_000, nodes=2, gres={"gpu:a100": 3, "nvme": 1024})
    assert Sinfo("sinfo", "").parse(Finished(0, lines, "")) == main
    assert Sinfo("sinfo", "short").parse(Finished(0, lines, "")).nodes == 1
    assert Sinfo("sinfo", "main,short").parse(Finished(0, lines, "")).nodes == 2
    with pytest.raises(SlurmRefused, match="no partition none; there are: main, short"):
        Sinfo("sinfo", "main,none").parse(Finished(0, lines, ""))
    with pytest.raises(SlurmRefused, match="no default partition"):
        Sinfo("sinfo", "").parse(Finished(0, "short|c1|1|1|\n", ""))


@pytest.mark.parametrize(
    ("column", "minutes"),
    [("5:00", 5), ("1:00:00", 60), ("3-00:00:00", 4320), ("0:30", 1), ("UNLIMITED", None), ("INVALID", None)],
)
def test_time_limits(column: str, minutes: int | None) -> None:
    assert fields.minutes(column) == minutes


@pytest.mark.parametrize(("column", "code"), [("0:0", 0), ("3:0", 3), ("0:15", 143), ("137:0", 137), ("", None)])
def test_exit_codes(column: str, code: int | None) -> None:
    assert fields.exit_code(column) == code
