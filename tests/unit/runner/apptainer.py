"""A stand-in for apptainer: it pulls by writing a file, and runs by saying what it was called with."""

import json
import sys
from pathlib import Path
from typing import Any

from interlink.core.plan import PlanRuntime
from tests.unit.runner.running import Site

#: Told by its environment: HOLD is a file that a pull waits for, WORDS what it says before it fails.
PROGRAM = """#!{python}
import json, os, sys, time
said = lambda line: (sys.stdout.write(line + "\\n"), sys.stdout.flush())
if sys.argv[1] in ("pull", "build"):
    target, name = sys.argv[-2:]
    auth = sys.argv[sys.argv.index("--authfile") + 1] if "--authfile" in sys.argv else None
    config = open(auth).read() if auth else ""
    mode = oct(os.stat(auth).st_mode & 0o777) if auth else ""
    with open({calls!r}, "a") as calls:
        calls.write(json.dumps([sys.argv[1:], config, mode]) + "\\n")
    said("INFO: starting")
    open(target, "w").write("half")
    while os.path.exists({hold!r}):
        time.sleep(0.02)
    if os.path.exists({words!r}):
        said(open({words!r}).read())
        sys.exit(255)
    open(target, "w").write(name)
else:
    said(json.dumps([sys.argv[1:], dict(os.environ)]))
    if "sleep" in sys.argv:
        time.sleep(60)
"""


class Apptainer:
    """The stand-in, and the runtime that names it."""

    def __init__(self, site: Site, root: Path, *insecure: str, name: str = "apptainer") -> None:
        self.calls, self.hold, self.words = root / "calls", root / "hold", root / "words"
        program = root / name
        program.write_text(
            PROGRAM.format(python=sys.executable, calls=str(self.calls), hold=str(self.hold), words=str(self.words))
        )
        program.chmod(0o755)
        self.site = site
        self.runtime = PlanRuntime(
            kind="apptainer", executable=str(program), image_cache=str(site.images), insecure_registries=list(insecure)
        )

    def pulls(self) -> list[list[Any]]:
        """Return the pulls: the words, the credentials that were shown, and the mode of their file."""
        if not self.calls.exists():
            return []
        return [json.loads(line) for line in self.calls.read_text().splitlines()]

    def ran_with(self, container: str = "main") -> tuple[list[str], dict[str, str]]:
        """Return the argv and the environment that a container was started with."""
        lines = self.site.log(container).splitlines()
        argv, environ = json.loads("".join(line.split(" ", 2)[2] for line in lines))
        return argv, environ
