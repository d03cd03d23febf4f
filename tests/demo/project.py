"""The project's own tree: where things are, and the fingerprints that say whether something must be made again."""

from pathlib import Path

from tests.testbed.fingerprint import fingerprint

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
DIST = ROOT / "dist"
CONSTRAINTS = ROOT / "constraints.txt"
SITE_PLAYBOOK = ROOT / "site.yml"


def tools_key() -> str:
    """Return the fingerprint of what the virtual environment is made from."""
    return fingerprint(ROOT / "pyproject.toml", CONSTRAINTS)


def wheel_key() -> str:
    """Return the fingerprint of what the wheel is made from."""
    return fingerprint(ROOT / "pyproject.toml", ROOT / "README.md", ROOT / "interlink", ROOT / "templates" / "job")


def playbook_key(*facts: str) -> str:
    """Return the fingerprint of everything that decides what the playbook does, and of ``facts`` beside."""
    folders = [ROOT / name for name in ("roles", "playbooks", "templates", "site.yml", "ansible.cfg")]
    return fingerprint(wheel_key(), *folders, *facts)
