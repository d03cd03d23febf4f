"""The time limit and the warning before it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.core.errors import UnsupportedPod
from interlink.core.job.numbers import count, mebibytes, minutes
from interlink.core.job.walltime import EARLY_SECONDS, MARGIN_SECONDS, Walltime, walltime


def _seconds(found: Walltime) -> int:
    return int(found.signal.removeprefix("B:TERM@"))


def test_without_any_limit_the_warning_leaves_the_grace_period_and_a_margin() -> None:
    assert walltime(deadline=None, grace=30, limit_minutes=None) == Walltime(None, "B:TERM@45")


@given(st.integers(1, 10**7), st.integers(0, 7200))
def test_the_deadline_comes_before_the_warning_and_the_warning_leaves_the_grace_period(
    deadline: int, grace: int
) -> None:
    found = walltime(deadline=deadline, grace=grace, limit_minutes=None)
    assert found.limit_minutes is not None
    limit = found.limit_minutes * 60
    assert limit - _seconds(found) - EARLY_SECONDS >= deadline or _seconds(found) == limit // 3
    assert _seconds(found) >= min(grace + MARGIN_SECONDS, limit // 3)
    assert limit < deadline + grace + MARGIN_SECONDS + EARLY_SECONDS + 60


def test_the_shorter_of_deadline_and_flag_counts() -> None:
    assert walltime(deadline=90, grace=30, limit_minutes=2800).limit_minutes == 4
    assert walltime(deadline=3600, grace=30, limit_minutes=5).limit_minutes == 5


def test_a_short_job_is_not_warned_at_its_start() -> None:
    assert walltime(deadline=None, grace=600, limit_minutes=5) == Walltime(5, "B:TERM@100")


def test_a_pod_may_ask_for_an_earlier_warning_but_for_no_other_signal() -> None:
    assert _seconds(walltime(deadline=None, grace=30, limit_minutes=None, warning="B:TERM@600")) == 600
    assert _seconds(walltime(deadline=None, grace=30, limit_minutes=None, warning="SIGTERM@5")) == 45
    with pytest.raises(UnsupportedPod, match="--signal=B:USR1@60: only B:TERM@SECONDS reaches the containers"):
        walltime(deadline=None, grace=30, limit_minutes=None, warning="B:USR1@60")


def test_the_warning_fits_slurms_field() -> None:
    assert _seconds(walltime(deadline=None, grace=10**6, limit_minutes=None)) == 65535


def test_a_deadline_that_slurm_cannot_hold_is_refused() -> None:
    with pytest.raises(UnsupportedPod, match=r"activeDeadlineSeconds, in minutes: .* too large"):
        walltime(deadline=10**400, grace=30, limit_minutes=None)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("60", 60),
        ("0:30", 1),
        ("90:30", 91),
        ("1:00:00", 60),
        ("2-0", 2880),
        ("1-12:30", 2190),
        ("1-0:0:1", 1441),
        ("UNLIMITED", None),
    ],
)
def test_times_are_read_as_sbatch_reads_them(text: str, found: int | None) -> None:
    assert minutes("--time", text) == found


@pytest.mark.parametrize("text", ["", "x", "1:2:3:4", "-5", "0", "1-", "9" * 12])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UnsupportedPod, match="--time"):
        minutes("--time", text)


@pytest.mark.parametrize(
    ("text", "found"), [("2000", 2000), ("2G", 2048), ("1025K", 2), ("1T", 1024**2), ("16gb", 16384)]
)
def test_sizes_are_read_as_sbatch_reads_them(text: str, found: int) -> None:
    assert mebibytes("--mem", text) == found


@pytest.mark.parametrize("text", ["", "0", "0G", "2P", "1.5G", "-1", "9" * 18 + "T"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UnsupportedPod, match="--mem"):
        mebibytes("--mem", text)


def test_counts_may_be_a_range_of_one() -> None:
    assert count("--nodes", "2-2") == 2
    for text in ("0", "1-4", "", "4k", "²", "9" * 30):
        with pytest.raises(UnsupportedPod, match="--nodes"):
            count("--nodes", text)
