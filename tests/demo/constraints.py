"""Renews constraints.txt: one version of each dependency, for every machine alike."""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.demo.project import CONSTRAINTS, ROOT
from tests.demo.tools import PIP
from tests.testbed.bed import Bed
from tests.testbed.process import run

HEADER = """\
# One version of each dependency, for the tools, the edge host and the image alike.
# Made by `make constraints`; do not edit.
"""


def renew(_bed: Bed) -> None:
    """Install the newest versions into an environment of their own and write down which they are."""
    with tempfile.TemporaryDirectory() as scratch:
        python = Path(scratch) / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", scratch], check=True)
        run([python, "-m", "pip", "install", "--quiet", PIP], timeout=300)
        run([python, "-m", "pip", "install", "--quiet", ".[vk]", "--group", "dev"], cwd=ROOT, timeout=1800)
        frozen = run([python, "-m", "pip", "freeze", "--exclude", "interlink-edge"])
    CONSTRAINTS.write_text(HEADER + frozen)
