"""Follows the configuration while the process runs: what of it can change does so at once, the rest is said.

One task, run by ``main.py``. Invariant: a configuration that cannot be used changes nothing; the one before holds.
"""

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Sequence

from interlink.config import Config, ConfigError
from interlink.config.nodes import NodeSettings, node_settings
from interlink.vk.virtual_node import VirtualNode

log = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
#: What a running virtual kubelet takes over: all that becomes part of its nodes' settings.
_LIVE = frozenset(
    (
        *("nodes", "node_labels", "node_taints", "node_type", "node_site"),
        *("resources", "provider_config", "not_ready_after", "drain_seconds"),
    )
)
#: Sections of the configuration that it reads.
_SECTIONS = frozenset({"Every service", "interlink vk"})
#: Of a node's settings, what is there from the start on.
_FIXED = ("address", "port")


class LiveConfig:
    """The configuration as it is now, on its way to the nodes; ``load`` reads it again and may raise ConfigError."""

    def __init__(self, load: Callable[[], Config], config: Config, nodes: Sequence[VirtualNode]) -> None:
        self.load = load
        self.config = config
        self.nodes = {node.settings.name: node for node in nodes}
        self._settings = _by_name(config)
        self._complaint = ""

    async def run(self) -> None:
        """Look for ever. Every node that has changed is brought into line by the ping that follows."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Read the configuration once, and take over what has changed."""
        try:
            config = await asyncio.to_thread(self.load)
            settings = _by_name(config)
        except ConfigError as error:
            self._complain(str(error))
            return
        if self._complaint:
            log.info("the configuration can be used again")
            self._complaint = ""
        if config == self.config and settings == self._settings:
            return
        self._say_what_waits(config, settings)
        for name, node in self.nodes.items():
            if name in settings and settings[name] != self._settings.get(name):
                log.info("node %s: the configuration has changed: taking its labels, taints, capacity and part", name)
                node.apply(settings[name])
        self.config, self._settings = config, settings

    def _complain(self, words: str) -> None:
        if words == self._complaint:
            return
        self._complaint = words
        log.error("the configuration cannot be used, the one before holds: %s", words)
        for node in self.nodes.values():
            node.events.node("Warning", "InvalidConfiguration", f"the one before holds: {words}")

    def _say_what_waits(self, config: Config, settings: dict[str, NodeSettings]) -> None:
        """Say once for each change what takes effect with the next start only."""
        waiting = [
            f"key {spec.metadata['key']}"
            for spec in dataclasses.fields(Config)
            if spec.metadata["section"] in _SECTIONS
            and spec.name not in _LIVE
            and getattr(config, spec.name) != getattr(self.config, spec.name)
        ]
        waiting += [f"node {name}" for name in sorted(settings.keys() ^ self._settings.keys())]
        waiting += [
            f"{what} of node {name}"
            for name in sorted(settings.keys() & self._settings.keys())
            for what in _FIXED
            if getattr(settings[name], what) != getattr(self._settings[name], what)
        ]
        if waiting:
            log.warning("the configuration has changed; with the next start only: %s", ", ".join(waiting))


def _by_name(config: Config) -> dict[str, NodeSettings]:
    return {each.name: each for each in node_settings(config)}
