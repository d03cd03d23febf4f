"""What an HTTP connection needs of the layer below, and that layer without TLS.

``tls.py`` is the other one; ``connection.py`` knows neither.
"""

import asyncio
import logging
from typing import Any, Protocol

log = logging.getLogger(__name__)

CHUNK = 16384
#: So many pieces of what a client goes on to send after our goodbye are thrown away.
MOST_IGNORED = 64


class Stream(Protocol):
    """Bytes in both directions. Raises OSError where the connection is lost."""

    def peer_certificate(self) -> dict[str, Any] | None:
        """Return the verified client certificate in ssl's form, None where none was shown."""

    async def read(self, size: int) -> bytes:
        """Return what has come, at least a byte of it; empty once the client has ended its side."""

    async def write(self, data: bytes) -> None:
        """Send; returns when there is room for more."""


class Channel(Stream, Protocol):
    """A stream with its beginning and its end."""

    async def handshake(self) -> None:
        """Agree with the client, before anything is read or written."""

    async def close(self, seconds: float) -> None:
        """Say goodbye, give the client so long to take what was sent, and let go."""


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

    async def handshake(self) -> None:
        """Agree on nothing."""

    async def close(self, seconds: float) -> None:
        """End our side, and let go."""
        await let_go(self._reader, self._writer, seconds)


async def let_go(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """End a connection, once the client has taken what was sent or so many seconds are over."""
    try:
        writer.write_eof()
        async with asyncio.timeout(seconds):
            await _until_taken(reader)
    except (OSError, TimeoutError) as error:
        log.debug("no goodbye: %s", error)
    finally:
        writer.transport.abort()


async def _until_taken(reader: asyncio.StreamReader) -> None:
    """Wait for the client's end; closed with bytes of it unread, a connection is reset, and our words with it."""
    for _ in range(MOST_IGNORED):
        if not await reader.read(CHUNK):
            return
