"""The Docker daemon: one that answers already is used, else the bed starts its own below its home."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .docker import Docker
from .errors import CommandError, TestbedError, UnhealthyError
from .paths import Paths
from .process import Daemon, end, run, runs_program, strays

if TYPE_CHECKING:
    from .bed import Bed
    from .part import Step

DAEMON = "/usr/sbin/dockerd"
LONGEST_SOCKET = 100  # bytes: a Unix socket's address holds 107


def own_host(paths: Paths) -> str:
    """Return the address of the daemon that the bed starts itself."""
    return f"unix://{paths.docker / 'docker.sock'}"


def chosen_host(paths: Paths) -> str:
    """Return the address that the bed works with: the recorded one, else its own."""
    record = paths.docker / "host"
    return record.read_text().strip() if record.exists() else own_host(paths)


def daemon(paths: Paths) -> Daemon:
    """Return the record of the daemon that the bed starts."""
    return Daemon("dockerd", paths.docker)


def health(bed: Bed) -> str:
    """Say which daemon answers; raises UnhealthyError if none does."""
    if not (bed.paths.docker / "host").exists() or not bed.docker.answers():
        raise UnhealthyError(f"no Docker daemon answers at {bed.docker.host}")
    return f"answers at {bed.docker.host}"


def up(bed: Bed, step: Step) -> None:
    """Find a daemon that answers or start one."""
    paths = bed.paths
    paths.docker.mkdir(parents=True, exist_ok=True)
    for host in (own_host(paths), os.environ.get("DOCKER_HOST", ""), "unix:///var/run/docker.sock"):
        if host and Docker(host).answers():
            step.say(f"a Docker daemon answers at {host}: it is used")
            break
    else:
        host = own_host(paths)
        _start(paths, step)
    (paths.docker / "host").write_text(host)
    step.wait(lambda: health(bed), within=60)


def _start(paths: Paths, step: Step) -> None:
    socket = paths.docker / "docker.sock"
    if len(str(socket)) > LONGEST_SOCKET:
        raise TestbedError(f"{socket} is too long for a socket: set INTERLINK_TESTBED_HOME to a shorter path")
    stop(paths)
    _forget_the_dead(paths)
    step.say("starting dockerd")
    (paths.docker / "forward-policy").write_text(run(["iptables", "--list-rules", "FORWARD"]).split()[2])
    daemon(paths).start(
        [DAEMON, "--data-root", paths.cache / "docker", "--exec-root", paths.docker / "exec",
         "--pidfile", paths.docker / "pid", "--host", own_host(paths)],
        paths.logs / "dockerd.log",
    )  # fmt: skip


def stop(paths: Paths) -> bool:
    """End the daemon that the bed started, also one whose record was lost; return whether there was one."""
    known = daemon(paths).stop(within=30)
    lost = strays(DAEMON, str(paths.cache / "docker"))
    for pid in lost:
        end(pid, within=30)
    return known or bool(lost)


def _forget_the_dead(paths: Paths) -> None:
    """Remove what a daemon that was killed left behind and a new one would stumble over."""
    (paths.docker / "docker.sock").unlink(missing_ok=True)
    for file, program in ((paths.docker / "pid", "dockerd"), (_containerd_pid(paths), "containerd")):
        if file.exists() and not runs_program(int(file.read_text().strip() or 0), program):
            file.unlink()


def _containerd_pid(paths: Paths) -> Path:
    return paths.docker / "exec" / "containerd" / "containerd.pid"


def down(paths: Paths) -> None:
    """End the daemon if the bed started it, and take back what it did to the machine's network."""
    policy = paths.docker / "forward-policy"
    if stop(paths):
        _remove_bridge(policy.read_text() if policy.exists() else "ACCEPT")
    for folder in (paths.docker, paths.cache / "docker"):  # a daemon that was killed leaves its mounts
        _unmount_below(folder)
    if paths.docker.exists():
        shutil.rmtree(paths.docker)


def _unmount_below(folder: Path) -> None:
    mounts = [line.split()[1].replace("\\040", " ") for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((m for m in mounts if Path(m).is_relative_to(folder)), reverse=True):
        run(["umount", "--lazy", mount])


def _remove_bridge(forward_policy: str) -> None:
    """Remove docker0 and Docker's firewall rules, unless another daemon is there that needs them."""
    if any(runs_program(int(entry.name), "dockerd") for entry in Path("/proc").iterdir() if entry.name.isdigit()):
        return
    with suppress(CommandError):  # it is gone already
        run(["ip", "link", "delete", "docker0"])
    for table in ("nat", "filter"):
        rules = run(["iptables-save", "--table", table])
        kept = [line for line in rules.splitlines() if not any(word in line for word in ("DOCKER", "docker0"))]
        run(["iptables-restore", "--table", table], stdin="\n".join(kept) + "\n")
    run(["iptables", "--policy", "FORWARD", forward_policy])
