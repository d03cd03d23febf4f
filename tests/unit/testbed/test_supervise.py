"""What keeps the cluster's processes running: a check that takes too long is a no, and not the end of everything."""

import runpy
import subprocess
from pathlib import Path

import pytest

from tests import testbed

# It is one file of the cluster's image, beside a module of that name.
Process = runpy.run_path(str(Path(testbed.__file__).parent / "cluster" / "supervise.py"))["Process"]


@pytest.mark.parametrize(("check", "answer"), [([], True), (["true"], True), (["false"], False)])
def test_a_process_is_ready_when_its_check_says_so_or_it_has_none(check: list[str], answer: bool) -> None:
    assert Process("p", ["true"], check).is_ready() is answer


def test_a_check_that_does_not_end_in_time_is_a_no(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(words: list[str], **options: float) -> None:
        raise subprocess.TimeoutExpired(words, options["timeout"])

    monkeypatch.setattr(subprocess, "run", slow)
    assert Process("p", ["true"], ["check"]).is_ready() is False
