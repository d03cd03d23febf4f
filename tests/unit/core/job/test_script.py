"""The batch script: three quoted words, and what the administrator puts before them, as a real bash reads it."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from interlink.core.job.script import ScriptSettings, batch_script

#: Names as files can have them: anything but a slash and NUL, and short enough for the file system.
NAMES = st.one_of(
    st.text(st.sampled_from(" '\"`$(){}[]<>;&|\\\n\r\t*?!~#=-é.a"), min_size=1, max_size=12),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=12),
).filter(lambda name: name not in (".", ".."))
HOSTILE = "a'\"`touch owned`$(touch owned)\n; touch owned #\\"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder for the scripts, in which bash runs."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _script(*, plan: str, pre_exec: str = "", **settings: str) -> str:
    return batch_script(ScriptSettings(**settings), plan=plan, pre_exec=pre_exec)


def _run(folder: Path, script: str) -> bytes:
    """Return what bash prints when it runs the script, which it must first find well-formed."""
    file = folder / "batch.sh"
    file.write_bytes(script.encode())
    subprocess.run(["/bin/bash", "-n", file], capture_output=True, check=True)
    return subprocess.run(["/bin/bash", file], cwd=folder, capture_output=True, check=True).stdout


def _stub(python: Path) -> str:
    """Put a python there that prints its own path and its arguments, each with a NUL behind it."""
    python.parent.mkdir(exist_ok=True)
    python.write_bytes(b'#!/bin/sh\nprintf \'%s\\0\' "$0" "$@"\n')
    python.chmod(0o700)
    return str(python)


def test_the_script_is_short_and_replaces_its_shell() -> None:
    lines = _script(python="/usr/bin/python3", runner="/d/r.pyz", plan="/d/p.json").splitlines()
    assert lines[0] == "#!/bin/bash"
    assert lines[-1] == "exec /usr/bin/python3 /d/r.pyz /d/p.json"
    assert len(lines) == 3


def test_the_runner_takes_the_place_of_the_shell_so_that_signals_reach_it(folder: Path) -> None:
    script = _script(python="/bin/sh", runner="-c", plan="echo $$", command_prefix="echo $$")
    first, second = _run(folder, script).split()
    assert first == second


@settings(max_examples=40, deadline=None)
@given(NAMES, NAMES, NAMES)
@example(HOSTILE, HOSTILE, HOSTILE)
@example("-c", "*", "~")
def test_hostile_paths_stay_one_word_each_and_run_nothing(folder: Path, python: str, runner: str, plan: str) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as home:
        words = [_stub(Path(home) / python / python), f"{home}/{runner}", f"{home}/{plan}"]
        printed = _run(folder, _script(python=words[0], runner=words[1], plan=words[2]))
    assert printed.decode().split("\0") == [*words, ""]
    assert [file.name for file in folder.iterdir()] == ["batch.sh"]


def test_the_administrators_prefix_comes_first_as_it_is(folder: Path) -> None:
    script = _script(python="/bin/echo", runner="a b", plan="$HOME'\"`id`", command_prefix="export X=1\necho $X\n")
    assert _run(folder, script) == b"1\na b $HOME'\"`id`\n"


def test_template_marks_in_a_path_or_prefix_mean_nothing(folder: Path) -> None:
    script = _script(python="/bin/echo", runner="{{ plan }}", plan="{% raw %}", command_prefix="echo '{{ x }}'")
    assert _run(folder, script) == b"{{ x }}\n{{ plan }} {% raw %}\n"


@pytest.mark.parametrize("prefix", ["", " \n "])
def test_an_empty_prefix_leaves_no_line(prefix: str) -> None:
    script = _script(python="p", runner="r", plan="q", command_prefix=prefix)
    assert script == _script(python="p", runner="r", plan="q")
    assert "\n\n" not in script


_SHOW = "cat $TMPDIR/mesh.sh; rm $TMPDIR/mesh.sh"


def test_the_pods_own_shell_text_stands_there_to_the_letter_behind_the_administrators(folder: Path) -> None:
    text = "cat <<'EOFMESH' > $TMPDIR/mesh.sh\n  echo \"$(id)\" '{{ x }}'  \nEOFMESH\n" + _SHOW
    script = _script(python="/bin/echo", runner="r", plan="p", command_prefix="echo first", pre_exec=text)
    assert f"\n{text}\n" in script
    assert _run(folder, script).decode() == "first\n  echo \"$(id)\" '{{ x }}'  \nr p\n"


def test_no_line_of_a_pods_text_is_read_by_sbatch() -> None:
    script = _script(python="p", runner="r", plan="q", pre_exec="#SBATCH --uid=0\n#SBATCH --wrap=id")
    before = script[: script.index("#SBATCH")].splitlines()
    assert [line for line in before if line and not line.startswith("#")], "sbatch stops at the first command"
