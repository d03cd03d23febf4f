"""Slurm's words in a job's own log."""

import pytest

from interlink.core.job.batch_log import killed_for_memory

#: As slurmd 26.05 writes it with OverMemoryKill, and as older ones do.
NEW = b"""\
pod_runner: something of ours
[2026-11-21T14:44:29.017] error: StepId=19548.batch exceeded memory limit (370593792 > 335544320), being killed
[2026-11-21T14:44:29.025] error: *** JOB 19548 ON edge CANCELLED AT 2026-11-21T14:44:29 DUE to SIGNAL Killed ***
"""
OLD = b"slurmstepd: error: Exceeded job memory limit\n"


@pytest.mark.parametrize("log", [NEW, OLD, b"\xff\xfe\n" + OLD])
def test_a_kill_for_memory_is_seen(log: bytes) -> None:
    assert killed_for_memory(log)


@pytest.mark.parametrize(
    "log",
    [
        b"",
        b"slurmstepd: error: *** JOB 3 ON c1 CANCELLED AT 2026-11-21T14:44:29 DUE TO TIME LIMIT ***\n",
        b"pod_runner: some program exceeded memory limit, it says\n",
    ],
)
def test_other_words_are_none(log: bytes) -> None:
    assert not killed_for_memory(log)
