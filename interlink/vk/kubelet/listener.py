"""Takes connections at a port and bounds them; each is a task of its own, ended with the port.

Used by ``server.py`` for the kubelet port and by ``leader/health.py`` for the health port. Invariants: a client whose
request was admitted is never cut off for another's sake; all others together take a bounded part of the memory, and
the one that has waited longest makes room for the newest.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Iterator

from interlink.vk.kubelet.connection import Connection, Handler
from interlink.vk.kubelet.stream import CHUNK, Channel

log = logging.getLogger(__name__)

HANDSHAKE_SECONDS = 15.0
GOODBYE_SECONDS = 2.0
#: Clients that were not admitted yet, and all together. A kubelet has no bound.
MOST_WAITING, MOST_CONNECTIONS = 512, 1024
#: A peer that vanished without a word is noticed after 60 + 4 * 15 s.
KEEPALIVE = {socket.TCP_KEEPIDLE: 60, socket.TCP_KEEPINTVL: 15, socket.TCP_KEEPCNT: 4}


class Listener:
    """One port. ``name`` is what the log calls it, ``channel`` what carries the bytes of a new connection."""

    def __init__(
        self,
        name: str,
        port: int,
        channel: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Channel],
        handler: Handler,
    ) -> None:
        self.name = name
        self.port = port
        self.channel = channel
        self.handler = handler
        #: Called where a client's certificate is signed by nobody whom we know.
        self.on_stranger: Callable[[], None] = lambda: None
        self.connections: dict[asyncio.Task[None], Connection] = {}
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; port 0 takes a free one, which ``port`` then says. Raises OSError where the port is taken."""
        self._server = await asyncio.start_server(self._accept, sock=_socket(self.port), limit=CHUNK, backlog=256)
        self.port = self._server.sockets[0].getsockname()[1]
        log.info("%s %d is open", self.name, self.port)

    async def close(self) -> None:
        """Stop listening and end all connections."""
        if self._server:
            self._server.close()
        for task in list(self.connections):
            task.cancel()
        await asyncio.gather(*self.connections, return_exceptions=True)

    def count(self, *, admitted: bool) -> int:
        """Return how many connections there are of this kind."""
        return sum(connection.admitted is admitted for connection in self.connections.values())

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waiting = [task for task, known in self.connections.items() if not known.admitted and not task.cancelling()]
        if len(waiting) >= MOST_WAITING:
            min(waiting, key=lambda task: self.connections[task].since).cancel()
        elif len(self.connections) >= MOST_CONNECTIONS:
            log.warning("%s: %d connections are open; one more is refused", self.name, len(self.connections))
            writer.transport.abort()
            return
        channel = self.channel(reader, writer)
        connection = Connection(channel, self.handler, self.name)
        task = asyncio.ensure_future(self._serve(channel, connection))
        self.connections[task] = connection
        task.add_done_callback(self.connections.pop)

    async def _serve(self, channel: Channel, connection: Connection) -> None:
        seconds = 0.0
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                await channel.handshake()
            await connection.serve()
            seconds = GOODBYE_SECONDS
        except ssl.SSLCertVerificationError as error:
            log.info("%s: a client's certificate is not accepted: %s", self.name, error.verify_message)
            self.on_stranger()
            seconds = GOODBYE_SECONDS
        except (OSError, TimeoutError) as error:
            log.debug("%s: no handshake: %s", self.name, error)
        finally:
            connection.admitted, connection.since = False, 0.0
            await channel.close(seconds)


@contextlib.contextmanager
def _closed_on_error(listener: socket.socket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        listener.close()
        raise


def _socket(port: int) -> socket.socket:
    """Return a socket for IPv4 and, where the host has it, IPv6. Raises OSError."""
    both = socket.has_dualstack_ipv6()
    listener = socket.socket(socket.AF_INET6 if both else socket.AF_INET, socket.SOCK_STREAM)
    with _closed_on_error(listener):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # its connections inherit these
        for option, value in KEEPALIVE.items():
            listener.setsockopt(socket.IPPROTO_TCP, option, value)
        if both:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(("", port))
        return listener
