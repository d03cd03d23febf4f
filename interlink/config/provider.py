"""The seeds' provider configuration, knoc-cfg.json: what each virtual node has, by its name.

Read by ``nodes.py``. Its form is that of virtual-kubelet's mock provider, which KNoC, interLink and JIRIAF took over:
``{"NODENAME": {"cpu": "4", "memory": "32Gi", "pods": "128", "others": {"nvidia.com/gpu": "1"}}}``.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interlink.config.entries import AcceleratorConfig, NodeResources
from interlink.config.load import ConfigError, read_document
from interlink.config.model import Config

_AMOUNTS = ("cpu", "memory", "pods")
#: Fields of the seeds' that say nothing of resources.
_IGNORED = ("providerID", "labels")


def is_service_configuration(document: Mapping[Any, Any]) -> bool:
    """Whether this is InterLinkConfig.yaml and no table of nodes: newer seeds name that one by the same flag."""
    keys = {spec.metadata["key"] for spec in dataclasses.fields(Config)}
    return any(key in keys for key in document)


def provider_resources(path: Path | None, default: NodeResources) -> dict[str, NodeResources]:
    """Return the resources by node's name; what an entry leaves out is the default's. Raises ConfigError."""
    if path is None:
        return {}
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; name an existing one with --provider-config, or leave it out")
    document = read_document(path)
    if is_service_configuration(document):
        return {}
    return {str(name): _resources(f"{path}: {name}", entry, default) for name, entry in document.items()}


def _resources(where: str, entry: object, default: NodeResources) -> NodeResources:
    if not isinstance(entry, dict):
        raise ConfigError(f'{where}: must hold amounts, as {{"cpu": "4", "memory": "32Gi", "pods": "128"}}')
    unknown = sorted(str(key) for key in entry if key not in (*_AMOUNTS, *_IGNORED, "others"))
    if unknown:
        raise ConfigError(f"{where}: unknown field {unknown[0]}; there are: {', '.join(_AMOUNTS)}, others")
    others = entry.get("others") or {}
    amounts = {name: entry[name] for name in _AMOUNTS if entry.get(name) not in (None, "")}
    if not isinstance(others, dict) or any(
        isinstance(each, (dict, list)) for each in [*amounts.values(), *others.values()]
    ):
        raise ConfigError(f"{where}: others must hold names with amounts, and every amount be a text or a number")
    accelerators = [
        AcceleratorConfig(resource_type=str(name), available=str(amount)) for name, amount in others.items()
    ]
    values: dict[str, Any] = {name: str(amount) for name, amount in amounts.items()}
    if accelerators:
        values["accelerators"] = accelerators
    return dataclasses.replace(default, **values)
