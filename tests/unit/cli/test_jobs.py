"""``interlink jobs`` as an administrator and a playbook run it."""

import json
from pathlib import Path

import pytest

from interlink.cli import jobs
from interlink.cli.main import main

ROWS = [
    {"job_id": 7, "state": "RUNNING", "user": "", "uid": "u1", "pod": "ns/first"},
    {"job_id": 1234, "state": "PENDING", "user": "alice", "uid": "u2", "pod": ""},
]


def test_the_table_says_whose_each_job_is() -> None:
    assert jobs.as_table(ROWS).splitlines() == [
        "JOB   STATE    USER   POD",
        "7     RUNNING  -      ns/first",
        "1234  PENDING  alice  u2",
    ]
    assert jobs.as_table([]) == "No job of a pod lives."


def config(folder: Path, squeue: str) -> str:
    script = folder / "squeue"
    script.write_text(f"#!/bin/sh\n{squeue}\n")
    script.chmod(0o755)
    file = folder / "config.yaml"
    file.write_text(f"SlurmDriver: cli\nDataRootFolder: {folder}/data\nSqueuePath: {script}\n")
    return str(file)


def test_a_site_without_jobs_is_said_to_have_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "--cancel", "--config", config(tmp_path, "exit 0"), "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_controller_that_is_away_is_not_no_jobs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    away = "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1"
    assert main(["jobs", "--config", config(tmp_path, away)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "whether jobs of pods live is not known: Unable to contact slurm controller" in printed.err
