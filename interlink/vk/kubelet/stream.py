"""What an HTTP connection needs of the layer below, and that layer without TLS.

``tls.py`` is the other one; ``connection.py`` knows neither.
"""

import asyncio
from typing import Any, Protocol


class Stream(Protocol):
    """Bytes in both directions. Raises OSError where the connection is lost."""

    def peer_certificate(self) -> dict[str, Any] | None:
        """Return the verified client certificate in ssl's form, None where none was shown."""

    async def read(self, size: int) -> bytes:
        """Return what has come, at least a byte of it; empty once the client has ended its side."""

    async def write(self, data: bytes) -> None:
        """Send; returns when there is room for more."""


class PlainStream:
    """A stream in the clear, as the health port has."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def peer_certificate(self) -> dict[str, Any] | None:
        """Return None: nobody shows one here."""
        return None

    async def read(self, size: int) -> bytes:
        """Return what has come."""
        return await self._reader.read(size)

    async def write(self, data: bytes) -> None:
        """Send."""
        self._writer.write(data)
        await self._writer.drain()
