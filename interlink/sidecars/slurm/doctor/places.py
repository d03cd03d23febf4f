"""The service's folders, and the users it has to become."""

import os
import secrets
from pathlib import Path

from interlink.sidecars.slurm.doctor.check import Check, Finding, Site, bad, fair, good
from interlink.sidecars.slurm.transport.host import Host, HostUnavailable

_NETWORK = {"nfs", "nfs4", "lustre", "gpfs", "beegfs", "cephfs", "ceph", "fuse.sshfs", "cifs", "smb3", "9p"}


class SharedFolder(Check):
    """DataRootFolder can be written to, and nobody else reads it."""

    name = "DataRootFolder"

    def look(self, site: Site) -> Finding:
        root, host = site.config.data_root_folder, site.hosts.files()
        if not host.exists(root):
            return bad(
                f"{root} is not there", "create it, owned by the service's user, mode 0700, on a shared file system"
            )
        probe = root / f".doctor-{secrets.token_hex(4)}"
        try:
            host.write(probe, b"x")
            host.remove(root, [probe.name])
        except HostUnavailable:
            raise
        except OSError as error:
            return bad(f"cannot be written to: {error}", f"chown {root} to the service's user; run this as that user")
        mode = host.mode(root)
        if mode & 0o066:
            return fair(f"{root} has mode {mode:04o}", f"chmod 700 {root} (711 where jobs belong to several users)")
        return good(f"{root}, mode {mode:04o}, {_where(host, site)}")


class StateFolder(Check):
    """StateFolder is this host's own disk, and can be written to."""

    name = "StateFolder"

    def look(self, site: Site) -> Finding:
        folder = site.config.state_folder
        if not folder.is_dir():
            return bad(f"{folder} is not there", "create it, owned by the service's user, mode 0700")
        if not os.access(folder, os.W_OK | os.X_OK):
            return bad(f"{folder} cannot be written to", "run this as the service's user, or chown the folder to it")
        system = file_system(folder)
        if system in _NETWORK:
            return bad(f"{folder} is on {system}", "SQLite's locks need a local disk: set StateFolder to one")
        return good(f"{folder} on {system}")


class BecomeUser(Check):
    """The service can become the users that jobs shall belong to."""

    name = "users"

    def applies(self, site: Site) -> bool:
        return bool(site.users)

    def look(self, site: Site) -> Finding:
        words = []
        for user in site.users:
            try:
                hello, _ = site.hosts.commands(user).call("hello", {})
            except HostUnavailable as error:
                return bad(str(error), f"see docs/identity.md for what becoming {user} needs")
            if hello["user"] != user:
                return bad(f"asked for {user}, became {hello['user']}", "check SlurmUserCommand")
            words.append(f"{user} ({hello['uid']})")
        return good("can become " + ", ".join(words))


def file_system(path: Path) -> str:
    """Return the type of the file system that holds the path (proc(5), mountinfo: the longest mount point counts)."""
    best, kind = "", "an unknown file system"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        before, _, after = line.partition(" - ")
        point = before.split()[4]
        inside = path.resolve() == Path(point) or Path(point) in path.resolve().parents
        if inside and len(point) >= len(best):
            best, kind = point, after.split()[0]
    return kind


def _where(host: Host, site: Site) -> str:
    return "on this host" if host is site.hosts.local else f"by way of {site.config.ssh_host}"
