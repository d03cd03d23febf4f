"""Which hosts there are, as data: the small form, and what a host must say to be added."""

from __future__ import annotations

from dataclasses import dataclass

NETWORK = "interlink-testbed"
LABEL = "interlink.testbed"
CLUSTER_NODE = "testbed-node"
SERVICE_CIDR = "10.96.0.0/16"
KUBERNETES_SERVICE = "10.96.0.1"
POD_CIDR = "10.244.0.0/16"
NODE_POD_CIDR = "10.244.0.0/24"
API_PORT = 6443
REGISTRY_PORT = 5000

SITE_ROLES = ("edge", "slurmctld", "slurmd")


@dataclass(frozen=True)
class Host:
    """One container that plays a host."""

    name: str
    number: int
    """Its place in the bed's network: the last byte of its address."""
    roles: tuple[str, ...] = ()

    @property
    def container(self) -> str:
        """The container's name."""
        return f"interlink-{self.name}"


@dataclass(frozen=True)
class Layout:
    """The hosts of a bed: any number of site hosts that share out the site roles, and the cluster's host."""

    site: tuple[Host, ...]
    cluster: Host

    def site_host(self, role: str) -> Host:
        """Return the first site host that plays a role."""
        return next(host for host in self.site if role in host.roles)


SMALL = Layout(site=(Host("edge", 10, SITE_ROLES),), cluster=Host("cluster", 20))
