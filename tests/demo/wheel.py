"""The project's wheel: what the roles install on the edge host and the image is made from."""

from pathlib import Path

from tests.demo.project import DIST, ROOT, VENV, wheel_key
from tests.testbed.bed import Bed
from tests.testbed.errors import UnhealthyError
from tests.testbed.part import Step

STAMP = DIST / ".fingerprint"


def wheel() -> Path:
    """Return the wheel's path; raises UnhealthyError if there is none."""
    found = sorted(DIST.glob("interlink_edge-*.whl"))
    if not found:
        raise UnhealthyError("no wheel yet")
    return found[-1]


def health(_bed: Bed) -> str:
    """Say which wheel there is; raises UnhealthyError if it was made from other sources."""
    if not STAMP.exists() or STAMP.read_text() != wheel_key():
        raise UnhealthyError("the sources are newer than the wheel")
    return wheel().name


def up(_bed: Bed, step: Step) -> None:
    """Build the wheel."""
    for old in DIST.glob("*.whl"):
        old.unlink()
    step.run([VENV / "bin" / "python", "-m", "build", "--wheel", "--no-isolation", "--outdir", DIST, ROOT])
    STAMP.write_text(wheel_key())
