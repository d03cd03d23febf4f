"""``interlink vk``: the virtual kubelet, with a configuration file, the environment and the flags of its forebears.

Flags win over the environment, the environment over the file.
"""

import argparse
import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interlink.cli import seeds
from interlink.cli.services import set_up_logging
from interlink.config import Config, ConfigError, load_with_notes
from interlink.config.load import PATH_VARIABLES, read_document
from interlink.config.provider import is_service_configuration

_TEXT = "the virtual kubelet: one node of a Kubernetes cluster, or several"
_EPILOG = "Flags win over the environment, the environment over the file."


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``vk``."""
    parser = commands.add_parser(
        "vk", parents=[common], help=_TEXT, description=_TEXT[0].upper() + _TEXT[1:] + ".", epilog=_EPILOG,
        allow_abbrev=False,
    )  # fmt: skip
    seeds.add_flags(parser)
    parser.set_defaults(run=run_vk)


def run_vk(options: argparse.Namespace) -> int:
    """Run the virtual kubelet."""
    from interlink.vk.main import run  # noqa: PLC0415

    load = loader(options)
    config, notes = load()
    set_up_logging(config, [*notes, *options.meaningless], seeds.log_level(options))
    return run(config, lambda: load()[0])


def loader(options: argparse.Namespace) -> Callable[[], tuple[Config, list[str]]]:
    """Return what reads the configuration with the flags over it, and again later. Raises ConfigError."""
    file, changes = options.config, dict[str, Any]()
    provider: str = options.provider_config or os.environ.get("VK_CONFIG_PATH") or ""
    if provider and Path(provider).is_file() and is_service_configuration(read_document(Path(provider))):
        # Newer seeds name InterLinkConfig.yaml here.
        if file is None and not any(os.environ.get(name) for name in PATH_VARIABLES):
            file = Path(provider)
        changes["provider_config"] = None
    elif options.provider_config:
        changes["provider_config"] = Path(provider)
    if options.kubeconfig:
        changes["kubeconfig"] = Path(options.kubeconfig)
    if options.startup_timeout is not None:
        changes["startup_timeout"] = options.startup_timeout
    if seeds.switched_on("--disable-taint", options.disable_taint):
        changes["node_taints"] = []

    def load() -> tuple[Config, list[str]]:
        config, notes = load_with_notes(file)
        return _named(dataclasses.replace(config, **changes), options.nodename), notes

    return load


def _named(config: Config, name: str | None) -> Config:
    """Return the configuration for the node of this name; of several nodes it picks that one."""
    if not name:
        return config
    if config.nodes and name not in config.nodes:
        raise ConfigError(f"flag --nodename: {name} is none of Nodes: {', '.join(config.nodes)}")
    nodes = {name: config.nodes[name]} if config.nodes else {}
    return dataclasses.replace(config, node_name=name, nodes=nodes)
