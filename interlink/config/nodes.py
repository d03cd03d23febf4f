"""The keys about virtual nodes → one ``NodeSettings`` for each node of this virtual kubelet, checked.

Called by ``interlink vk`` and ``interlink config check``. Every fault is a ConfigError that names the key: what
kube-apiserver would refuse is refused before the node is registered.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from interlink.config.entries import NodeConfig, NodeResources, NodeTaint
from interlink.config.load import ConfigError
from interlink.config.model import Config
from interlink.config.provider import provider_resources
from interlink.core.labels import EFFECTS, is_capacity, is_extended_resource, is_label

#: A node's name is also the value of its label kubernetes.io/hostname, which has 63 characters at most.
_NAME = re.compile(r"(?=.{1,63}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_MOST_PORT = 65535


@dataclass(frozen=True, kw_only=True)
class NodeSettings:
    """One virtual node, as the configuration says it."""

    name: str
    #: Where kube-apiserver finds its kubelet API; port 0 takes a free one.
    address: str
    port: int
    labels: Mapping[str, str]
    taints: tuple[NodeTaint, ...]
    #: What it offers where the site does not say.
    resources: NodeResources = field(default_factory=NodeResources)
    #: The part of the site that it stands for; empty texts: the whole of it.
    partition: str = ""
    flavor: str = ""
    #: Seconds that it lives, 0 without a limit, and how long before the end it is drained.
    walltime: int = 0
    drain: float = 0.0
    #: Seconds that InterLink may be away before it is not ready, 0 without end.
    not_ready_after: float = 0.0


def node_settings(config: Config) -> list[NodeSettings]:
    """Return the nodes of this virtual kubelet: those of ``Nodes``, else the one of ``NodeName``. Raises ConfigError.

    Each has a port of its own, so that what is asked at a port is asked of one node, as of a kubelet.
    """
    _check_walltime(config)
    entries = config.nodes or {config.node_name: NodeConfig()}
    provided = provider_resources(config.provider_config, config.resources)
    nodes = []
    for number, (name, entry) in enumerate(entries.items()):
        where = f"Nodes.{name}." if config.nodes else ""
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"key {'Nodes' if config.nodes else 'NodeName'}: {name!r} is no name of a node: up to 63 small "
                "letters, digits, '-' and '.'"
            )
        labels = {**_jiriaf_labels(config), **config.node_labels, **entry.labels}
        taints = config.node_taints if entry.taints is None else entry.taints
        resources = entry.resources or provided.get(name) or config.resources
        _check_labels(f"key {where}Labels" if where else "key NodeLabels", labels)
        _check_taints(f"key {where}Taints" if where else "key NodeTaints", taints)
        _check_resources(
            f"{config.provider_config}: {name}" if resources is provided.get(name) else f"key {where}Resources",
            resources,
        )
        nodes.append(
            NodeSettings(
                name=name,
                address=config.vkubelet_pod_ip,
                port=_port(config, entry, number),
                labels=labels,
                taints=tuple(taints),
                resources=resources,
                partition=entry.partition,
                flavor=entry.flavor,
                walltime=config.walltime,
                drain=config.drain_seconds,
                not_ready_after=config.not_ready_after,
            )
        )
    _check_ports(nodes)
    return nodes


def _jiriaf_labels(config: Config) -> dict[str, str]:
    """Return JIRIAF's labels that do not change; ``vk/node/walltime.py`` has those that do."""
    said = {"jiriaf.nodetype": config.node_type, "jiriaf.site": config.node_site}
    return {name: value for name, value in said.items() if value}


def _check_walltime(config: Config) -> None:
    if config.walltime % 60:
        raise ConfigError(f"key Walltime (JIRIAF_WALLTIME): must be a multiple of 60 seconds, and is {config.walltime}")
    if config.walltime and config.leader_election_lease:
        raise ConfigError(
            "keys Walltime (JIRIAF_WALLTIME) and LeaderElectionLease: a walltime is that of the batch job in which "
            "this process runs, and a standby's would be another; leave out LeaderElectionLease in a batch job, and "
            "Walltime in a Deployment, whose node has no end"
        )


def _port(config: Config, entry: NodeConfig, number: int) -> int:
    if entry.kubelet_port is not None:
        return entry.kubelet_port
    return config.kubelet_port + number if config.kubelet_port else 0


def _check_ports(nodes: list[NodeSettings]) -> None:
    taken: dict[int, str] = {}
    for node in nodes:
        if node.port > _MOST_PORT:
            raise ConfigError(f"key KubeletPort: node {node.name} would have port {node.port}, which there is not")
        if node.port and node.port in taken:
            raise ConfigError(f"key KubeletPort: nodes {taken[node.port]} and {node.name} both have {node.port}")
        taken[node.port] = node.name


def _check_labels(where: str, labels: Mapping[str, str]) -> None:
    for key, value in labels.items():
        if not is_label(key, value):
            raise ConfigError(f"{where}: {key}: {value!r} is no label: see Kubernetes' syntax of labels")


def _check_taints(where: str, taints: list[NodeTaint]) -> None:
    for taint in taints:
        if not is_label(taint.key, taint.value):
            raise ConfigError(f"{where}: Key {taint.key!r} with Value {taint.value!r} is no taint")
        if taint.effect not in EFFECTS:
            raise ConfigError(f"{where}: Effect {taint.effect!r} of {taint.key} is none of {', '.join(EFFECTS)}")


def _check_resources(where: str, resources: NodeResources) -> None:
    amounts = [("CPU", "cpu", resources.cpu), ("Memory", "memory", resources.memory), ("Pods", "pods", resources.pods)]
    for each in resources.accelerators:
        if not is_extended_resource(each.resource_type):
            raise ConfigError(f"{where}.Accelerators: {each.resource_type!r} is no extended resource (DOMAIN/NAME)")
        amounts.append((f"Accelerators.{each.resource_type}", each.resource_type, each.available))
    for key, name, amount in amounts:
        if not is_capacity(name, amount):
            raise ConfigError(
                f"{where}.{key}: {amount!r} is no amount as Kubernetes writes them (4, 500m, 32Gi; pods and "
                "accelerators in whole numbers)"
            )
