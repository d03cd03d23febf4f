"""Which hosts there are, as data: the default, the small form, and what a host must say to be added."""

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

OUTSIDE = "10.99.0.1"
"""An address beyond the site: hosts that play the edge reach it, the other site hosts have no route out at all."""

SITE_ROLES = ("edge", "slurmctld", "slurmdbd", "slurmd")


@dataclass(frozen=True)
class Host:
    """One container that plays a host."""

    name: str
    number: int
    """Its place in the bed's network: the last byte of its address."""
    roles: tuple[str, ...] = ()
    gpus: str = ""
    """The GPUs that its slurmd pretends to have, as slurm.conf's Gres says it."""

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
        return self.site_hosts(role)[0]

    def site_hosts(self, role: str) -> tuple[Host, ...]:
        """Return all site hosts that play a role, in order."""
        return tuple(host for host in self.site if role in host.roles)


EDGE = Host("edge", 10, SITE_ROLES, gpus="gpu:a100:2")
CLUSTER = Host("cluster", 20)
SMALL = Layout(site=(EDGE,), cluster=CLUSTER)
DEFAULT = Layout(site=(EDGE, Host("c1", 11, ("slurmd",), gpus="gpu:2")), cluster=CLUSTER)
