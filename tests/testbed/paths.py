"""Where the test bed keeps its files: `cache/` outlives `down`, `run/` does not. Nothing lies in the repository."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Paths:
    """The folders and files of one test bed, all below one home."""

    home: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Paths:
        """Return the paths that the environment asks for (INTERLINK_TESTBED_HOME, else XDG_CACHE_HOME, else HOME)."""
        env = os.environ if environ is None else environ
        if chosen := env.get("INTERLINK_TESTBED_HOME"):
            return cls(Path(chosen).absolute())
        cache = env.get("XDG_CACHE_HOME") or str(Path(env.get("HOME") or Path.home()) / ".cache")
        return cls(Path(cache).absolute() / "interlink-testbed")

    @property
    def cache(self) -> Path:
        """Whatever was downloaded or built."""
        return self.home / "cache"

    @property
    def run(self) -> Path:
        """Everything that belongs to the bed that runs now."""
        return self.home / "run"

    @property
    def lock(self) -> Path:
        """The lock that lets one `up` or `down` run at a time."""
        return self.home / "lock"

    @property
    def logs(self) -> Path:
        """One log file for each part, and one folder for each host that writes its own."""
        return self.run / "logs"

    @property
    def bin(self) -> Path:
        """Programs for the user's PATH (kubectl, Debian's docker client)."""
        return self.cache / "bin"

    @property
    def tools(self) -> Path:
        """Debian packages that are unpacked and not installed, so that they start no service."""
        return self.cache / "tools"

    @property
    def wheels(self) -> Path:
        """Wheels that the site builds for itself (pyslurm); mounted into the edge host."""
        return self.cache / "pyslurm-wheels"

    @property
    def pki(self) -> Path:
        """The certificate authorities, certificates and keys of the bed."""
        return self.run / "pki"

    @property
    def docker(self) -> Path:
        """The state of the Docker daemon that the bed started."""
        return self.run / "docker"

    @property
    def kubeconfig(self) -> Path:
        """The cluster administrator's kubeconfig."""
        return self.run / "kubeconfig"

    @property
    def inventory(self) -> Path:
        """The Ansible inventory of the bed."""
        return self.run / "inventory.yml"

    @property
    def ssh_key(self) -> Path:
        """The private key that root on every site host accepts."""
        return self.run / "ssh" / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The host keys of the site hosts, read from the hosts themselves."""
        return self.run / "ssh" / "known_hosts"

    def make(self) -> None:
        """Create the folders; only root may look into them."""
        for folder in (self.home, self.cache, self.run, self.logs, self.bin, self.tools, self.wheels):
            folder.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)
