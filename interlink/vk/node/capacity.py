"""What the node offers: the site's word where it gives one, else the configuration's.

Pure; called by ``controller.py`` after each ping.
"""

import logging
from functools import lru_cache

from interlink.config.nodes import NodeSettings
from interlink.core.labels import is_capacity, is_extended_resource
from interlink.core.quantity import QuantityError, parse_quantity
from interlink.wire.messages import PingReply, Resources

log = logging.getLogger(__name__)

#: A batch site accounts no scratch space to jobs: a nominal amount lets pods that ask for some be scheduled.
NOMINAL_STORAGE = "1Ti"


def offered(reply: PingReply | None, settings: NodeSettings) -> Resources | None:
    """Return what the site says of this node's part of it; None where it says nothing of that part."""
    if reply is None:
        return None
    if settings.partition:
        return (reply.partitions or {}).get(settings.partition)
    if settings.flavor:
        return (reply.flavors or {}).get(settings.flavor)
    return reply.resources


def node_capacity(reply: PingReply | None, settings: NodeSettings) -> dict[str, str]:
    """Return the node's capacity as quantities by resource name."""
    said, fallback = offered(reply, settings) or Resources(), settings.resources
    capacity = {
        "cpu": _valid("cpu", said.cpu, fallback.cpu),
        "memory": _valid("memory", said.memory, fallback.memory),
        "pods": _valid("pods", said.pods, fallback.pods),
        "ephemeral-storage": NOMINAL_STORAGE,
    }
    if said.accelerators is None:
        return capacity | {each.resource_type: each.available for each in fallback.accelerators}
    for accelerator in said.accelerators:
        name = accelerator.resourceType
        if not is_extended_resource(name):
            complain(f"the site offers {name!r}, which is no extended resource (DOMAIN/NAME): ignored")
            continue
        capacity[name] = _valid(name, accelerator.available, "0")
    return capacity


def same_capacity(held: dict[str, str], wanted: dict[str, str]) -> bool:
    """Whether the API holds these amounts, however it writes them; resources of others do not count."""
    try:
        return all(name in held and parse_quantity(held[name]) == parse_quantity(wanted[name]) for name in wanted)
    except QuantityError:
        return False


@lru_cache(maxsize=256)
def complain(words: str) -> None:
    """Log a sentence once, though the site may say the same with every ping."""
    log.warning("%s", words)


def _valid(name: str, said: str | None, fallback: str) -> str:
    if not said or is_capacity(name, said):
        return said or fallback
    complain(f"the site says {said!r} for {name}, which is no amount of it: taking {fallback}")
    return fallback
