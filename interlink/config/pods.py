"""The keys about pods on the virtual node, checked. Called by ``interlink vk`` and ``interlink config check``."""

import re
from ipaddress import AddressValueError, IPv6Address

from interlink.config.load import ConfigError
from interlink.config.model import Config

#: What DaemonSets can be.
IGNORE, REJECT = "ignore", "reject"
_ADDRESS = re.compile(r"(?P<host>[0-9A-Za-z.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_HTTPS = 443


def check_pods(config: Config) -> None:
    """Raise ConfigError for the first key about pods that cannot be used."""
    kubernetes_address(config)
    if config.daemon_sets not in (IGNORE, REJECT):
        raise ConfigError(f"key DaemonSets: must be {IGNORE} or {REJECT}, not {config.daemon_sets!r}")


def kubernetes_address(config: Config) -> tuple[str, int] | None:
    """Return where compute nodes reach kube-apiserver, None where no address is set. Raises ConfigError."""
    if not config.kubernetes_address:
        return None
    match = _ADDRESS.fullmatch(config.kubernetes_address)
    host, port = (match["host"], int(match["port"] or _HTTPS)) if match else ("", 0)
    if host.startswith("["):
        host = host.strip("[]")
        try:
            IPv6Address(host)
        except AddressValueError:
            port = 0
    if not 0 < port < 65536:
        raise ConfigError(
            f"key KubernetesAddress: {config.kubernetes_address!r} is no address; write HOST or HOST:PORT, and an IPv6 "
            "address in brackets"
        )
    return host, port
