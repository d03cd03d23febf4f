"""The pod runner as one file: a zipapp of interlink/runner that any Python from 3.6 on starts. Called by ``backend``.

The same sources make the same bytes, whenever and wherever: its name on the shared folder is the hash of its contents.
"""

import io
import zipfile
from importlib import resources
from importlib.resources.abc import Traversable

#: The earliest time that a zip archive can say.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MAIN = """\
import sys

from interlink.runner.main import main

sys.exit(main(sys.argv[1:]))
"""


def runner_bundle() -> bytes:
    """Return the archive's bytes."""
    sources = {"__main__.py": _MAIN, "interlink/__init__.py": ""}
    sources.update(_modules(resources.files("interlink.runner"), "interlink/runner"))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name in sorted(sources):
            bundle.writestr(zipfile.ZipInfo(name, _EPOCH), sources[name])
    return archive.getvalue()


def _modules(folder: Traversable, path: str) -> dict[str, str]:
    """Return the source of every module in a package and in those below it, by its path in the archive."""
    sources: dict[str, str] = {}
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name != "__pycache__":
            sources.update(_modules(entry, f"{path}/{entry.name}"))
        elif entry.name.endswith(".py"):
            sources[f"{path}/{entry.name}"] = entry.read_text(encoding="utf-8")
    return sources
