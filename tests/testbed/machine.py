"""The machine itself: Debian packages that are missing are installed; some are only unpacked, to start no service."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import CommandError, TestbedError, UnhealthyError
from .process import run

if TYPE_CHECKING:
    from .bed import Bed
    from .part import Step

PACKAGES = (
    "ca-certificates", "debootstrap", "docker.io", "iproute2", "iptables", "openssh-client", "openssl", "skopeo",
)  # fmt: skip
UNPACKED = {"docker-registry": "usr/bin/docker-registry", "busybox-static": "bin/busybox"}
"""Package → the program wanted from it. docker-registry would start a service on all addresses, and busybox-static
would take the place of busybox."""
APT = ("apt-get", "-o", "DPkg::Lock::Timeout=300", "-o", "APT::Sandbox::User=root")
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


def tool(bed: Bed, package: str) -> Path:
    """Return the path of the program of an unpacked package."""
    return bed.paths.tools / package / UNPACKED[package]


def missing(packages: Iterable[str] = PACKAGES) -> list[str]:
    """Return the packages that dpkg does not list as installed."""
    wanted = list(packages)
    try:
        listed = run(["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *wanted])
    except CommandError as error:  # status 1 when one is unknown; the others are listed all the same
        listed = error.output
    installed = {line.split()[0] for line in listed.splitlines() if line.endswith(" installed")}
    return [package for package in wanted if package not in installed]


def health(bed: Bed) -> str:
    """Say that everything is installed; raises UnhealthyError with what is missing."""
    absent = missing() + [package for package in UNPACKED if not tool(bed, package).exists()]
    if absent:
        raise UnhealthyError(f"missing: {', '.join(absent)}")
    return f"{len(PACKAGES) + len(UNPACKED)} packages"


def up(bed: Bed, step: Step) -> None:
    """Install what is missing; raises TestbedError where that cannot work."""
    if os.geteuid() != 0:
        raise TestbedError("the test bed needs root: it installs packages and starts a Docker daemon")
    if shutil.which("apt-get") is None:
        raise TestbedError("the test bed needs a Debian machine: there is no apt-get")
    step.say("apt-get update")
    try:
        step.run([*APT, "update"])
    except CommandError as error:
        step.say(f"a source does not answer; what the others have may do: {error}")
    install(step, missing())
    for package in UNPACKED:
        if not tool(bed, package).exists():
            step.say(f"unpacking {package}")
            _unpack(bed, step, package)


def install(step: Step, packages: list[str]) -> None:
    """Install packages without their recommendations."""
    if packages:
        step.say(f"installing {', '.join(packages)}")
        step.run(
            [*APT, "install", "--yes", "--no-install-recommends", *packages], env={"DEBIAN_FRONTEND": "noninteractive"}
        )


def _unpack(bed: Bed, step: Step, package: str) -> None:
    with tempfile.TemporaryDirectory(dir=bed.paths.tools) as scratch:
        folder = Path(scratch)
        step.run([*APT, "download", package], cwd=folder)
        archive = next(folder.glob("*.deb"))
        step.run(["dpkg-deb", "--extract", archive, folder / "tree"])
        shutil.rmtree(bed.paths.tools / package, ignore_errors=True)
        (folder / "tree").rename(bed.paths.tools / package)


def debian_mirror(etc: Path = Path("/etc")) -> str:
    """Return the address of the Debian mirror that the machine uses; raises TestbedError if it names none."""
    release = (etc / "os-release").read_text()
    found = re.search(r'^VERSION_CODENAME="?(\w+)', release, re.MULTILINE)
    codename = found[1] if found else "stable"
    for file in sorted([etc / "apt/sources.list", *(etc / "apt/sources.list.d").glob("*")]):
        if file.is_file() and (mirror := _mirror_in(file.read_text(), codename)):
            return mirror
    raise TestbedError(f"no apt source of the machine has the suite {codename}: no mirror to take Debian from")


def _mirror_in(text: str, codename: str) -> str | None:
    one_line = re.search(rf"^deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+{codename}\s+main\b", text, re.MULTILINE)
    if one_line:
        return one_line[1].rstrip("/")
    for stanza in re.split(r"\n\s*\n", text):
        fields = dict(re.findall(r"^(\w[\w-]*):\s*(.+)$", stanza, re.MULTILINE))
        if codename in fields.get("Suites", "").split() and "main" in fields.get("Components", "").split():
            return str(fields["URIs"].split()[0]).rstrip("/")
    return None
