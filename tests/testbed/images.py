"""The bed's images: Debian sid, what stands on it, and what pods run. Each is tagged by its inputs."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import CommandError, UnhealthyError
from .fingerprint import fingerprint
from .machine import CA_BUNDLE, debian_mirror, tool
from .paths import SOURCE
from .process import run

if TYPE_CHECKING:
    from .bed import Bed
    from .part import Step

SUITE = "sid"
BASE_PACKAGES = ("ca-certificates", "python3", "python3-pip", "python3-venv")
PREFIX = "interlink-testbed"
BUSYBOXES = {"busybox": ["sh"], "pause": ["sleep", "2147483647"]}
"""Image → the command it runs if it is told nothing. The second is what every pod's sandbox runs: it must not end."""
PARENTS = {
    "site": {"BASE": "base"}, "cluster": {"BASE": "base"}, "mpi": {"SITE": "site", "BUSYBOX": "busybox"},
    "python": {"BASE": "base", "BUSYBOX": "busybox"},
}  # fmt: skip
"""Image → the images that its Dockerfile starts from, by the arguments that name them there."""
BUSYBOX_RECIPE = "4"  # goes into the fingerprint: raise it when _busybox_tree changes
NAMES = ("base", *PARENTS, *BUSYBOXES)


def rootfs_key() -> str:
    """Return the fingerprint of the root file system."""
    return fingerprint(SUITE, *BASE_PACKAGES)


def key(bed: Bed, name: str) -> str:
    """Return the fingerprint of an image's inputs, those of its parent included."""
    if name in BUSYBOXES:
        return fingerprint(BUSYBOX_RECIPE, *BUSYBOXES[name], tool(bed, "busybox-static"))
    if name == "base":
        return fingerprint(rootfs_key(), CA_BUNDLE, _pip_conf(), SOURCE / "base")
    return fingerprint(*(key(bed, parent) for parent in PARENTS[name].values()), SOURCE / name)


def tag(bed: Bed, name: str) -> str:
    """Return the full name of an image as this tree has it."""
    return f"{PREFIX}/{name}:{key(bed, name)}"


def health(bed: Bed, name: str) -> str:
    """Say which image there is; raises UnhealthyError if there is none for these inputs."""
    if not (bed.docker.host and tool(bed, "busybox-static").exists()):
        raise UnhealthyError("the machine is not ready")
    image = bed.docker.inspect("image", tag(bed, name))
    if image is None:
        raise UnhealthyError(f"no image {tag(bed, name)}")
    return f"{tag(bed, name)}, {int(image['Size']) // 1_000_000} MB"


def up(bed: Bed, step: Step, name: str) -> None:
    """Build an image and remove its forerunners."""
    if name in BUSYBOXES:
        _import_busybox(bed, step, name)
    elif name == "base":
        _build_base(bed, step)
    else:
        step.say(f"building {tag(bed, name)}")
        parents = (f"{word}={tag(bed, parent)}" for word, parent in PARENTS[name].items())
        _build(bed, step, name, SOURCE / name, *parents)
    bed.docker("image", "tag", tag(bed, name), f"{PREFIX}/{name}:latest")
    _remove_forerunners(bed, name)


def _build(bed: Bed, step: Step, name: str, context: Path, *facts: str) -> None:
    proxies = [v for v in ("http_proxy", "https_proxy", "no_proxy") if v in os.environ]
    arguments = [word for value in (*facts, *proxies) for word in ("--build-arg", value)]
    step.run(
        ["/usr/bin/docker", "build", "--force-rm", *arguments, "--tag", tag(bed, name), context],
        env=bed.docker.environment,
    )


def _build_base(bed: Bed, step: Step) -> None:
    archive = bed.paths.cache / "base" / f"{rootfs_key()}.tar"
    if not archive.exists():
        _debootstrap(archive, step)
    rootfs = f"{PREFIX}/rootfs:{rootfs_key()}"
    if bed.docker.inspect("image", rootfs) is None:
        step.say(f"importing {rootfs}")
        step.run(["/usr/bin/docker", "import", archive, rootfs], env=bed.docker.environment)
    step.say(f"building {tag(bed, 'base')}")
    with tempfile.TemporaryDirectory(dir=bed.paths.run) as scratch:
        context = Path(scratch) / "base"
        shutil.copytree(SOURCE / "base", context)
        shutil.copy(CA_BUNDLE, context / "ca-bundle.crt")
        (context / "pip.conf").write_text(_pip_conf())
        _build(bed, step, "base", context, f"ROOTFS={rootfs}")


def _pip_conf() -> str:
    """Return a pip configuration that trusts what the machine trusts and asks the index that the machine asks."""
    lines = ["[global]", "cert = /etc/ssl/certs/testbed-ca-bundle.crt"]
    index = os.environ.get("PIP_INDEX_URL")
    if not index and Path("/etc/pip.conf").exists():
        found = re.search(r"^index-url\s*=\s*(\S+)", Path("/etc/pip.conf").read_text(), re.MULTILINE)
        index = found[1] if found else None
    return "\n".join([*lines, *([f"index-url = {index}"] if index else [])]) + "\n"


def _debootstrap(archive: Path, step: Step) -> None:
    shutil.rmtree(archive.parent, ignore_errors=True)
    tree = archive.parent / "tree"
    tree.mkdir(parents=True)
    step.say(f"debootstrap of Debian {SUITE}")
    step.run(["debootstrap", "--variant=minbase", f"--include={','.join(BASE_PACKAGES)}", SUITE, tree, debian_mirror()])
    shutil.rmtree(tree / "var/cache/apt")
    shutil.rmtree(tree / "var/lib/apt/lists")
    step.run(["tar", "--create", "--file", archive.with_suffix(".partial"), "--directory", tree, "."])
    archive.with_suffix(".partial").rename(archive)
    shutil.rmtree(tree)


def _import_busybox(bed: Bed, step: Step, name: str) -> None:
    step.say(f"importing {tag(bed, name)}")
    changes = ["ENV PATH=/bin", f"CMD {json.dumps(BUSYBOXES[name])}"]
    options = [word for change in changes for word in ("--change", change)]
    bed.docker("import", *options, "-", tag(bed, name), stdin=_busybox_tree(tool(bed, "busybox-static")))


def _busybox_tree(busybox: Path) -> bytes:
    """Return a tar archive of a root file system that is busybox and a link for each of its applets."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tree:
        for name, mode in (("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("home", 0o755), ("tmp", 0o1777),
                           ("var", 0o755), ("dev", 0o755), ("proc", 0o555), ("sys", 0o555), ("run", 0o755),
                           ("usr", 0o755), ("usr/bin", 0o755)):  # fmt: skip
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, mode
            tree.addfile(folder)
        files = {
            "bin/busybox": (0o755, busybox.read_bytes()),
            "etc/passwd": (0o644, b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
            "etc/group": (0o644, b"root:x:0:\nnogroup:x:65534:\n"),
        }
        for name, (mode, content) in files.items():
            file = tarfile.TarInfo(name)
            file.mode, file.size = mode, len(content)
            tree.addfile(file, io.BytesIO(content))
        for applet in (*run([busybox, "--list"]).split(), "../usr/bin/env"):
            link = tarfile.TarInfo(f"bin/{applet}" if "/" not in applet else applet.removeprefix("../"))
            link.type, link.linkname = tarfile.SYMTYPE, "/bin/busybox"
            if link.name != "bin/busybox":
                tree.addfile(link)
    return stream.getvalue()


def _remove_forerunners(bed: Bed, name: str) -> None:
    keep = {tag(bed, name), f"{PREFIX}/{name}:latest"}
    for old in bed.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", f"{PREFIX}/{name}").split():
        if old not in keep:
            try:
                bed.docker("image", "rm", old)
            except CommandError:
                continue  # a container still runs it; the next build removes it
