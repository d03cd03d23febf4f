"""The batch script: three quoted words, and what the administrator puts before them."""

import shlex
import subprocess
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from interlink.core.script import batch_script


def test_the_script_is_short_and_replaces_its_shell() -> None:
    lines = batch_script(python="/usr/bin/python3", runner="/d/r.pyz", plan="/d/p.json").splitlines()
    assert lines[0] == "#!/bin/bash"
    assert lines[-1] == "exec /usr/bin/python3 /d/r.pyz /d/p.json"
    assert len(lines) == 3


def test_the_administrators_prefix_comes_first_as_it_is(tmp_path: Path) -> None:
    script = batch_script(python="/bin/echo", runner="a b", plan="$HOME'\"`id`", command_prefix="export X=1\necho $X\n")
    result = subprocess.run(["/bin/bash"], input=script, text=True, capture_output=True, check=True)
    assert result.stdout == "1\na b $HOME'\"`id`\n"


@given(st.lists(st.text(), min_size=3, max_size=3))
def test_any_path_stays_one_word(words: list[str]) -> None:
    python, runner, plan = words
    script = batch_script(python=python, runner=runner, plan=plan)
    command = script.split("\n", 2)[2]
    assert shlex.split(command) == ["exec", *words]
