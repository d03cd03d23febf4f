"""The server's side of TLS on one asyncio connection, with the buffers of this module and no others.

Used by ``server.py`` for each connection. asyncio's own TLS takes 280 KiB a connection and lets nobody see one before
its handshake has ended; 200 followers would be 55 MiB, and a flood of half-open connections the end of the process.
Here a connection takes 30 KiB, and is counted from its first packet.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any, TypeVar

from interlink.vk.kubelet.stream import CHUNK, let_go

T = TypeVar("T")


class TlsStream:
    """Bytes in the clear on this side. One task may read while another writes. Raises OSError (ssl.SSLError is one)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext) -> None:
        self._reader = reader
        self._writer = writer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def handshake(self) -> None:
        """Agree with the client; a client certificate that is shown is verified here."""
        try:
            await self._step(self._tls.do_handshake)
        finally:
            self._flush()  # also the alert that says why not

    def peer_certificate(self) -> dict[str, Any] | None:
        """Return the verified client certificate in ssl's form, None where none was shown."""
        return self._tls.getpeercert() or None

    async def read(self, size: int) -> bytes:
        """Return what has come, at least a byte of it; empty once the client has ended its side."""
        try:
            return await self._step(lambda: self._tls.read(size))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    async def write(self, data: bytes) -> None:
        """Send; returns when there is room for more."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._tls.write(rest[:CHUNK]) :]
            self._flush()
            await self._writer.drain()

    async def close(self, seconds: float) -> None:
        """Say goodbye, give the client so long to take what was sent, and let go."""
        with contextlib.suppress(OSError, ValueError):
            self._tls.unwrap()  # the client's own goodbye is not waited for
        self._flush()
        await let_go(self._reader, self._writer, seconds)

    async def _step(self, action: Callable[[], T]) -> T:
        """Run the action as often as it takes, with what comes in between."""
        while True:
            try:
                result = action()
            except ssl.SSLWantReadError:
                self._flush()
                await self._writer.drain()
                data = await self._reader.read(CHUNK)
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._writer.write(self._outgoing.read())
