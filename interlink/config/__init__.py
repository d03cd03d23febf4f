"""The one configuration of all services: InterLinkConfig.yaml, overridden by the environment."""

from interlink.config.entries import NodeResources, NodeTaint
from interlink.config.load import ConfigError, load_config, load_with_notes
from interlink.config.model import Config

__all__ = ["Config", "ConfigError", "NodeResources", "NodeTaint", "load_config", "load_with_notes"]
