"""The site's hosts: what they read, ssh for Ansible, and apptainer for the jobs. Slurm itself is slurm.py's."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import TYPE_CHECKING

from . import host, images, slurm
from .errors import CommandError, TestbedError, UnhealthyError
from .fingerprint import fingerprint
from .host import Container
from .layout import OUTSIDE, Host
from .process import run

if TYPE_CHECKING:
    from .bed import Bed
    from .part import Step

SHARED = "/srv/interlink"
WHEELS = "/var/cache/interlink/wheels"
USER = "user"
"""An ordinary user of the site, on every host; `other` is another."""
SERVICE, SERVICE_ID = "interlink", 964
"""The user that services and jobs run as, and its number. Ansible makes it on the edge host, the site on the others."""
APPTAINER_CHECKED = "/var/lib/testbed-apptainer-checked"


def settings(bed: Bed) -> Path:
    """Return the folder that every site host reads as /etc/testbed."""
    return bed.paths.run / "site"


def shared(bed: Bed) -> Path:
    """Return the folder that all site hosts share."""
    return bed.paths.run / "shared"


def container(bed: Bed, member: Host) -> Container:
    """Return the declaration of a site host's container."""
    mounts = {settings(bed): "/etc/testbed:ro", shared(bed): SHARED}
    if "edge" in member.roles:
        mounts[bed.paths.wheels] = WHEELS
    return Container(
        host=member,
        image=images.tag(bed, "site"),
        options=(
            "--env=container=docker", f"--env=TESTBED_ROLES={' '.join(member.roles)}",
            f"--env=TESTBED_OUTSIDE={OUTSIDE}", f"--env=TESTBED_SERVICE={SERVICE} {SERVICE_ID}", "--device=/dev/fuse",
            *(f"--volume={source}:{target}" for source, target in mounts.items()),
        ),
        inputs=fingerprint(settings(bed)) if settings(bed).exists() else "",
    )  # fmt: skip


def write_settings(bed: Bed, step: Step) -> None:
    """Write what all site hosts read; keys that exist are kept."""
    folder = settings(bed)
    for needed in (folder, shared(bed), bed.paths.ssh_key.parent):
        needed.mkdir(parents=True, exist_ok=True)
    shared(bed).chmod(0o755)
    if not bed.paths.ssh_key.exists():
        step.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "interlink-testbed", "-f", bed.paths.ssh_key])
    munge_key = folder / "munge.key"
    if not munge_key.exists():
        munge_key.write_bytes(base64.b64encode(os.urandom(128)))
    public = bed.paths.ssh_key.with_suffix(".pub").read_text()
    (folder / "authorized_keys").write_text(public)
    (folder / "ca.crt").write_text((bed.paths.pki / "ca.crt").read_text())
    for name, text in slurm.settings(bed.layout).items():
        (folder / name).write_text(text)


def settings_health(bed: Bed) -> str:
    """Say that the settings are there; raises UnhealthyError if one is missing or of another authority."""
    configuration = slurm.settings(bed.layout)
    names = ("authorized_keys", "ca.crt", "munge.key", *configuration)
    if absent := [name for name in names if not (settings(bed) / name).exists()]:
        raise UnhealthyError(f"no {', '.join(absent)} for the site")
    if (settings(bed) / "ca.crt").read_bytes() != (bed.paths.pki / "ca.crt").read_bytes():
        raise UnhealthyError("the site trusts another authority")
    if changed := [name for name, text in configuration.items() if (settings(bed) / name).read_text() != text]:
        raise UnhealthyError(f"this tree has another {', '.join(changed)}")
    return f"{len(names)} files in {settings(bed)}"


def host_health(bed: Bed, member: Host) -> str:
    """Say that root gets in by ssh with the host key that is on record; raises UnhealthyError if not."""
    host.health(bed, container(bed, member))
    if not bed.paths.known_hosts.exists():
        raise UnhealthyError("no host keys are on record")
    address = bed.network.address(member)
    try:
        run([*ssh(bed), f"root@{address}", "true"], timeout=15)
    except TestbedError as error:
        raise UnhealthyError(f"ssh to {address}: {error}") from error
    return f"ssh answers at {address}"


def ssh(bed: Bed) -> list[str]:
    """Return the ssh command with the options that reach a site host."""
    options = {
        "UserKnownHostsFile": bed.paths.known_hosts, "IdentityFile": bed.paths.ssh_key, "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "yes", "BatchMode": "yes", "ConnectTimeout": 5,
    }  # fmt: skip
    return ["ssh", "-F", "none", *(word for key, value in options.items() for word in ("-o", f"{key}={value}"))]


def host_up(bed: Bed, step: Step, member: Host) -> None:
    """Bring a site host up and put its host key on record."""

    def check() -> str:
        host.health(bed, container(bed, member))
        record_host_key(bed, member)
        return host_health(bed, member)

    host.ensure(bed, step, container(bed, member), check, within=60)


def record_host_key(bed: Bed, member: Host) -> None:
    """Read a host's key from inside it, so that no stranger's key is ever recorded."""
    try:
        key = bed.docker.exec(member.container, ["cat", "/etc/ssh/ssh_host_ed25519_key.pub"])
    except CommandError as error:
        raise UnhealthyError(f"{member.container} has no host key yet") from error
    address = bed.network.address(member)
    with bed.known_hosts_lock:
        known = bed.paths.known_hosts.read_text().splitlines() if bed.paths.known_hosts.exists() else []
        others = [line for line in known if line.split()[0] != address]
        text = "\n".join([*others, f"{address} {' '.join(key.split()[:2])}"]) + "\n"
        bed.paths.known_hosts.write_text(text)


def apptainer_health(bed: Bed) -> str:
    """Say that an ordinary user has run a container from the registry; raises UnhealthyError if nobody tried yet."""
    for member in bed.layout.site:
        try:
            bed.docker.exec(member.container, ["test", "-e", APPTAINER_CHECKED])
        except CommandError as error:
            raise UnhealthyError(f"apptainer was not tried on {member.container}") from error
    return f"the user {USER!r} ran a container from the registry"


def apptainer_up(bed: Bed, step: Step) -> None:
    """Run a container from the registry as an ordinary user, once for each host that is new."""
    image = f"docker://{bed.registry_address}/busybox:latest"
    command = ["apptainer", "-q", "exec", "--compat", image, "echo", "it works"]
    for member in bed.layout.site:
        step.run(
            ["/usr/bin/docker", "exec", "--user", USER, "--workdir", f"/home/{USER}", "--env", f"HOME=/home/{USER}",
             member.container, *command],
            env=bed.docker.environment,
        )  # fmt: skip
        bed.docker.exec(member.container, ["touch", APPTAINER_CHECKED])
