"""The virtual environment with the development tools, Ansible among them."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.demo.project import CONSTRAINTS, ROOT, VENV, tools_key
from tests.testbed import machine
from tests.testbed.bed import Bed
from tests.testbed.errors import UnhealthyError
from tests.testbed.part import Step

STAMP = VENV / "installed"
#: The first pip that reads [dependency-groups] (PEP 735).
PIP = "pip>=25.1"


def health(_bed: Bed) -> str:
    """Say that the environment is as pyproject.toml and constraints.txt want it; raises UnhealthyError."""
    if not STAMP.exists() or STAMP.read_text() != tools_key():
        raise UnhealthyError("pyproject.toml or constraints.txt has changed, or nothing is installed yet")
    return str(VENV.relative_to(ROOT))


def up(_bed: Bed, step: Step) -> None:
    """Make the environment, or bring it up to date."""
    if not (VENV / "bin" / "pip").exists():
        shutil.rmtree(VENV, ignore_errors=True)
        make_environment(step)
    step.say("installing the development tools")
    pip: list[str | Path] = [VENV / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    step.run([*pip, PIP], cwd=ROOT)
    step.run([*pip, "--constraint", CONSTRAINTS, "--editable", ".[vk]", "--group", "dev"], cwd=ROOT)
    STAMP.write_text(tools_key())


def make_environment(step: Step) -> None:
    """Make an empty environment; Debian's Python brings venv in a package of its own."""
    step.say("making the virtual environment")
    if subprocess.run([sys.executable, "-c", "import ensurepip"], capture_output=True, check=False).returncode:
        step.run([*machine.APT, "update"])
        machine.install(step, [f"python3.{sys.version_info.minor}-venv"])
    step.run([sys.executable, "-m", "venv", VENV])
