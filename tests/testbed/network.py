"""The bed's own Docker network: fixed addresses, so that certificates and inventories outlive a restart."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import TestbedError, UnhealthyError
from .layout import LABEL, NETWORK, POD_CIDR, SERVICE_CIDR, Host
from .process import run

if TYPE_CHECKING:
    from .bed import Bed
    from .part import Step

BRIDGE = "interlink0"
CANDIDATES = ("172.30.251.0/24", "172.29.251.0/24", "192.168.251.0/24", "192.168.231.0/24", "10.251.251.0/24")


@dataclass(frozen=True)
class Network:
    """A network as Docker has it."""

    subnet: ipaddress.IPv4Network
    gateway: str

    def address(self, host: Host) -> str:
        """Return the address of a host."""
        return str(self.subnet[host.number])


def read(bed: Bed) -> Network:
    """Return the bed's network; raises UnhealthyError if there is none."""
    known = bed.docker.inspect("network", NETWORK)
    if known is None:
        raise UnhealthyError(f"Docker has no network {NETWORK}")
    config = known["IPAM"]["Config"][0]
    return Network(ipaddress.IPv4Network(config["Subnet"]), config["Gateway"])


def health(bed: Bed) -> str:
    """Say which network it is; raises UnhealthyError if it or its bridge is missing."""
    network = read(bed)
    links = json.loads(run(["ip", "-json", "address", "show", "dev", BRIDGE])) if _has_bridge() else []
    if network.gateway not in {address["local"] for link in links for address in link["addr_info"]}:
        raise UnhealthyError(f"the bridge {BRIDGE} does not carry {network.gateway}")
    return f"{network.subnet} on {BRIDGE}"


def up(bed: Bed, step: Step) -> None:
    """Create the network, or create it anew if its bridge is gone."""
    if bed.docker.inspect("network", NETWORK) is not None:
        for name in bed.docker.containers(LABEL):
            bed.docker.remove_container(name)
        bed.docker("network", "rm", NETWORK)
        bed.__dict__.pop("network", None)
    subnet = free_subnet(_routes())
    step.say(f"creating {NETWORK} with {subnet}")
    bed.docker(
        "network", "create", "--label", LABEL, "--subnet", str(subnet), "--gateway", str(subnet[1]),
        "--opt", f"com.docker.network.bridge.name={BRIDGE}", NETWORK,
    )  # fmt: skip


def free_subnet(taken: Iterable[str], candidates: Iterable[str] = CANDIDATES) -> ipaddress.IPv4Network:
    """Return the first candidate that overlaps nothing that is taken; raises TestbedError if none is free."""
    used = [ipaddress.IPv4Network(net) for net in (*taken, SERVICE_CIDR, POD_CIDR)]
    for candidate in map(ipaddress.IPv4Network, candidates):
        if not any(candidate.overlaps(net) for net in used):
            return candidate
    raise TestbedError(f"all of {', '.join(candidates)} are in use on this machine")


def _has_bridge() -> bool:
    return any(link["ifname"] == BRIDGE for link in json.loads(run(["ip", "-json", "link"])))


def _routes() -> list[str]:
    routes = json.loads(run(["ip", "-json", "-4", "route"]))
    return [route["dst"] for route in routes if route["dst"] != "default"]
