"""The image registry: Debian's docker-registry on the bed's bridge, with TLS by the bed's authority."""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import images
from .errors import UnhealthyError
from .machine import tool
from .process import Daemon, end, strays

if TYPE_CHECKING:
    from .bed import Bed
    from .part import Step

CONTENT = {"busybox": "busybox", "library/busybox": "busybox", "pause": "pause"}
LATER = {"mpi": "mpi", "python": "python"}
"""Name in the registry → image of the bed. library/… is what a client asks a mirror of Docker Hub for.
What comes LATER needs images that take long to build: the cluster does not wait for it."""


def daemon(bed: Bed) -> Daemon:
    """Return the record of the registry's process."""
    return Daemon("registry", bed.paths.run / "registry")


def health(bed: Bed) -> str:
    """Say that it answers and has its images; raises UnhealthyError if not."""
    return _has(bed, CONTENT)


def later_health(bed: Bed) -> str:
    """Say that it has the images that come later; raises UnhealthyError if not."""
    return _has(bed, LATER)


def _has(bed: Bed, content: Mapping[str, str]) -> str:
    for name, image in content.items():
        tags = _ask(bed, f"{name}/tags/list").get("tags") or []
        if images.key(bed, image) not in tags:
            raise UnhealthyError(f"the registry has no {name} of this bed")
    return f"answers at https://{bed.registry_address} with {', '.join(content)}"


def _ask(bed: Bed, path: str) -> dict[str, Any]:
    """Return what the registry answers; raises UnhealthyError if it does not."""
    url = f"https://{bed.registry_address}/v2/{path}"
    try:
        trust = ssl.create_default_context(cafile=str(bed.paths.pki / "ca.crt"))
        direct = urllib.request.ProxyHandler({})
        opener = urllib.request.build_opener(direct, urllib.request.HTTPSHandler(context=trust))
        with opener.open(url, timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
    except (OSError, ValueError) as error:
        raise UnhealthyError(f"{url}: {error}") from error
    return found


def up(bed: Bed, step: Step) -> None:
    """Start the registry anew and put the images into it."""
    step.say(f"starting docker-registry at {bed.registry_address}")
    stop(bed)
    folder = bed.paths.run / "registry"
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(bed.paths.cache / "registry")}},
        "http": {
            "addr": bed.registry_address,
            "tls": {"certificate": str(bed.paths.pki / "registry.crt"), "key": str(bed.paths.pki / "registry.key")},
        },
    }
    (folder / "config.yml").write_text(json.dumps(config, indent=2))  # JSON is YAML
    program = tool(bed, "docker-registry")
    daemon(bed).start([program, "serve", folder / "config.yml"], bed.paths.logs / "docker-registry.log")
    step.wait(lambda: str(_ask(bed, "")), within=20)
    _push_all(bed, step, CONTENT)


def later_up(bed: Bed, step: Step) -> None:
    """Put the images that come later into it."""
    _push_all(bed, step, LATER)


def _push_all(bed: Bed, step: Step, content: Mapping[str, str]) -> None:
    for name, image in content.items():
        for label in ("latest", images.key(bed, image)):
            push(bed, step, images.tag(bed, image), f"{name}:{label}")


def stop(bed: Bed) -> bool:
    """End the registry, also one whose record was lost; return whether there was one."""
    known = daemon(bed).stop()
    lost = strays(str(tool(bed, "docker-registry")), str(bed.paths.run / "registry" / "config.yml"))
    for pid in lost:
        end(pid)
    return known or bool(lost)


def push(bed: Bed, step: Step, image: str, name: str) -> None:
    """Copy an image from Docker to the registry, as soon as it answers."""
    step.say(f"pushing {image} as {name}")
    step.run([
        "skopeo", "copy", "--quiet", "--insecure-policy",
        "--src-daemon-host", bed.docker.host, "--dest-cert-dir", _certificates(bed),
        f"docker-daemon:{image}", f"docker://{bed.registry_address}/{name}",
    ])  # fmt: skip


def _certificates(bed: Bed) -> str:
    folder = bed.paths.run / "registry" / "certificates"
    folder.mkdir(exist_ok=True)
    (folder / "ca.crt").write_text((bed.paths.pki / "ca.crt").read_text())
    return str(folder)
