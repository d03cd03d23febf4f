"""The pod runner as one file: a zipapp of interlink/runner that any Python from 3.6 on starts. Called by ``backend``.

The same sources make the same bytes, whenever and wherever: its name on the shared folder is the hash of its contents.
"""

import io
import zipfile
from importlib import resources

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
    for file in resources.files("interlink.runner").iterdir():
        if file.name.endswith(".py"):
            sources[f"interlink/runner/{file.name}"] = file.read_text(encoding="utf-8")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name in sorted(sources):
            bundle.writestr(zipfile.ZipInfo(name, _EPOCH), sources[name])
    return archive.getvalue()
