"""/configz: the configuration in force: the node's in the kubelet's own words, and the virtual kubelet's keys.

A route of ``routes.py``. No key holds a secret: tokens are in files; what a URL says of a user is cut out all the same.
"""

import dataclasses
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from interlink.config import Config
from interlink.config.model import VK
from interlink.config.nodes import NodeSettings
from interlink.vk.kubelet.access import ALLOW_SECONDS, DENY_SECONDS, TOKEN_SECONDS
from interlink.vk.node.lease import DURATION_SECONDS

Json = dict[str, Any]

#: The section of the keys that all services read.
_EVERYONE = "Every service"


def configz(config: Config, node: NodeSettings, max_pods: str) -> Json:
    """Return the answer: ``kubeletconfig`` as v1beta1 has it, where it means something here, and ``interlink``."""
    webhook = {"cacheAuthorizedTTL": f"{ALLOW_SECONDS:g}s", "cacheUnauthorizedTTL": f"{DENY_SECONDS:g}s"}
    kubelet: Json = {
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "address": "0.0.0.0",  # noqa: S104 - what it listens on
        "port": node.port,
        "tlsCertFile": str(config.kubelet_cert_file or ""),
        "tlsPrivateKeyFile": str(config.kubelet_key_file or ""),
        "serverTLSBootstrap": config.kubelet_cert_request and not config.kubelet_cert_file,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True, "cacheTTL": f"{TOKEN_SECONDS:g}s"},
        },
        "authorization": {"mode": "Webhook", "webhook": webhook},
        "nodeLeaseDurationSeconds": DURATION_SECONDS,
        "registerNode": True,
    }
    if max_pods.isdigit():
        kubelet["maxPods"] = int(max_pods)
    keys = {
        spec.metadata["key"]: _plain(getattr(config, spec.name))
        for spec in dataclasses.fields(config)
        if spec.metadata.get("section") in (VK, _EVERYONE)
    }
    return {"kubeletconfig": kubelet, "interlink": keys}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {spec.metadata["key"]: _plain(getattr(value, spec.name)) for spec in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return _without_user(value) if isinstance(value, str) else value


def _without_user(text: str) -> str:
    if "@" not in text or "://" not in text:
        return text
    url = urlsplit(text)
    return urlunsplit(url._replace(netloc=url.netloc.rpartition("@")[2]))
