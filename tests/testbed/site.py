"""The site's hosts: ssh for Ansible, Slurm, and apptainer for the jobs."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import TYPE_CHECKING

from . import host, images
from .errors import CommandError, TestbedError, UnhealthyError
from .fingerprint import fingerprint
from .host import Container
from .layout import Host
from .paths import SOURCE
from .process import run

if TYPE_CHECKING:
    from .bed import Bed
    from .part import Step

SHARED = "/srv/interlink"
WHEELS = "/var/cache/interlink/wheels"
USER = "user"
"""An ordinary user of the site, on every host."""
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
            "--env=container=docker", f"--env=TESTBED_ROLES={' '.join(member.roles)}", "--device=/dev/fuse",
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
    nodes = ",".join(member.name for member in bed.layout.site if "slurmd" in member.roles)
    text = (SOURCE / "site" / "slurm.conf").read_text()
    text = text.replace("{controller}", bed.layout.site_host("slurmctld").name).replace("{nodes}", nodes)
    (folder / "slurm.conf").write_text(text)
    (folder / "cgroup.conf").write_text((SOURCE / "site" / "cgroup.conf").read_text())


def settings_health(bed: Bed) -> str:
    """Say that the settings are there; raises UnhealthyError if one is missing or of another authority."""
    names = ("authorized_keys", "ca.crt", "slurm.conf", "cgroup.conf", "munge.key")
    if absent := [name for name in names if not (settings(bed) / name).exists()]:
        raise UnhealthyError(f"no {', '.join(absent)} for the site")
    if (settings(bed) / "ca.crt").read_bytes() != (bed.paths.pki / "ca.crt").read_bytes():
        raise UnhealthyError("the site trusts another authority")
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


def slurm_health(bed: Bed) -> str:
    """Say what slurmctld says of its nodes; raises UnhealthyError unless all of them take jobs."""
    controller = bed.layout.site_host("slurmctld").container
    try:
        ping = bed.docker.exec(controller, ["scontrol", "ping"], timeout=20)
        nodes = bed.docker.exec(controller, ["sinfo", "--noheader", "--Node", "--format=%N %T"], timeout=20)
    except TestbedError as error:
        raise UnhealthyError(str(error)) from error
    states = dict(line.split() for line in nodes.splitlines())
    bad = {name: state for name, state in states.items() if state not in ("idle", "mixed", "allocated")}
    if " UP" not in ping or bad or not states:
        raise UnhealthyError(f"{ping.strip()}; nodes: {bad or states or 'none'}")
    return "slurmctld is up, " + ", ".join(f"{name} is {state}" for name, state in states.items())


def slurm_up(bed: Bed, step: Step) -> None:
    """Wait for Slurm; its units start with the hosts. A unit that has given up is started again."""
    try:
        step.wait(lambda: slurm_health(bed), within=20)
    except UnhealthyError as error:
        step.say(f"starting Slurm again: {error}")
        for unit in ("munge", "slurmctld", "slurmd"):
            for member in bed.layout.site:
                if unit in ("munge", *member.roles):
                    bed.docker.exec(member.container, ["systemctl", "restart", unit])
        step.wait(lambda: slurm_health(bed), within=40)


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
