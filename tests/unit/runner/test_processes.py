"""The end of processes that belong together: those that started others go first."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.runner.processes import Running, below, kill_all, parents_first, running


def table_of(parents: dict[int, int]) -> dict[int, Running]:
    return {pid: Running(parent, session=1, resident=0) for pid, parent in parents.items()}


@given(st.lists(st.integers(min_value=0), max_size=20))
def test_a_process_is_ended_after_those_that_it_descends_from(choices: list[int]) -> None:
    pids = [1, *(pid + 2 for pid in range(len(choices)))]
    # Ids say nothing of age: they are given anew.
    names = {pid: pid * 7919 % 104729 for pid in pids}
    parents = {names[1]: 0, **{names[n + 2]: names[pids[choice % (n + 1)]] for n, choice in enumerate(choices)}}
    order = parents_first(set(parents), table_of(parents))
    assert sorted(order) == sorted(parents)
    for pid, parent in parents.items():
        assert parent == 0 or order.index(parent) < order.index(pid)


def test_a_circle_of_a_table_that_was_read_too_slowly_is_gone_through_once() -> None:
    assert sorted(parents_first([2, 3], table_of({2: 3, 3: 2}))) == [2, 3]


def test_a_shell_does_not_go_on_when_its_command_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    kill = os.kill

    def kill_and_note(pid: int, number: int) -> None:
        killed.append(pid)
        kill(pid, number)

    monkeypatch.setattr(os, "kill", kill_and_note)
    mark = tmp_path / "went-on"
    with subprocess.Popen(["sh", "-c", f"sleep 60; touch {mark}"]) as shell:
        deadline = time.monotonic() + 10
        while len(found := below([shell.pid], running())) < 2:
            assert time.monotonic() < deadline
        kill_all(lambda table: sorted(below([shell.pid], table), key=lambda pid: pid == shell.pid))
    assert killed[:2] == [shell.pid, *(found - {shell.pid})]
    assert not mark.exists()
