"""``interlink doctor`` as an administrator runs it: a table that fits, JSON, an exit status, and a way out."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from interlink.cli import doctor
from interlink.cli.main import main

ROWS: list[dict[str, Any]] = [
    {"name": "commands here", "driver": "cli", "needed": True, "verdict": "bad", "milliseconds": 3,
     "said": "no sbatch, squeue", "todo": "install Slurm's client commands, or set SbatchPath " + "and more " * 30},
    {"name": "pyslurm", "driver": "pyslurm", "needed": False, "verdict": "bad", "milliseconds": 1234, "said": "no",
     "todo": ""},
    {"name": "slurmctld", "driver": "", "needed": True, "verdict": "good", "milliseconds": 12, "said": "fine",
     "todo": ""},
]  # fmt: skip


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_the_table_fits_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = doctor.as_table(ROWS, "cli")
    assert max(map(len, text.splitlines())) <= min(shutil.get_terminal_size().columns, 120), text
    assert "commands here  bad          3  no sbatch, squeue" in text
    assert "pyslurm        no        1234" in text
    assert "SlurmDriver cli (configured): no sbatch, squeue" in text
    assert "SlurmDriver ssh: no SshHost is configured" in text
    assert text.endswith("Pods cannot run until this is put right: commands here.")


def test_the_answer_for_programs_says_the_same() -> None:
    answer = json.loads(doctor.as_json(ROWS, "cli"))
    assert (answer["good"], answer["driver"], answer["checks"]) == (False, "cli", ROWS)
    assert answer["drivers"]["cli"] == "no sbatch, squeue"
    assert json.loads(doctor.as_json(ROWS[1:], "cli"))["good"] is True


def test_a_site_without_slurm_is_told_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        f"SlurmDriver: cli\nDataRootFolder: {tmp_path}\nStateFolder: {tmp_path}\nSbatchPath: /none/sbatch\n"
        "SqueuePath: /none/squeue\nSinfoPath: /none/sinfo\nJobEnvironment: {TOKEN: s3cret}\n"
    )
    assert main(["doctor", "--config", str(file), "-o", "json"]) == 1
    output = capsys.readouterr().out
    answer = {check["name"]: check for check in json.loads(output)["checks"]}
    assert answer["commands here"]["verdict"] == answer["slurmctld"]["verdict"] == "bad"
    assert "set SinfoPath" in answer["slurmctld"]["said"]
    assert answer["DataRootFolder"]["verdict"] in ("good", "fair")
    assert "s3cret" not in output


def test_its_help_says_what_to_run() -> None:
    assert "sudo -u interlink interlink doctor --submit" in doctor.EPILOG
    assert "Exit status: 0" in doctor.EPILOG
