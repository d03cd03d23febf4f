"""The bed as a library: what parts read while they come up, and what tests and the demo use."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from . import cluster, dockerd, network, site
from .docker import Docker
from .errors import CommandError, TestbedError, tail
from .layout import DEFAULT, REGISTRY_PORT, Layout
from .network import Network
from .paths import Paths
from .process import run


class Bed:
    """One test bed: its folders, its hosts, and its Docker."""

    def __init__(self, paths: Paths | None = None, layout: Layout = DEFAULT) -> None:
        self.paths = paths or Paths.from_environment()
        self.layout = layout
        self.known_hosts_lock = threading.Lock()

    @property
    def docker(self) -> Docker:
        """The Docker that the bed works with."""
        return Docker(dockerd.chosen_host(self.paths))

    @cached_property
    def network(self) -> Network:
        """The bed's network; raises UnhealthyError while there is none."""
        return network.read(self)

    @property
    def kubeconfig(self) -> Path:
        """The cluster administrator's kubeconfig."""
        return self.paths.kubeconfig

    @property
    def inventory(self) -> Path:
        """The Ansible inventory that `up` wrote."""
        return self.paths.inventory

    @property
    def edge_address(self) -> str:
        """The edge host's address, as pods and the machine reach it."""
        return self.network.address(self.layout.site_host("edge"))

    @property
    def cluster_address(self) -> str:
        """The address of the host that is control plane and node."""
        return self.network.address(self.layout.cluster)

    @property
    def registry_address(self) -> str:
        """The registry's host and port."""
        return f"{self.network.gateway}:{REGISTRY_PORT}"

    @property
    def environment(self) -> dict[str, str]:
        """What a shell needs to work with the bed; `bin` goes before its PATH."""
        return {
            "KUBECONFIG": str(self.kubeconfig),
            "DOCKER_HOST": self.docker.host,
            "INTERLINK_TESTBED_REGISTRY": self.registry_address,
            "INTERLINK_TESTBED_EDGE": self.edge_address,
        }

    def kubectl(self, *words: str, input: str | None = None, timeout: float = 120) -> str:  # noqa: A002
        """Run kubectl as the cluster's administrator and return its stdout; raises CommandError."""
        command: list[str | Path] = [self.paths.bin / "kubectl", f"--kubeconfig={self.kubeconfig}", *words]
        return run(command, stdin=input, timeout=timeout)

    def site(self, command: Sequence[str], user: str | None = None, host: str = "edge", timeout: float = 120) -> str:
        """Run a command on a site host (root unless told) and return its stdout; raises CommandError."""
        words = list(command) if user is None else ["runuser", "--login", user, "--command", shlex.join(command)]
        return self.docker.exec(f"interlink-{host}", words, timeout=timeout)

    def ssh(self, command: str, timeout: float = 120) -> str:
        """Run a command line on the edge host by ssh, as Ansible does; raises CommandError."""
        return run([*site.ssh(self), f"root@{self.edge_address}", command], timeout=timeout)

    def load_image(self, name: str) -> bool:
        """Bring an image of Docker's into the cluster; return False if it was there already."""
        return cluster.load_image(self, name)

    def journal(self, container: str, lines: int = 200) -> str:
        """Return the end of the systemd journal of a container, or why there is none."""
        try:
            return self.docker.exec(container, ["journalctl", "--no-pager", f"--lines={lines}"], timeout=20)
        except CommandError:
            try:
                return tail(self.docker("container", "logs", f"--tail={lines}", container), lines)
            except TestbedError as error:
                return f"no journal: {error}"
        except TestbedError as error:
            return f"no journal: {error}"
