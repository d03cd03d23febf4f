"""``interlink config``: check a configuration file, or print the reference of every key."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from interlink.config import Config, load_with_notes
from interlink.config.entries import FlavorConfig, NamespaceConfig, NodeConfig
from interlink.config.jobs import check_jobs
from interlink.config.nodes import node_settings
from interlink.config.pods import check_pods
from interlink.config.volumes import volume_policy


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``config check`` and ``config reference``."""
    parser = commands.add_parser("config", help="check the configuration, or list its keys")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser("check", parents=[common], help="read the configuration and say what is wrong with it")
    check.add_argument("file", nargs="?", type=Path, help="the file to check (default: the one that services read)")
    check.set_defaults(run=run_check)
    reference = actions.add_parser("reference", help="print every key with its default and meaning, as Markdown")
    reference.set_defaults(run=run_reference)


def run_check(options: argparse.Namespace) -> int:
    """Read the file; a fault is raised as ConfigError."""
    config, notes = load_with_notes(options.file or options.config)
    check_jobs(config)
    volume_policy(config)
    node_settings(config)
    check_pods(config)
    for note in notes:
        print(note)
    print("the configuration is good")
    return 0


def run_reference(_options: argparse.Namespace) -> int:
    """Print the reference."""
    print(reference())
    return 0


def reference() -> str:
    """Return docs/configuration.md's text, made from the model."""
    lines = ["# Configuration: InterLinkConfig.yaml", "", "Made by `interlink config reference`; do not edit.", ""]
    sections = dict.fromkeys(spec.metadata["section"] for spec in dataclasses.fields(Config))
    for section in sections:
        lines += [f"## {section}", "", "| Key | Environment | Default | Meaning |", "|---|---|---|---|"]
        lines += [_row(spec) for spec in dataclasses.fields(Config) if spec.metadata["section"] == section]
        lines.append("")
    for key, model in (("Flavors", FlavorConfig), ("Namespaces", NamespaceConfig), ("Nodes", NodeConfig)):
        lines += [f"## Keys of each entry of {key}", "", "| Key | Default | Meaning |", "|---|---|---|"]
        lines += [
            f"| `{spec.metadata['key']}` | {_shown(_default(spec))} | {spec.metadata['doc']} |"
            for spec in dataclasses.fields(model)
        ]
        lines.append("")
    return "\n".join(lines).rstrip()


def _row(spec: "dataclasses.Field[Any]") -> str:
    environment = f"`{spec.metadata['env']}`" if spec.metadata["env"] else ""
    return f"| `{spec.metadata['key']}` | {environment} | {_shown(_default(spec))} | {spec.metadata['doc']} |"


def _default(spec: "dataclasses.Field[Any]") -> Any:
    factory = spec.default_factory
    return spec.default if factory is dataclasses.MISSING else factory()


def _shown(value: Any) -> str:
    if value in (None, "", [], {}):
        return ""
    if isinstance(value, list):
        return "; ".join(_shown(item) for item in value)
    if isinstance(value, dict):
        return "; ".join(f"`{name}: {item}`" for name, item in value.items())
    if dataclasses.is_dataclass(value):
        pairs = [f"{spec.metadata['key']}: {getattr(value, spec.name)}" for spec in dataclasses.fields(value)]
        return "`{" + ", ".join(pairs) + "}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
