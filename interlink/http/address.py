"""Addresses as the configuration writes them: ``http://HOST`` with a port, or ``unix:///PATH``."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


class AddressError(Exception):
    """The address cannot be used; the message shows it and the two forms that can."""


@dataclass(frozen=True)
class Address:
    """Either a unix socket's path, or scheme, host and port."""

    scheme: str
    host: str = ""
    port: int = 0
    path: Path | None = None

    @classmethod
    def parse(cls, url: str, port: int) -> "Address":
        """Read an address of the configuration; a port in the URL itself wins over ``port``. Raises AddressError."""
        parts = urlsplit(url)
        if parts.scheme == "unix" and parts.path.startswith("/"):
            return cls("unix", path=Path(parts.path))
        try:
            own_port = parts.port
        except ValueError:
            own_port = 0
        if parts.scheme in ("http", "https") and parts.hostname and own_port != 0:
            return cls(parts.scheme, parts.hostname, own_port or port)
        raise AddressError(f"{url!r} is no address: write http://HOST, https://HOST or unix:///PATH")

    @property
    def is_local(self) -> bool:
        """Whether only processes of this host can reach it: a unix socket or a loopback address."""
        if self.path is not None or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        """The address as it would be written in the configuration, with its port."""
        return f"unix://{self.path}" if self.path else f"{self.scheme}://{self.host}:{self.port}"
