"""Listens on the kubelet port, and keeps its certificate and the client CA current.

Run by ``main.py`` as one task; each connection is a task of its own, ended with the server. Invariants: a client whose
request was admitted is never cut off for another's sake; all others together take a bounded part of the memory, and
the one that has waited longest makes room for the newest.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Iterator

from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.errors import ApiError
from interlink.vk.kubelet.certificate import CertificateError, server_context
from interlink.vk.kubelet.connection import Connection, Handler
from interlink.vk.kubelet.serving import Serving
from interlink.vk.kubelet.tls import CHUNK, TlsStream

log = logging.getLogger(__name__)

CLIENT_CA = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
HANDSHAKE_SECONDS = 15.0
GOODBYE_SECONDS = 2.0
REFRESH_SECONDS, FIRST_REFRESH_SECONDS = 300.0, 10.0
#: Clients that were not admitted yet, and all together. A kubelet has no bound.
MOST_WAITING, MOST_CONNECTIONS = 512, 1024
#: A peer that vanished without a word is noticed after 60 + 4 * 15 s.
KEEPALIVE = {socket.TCP_KEEPIDLE: 60, socket.TCP_KEEPINTVL: 15, socket.TCP_KEEPCNT: 4}


class KubeletServer:
    """The HTTPS server of one node."""

    def __init__(self, api: ApiServer, handler: Handler, serving: Serving, port: int) -> None:
        self.api = api
        self.handler = handler
        self.serving = serving
        self.port = port
        self.context = server_context(serving.shown, "")
        serving.on_change = self._renew
        self._authorities = ""
        self._doubted = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], Connection] = {}

    async def start(self) -> None:
        """Listen; port 0 takes a free one, which ``port`` then says. Raises OSError where the port is taken."""
        self._server = await asyncio.start_server(self._accept, sock=_listener(self.port), limit=CHUNK, backlog=256)
        self.port = self._server.sockets[0].getsockname()[1]
        log.info("kubelet port %d is open", self.port)

    async def run(self) -> None:
        """Keep client CA and certificate current for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.serving.run())
            group.create_task(self._follow_authorities())

    async def refresh(self) -> None:
        """Take the client CA from the cluster as it is now."""
        try:
            config_map = await self.api.get(CLIENT_CA)
            authorities = str((config_map.get("data") or {}).get("client-ca-file") or "")
            if authorities and authorities != self._authorities:
                self.context = server_context(self.serving.shown, authorities)
                self._authorities = authorities
                log.info("kubelet port: client certificates of the cluster's CA are accepted")
        except (ApiError, CertificateError) as error:
            log.warning("kubelet port: client CA not read, tokens still work: %s", error)

    async def close(self) -> None:
        """Stop listening and end all connections."""
        if self._server:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def count(self, *, admitted: bool) -> int:
        """Return how many connections there are of this kind."""
        return sum(connection.admitted is admitted for connection in self._connections.values())

    async def _follow_authorities(self) -> None:
        while True:
            self._doubted.clear()
            await self.refresh()
            # Not at once again, whoever knocks with what certificates.
            await asyncio.sleep(FIRST_REFRESH_SECONDS)
            if self._authorities:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(REFRESH_SECONDS):
                        await self._doubted.wait()

    def _renew(self) -> None:
        # A new context each time: sessions of an older one, and CAs that are trusted no more, end with it.
        self.context = server_context(self.serving.shown, self._authorities)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waiting = [task for task, known in self._connections.items() if not known.admitted and not task.cancelling()]
        if len(waiting) >= MOST_WAITING:
            min(waiting, key=lambda task: self._connections[task].since).cancel()
        elif len(self._connections) >= MOST_CONNECTIONS:
            log.warning("kubelet port: %d connections are open; one more is refused", len(self._connections))
            writer.transport.abort()
            return
        stream = TlsStream(reader, writer, self.context)
        connection = Connection(stream, self.handler)
        task = asyncio.ensure_future(self._serve(stream, connection))
        self._connections[task] = connection
        task.add_done_callback(self._connections.pop)

    async def _serve(self, stream: TlsStream, connection: Connection) -> None:
        seconds = 0.0
        try:
            # Not wait_for, here and below: before Python 3.12 it forgets a cancellation that comes with what it waits
            # for, and a connection that was to make room, or to end with the server, would go on.
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                await stream.handshake()
            await connection.serve()
            seconds = GOODBYE_SECONDS
        except ssl.SSLCertVerificationError as error:
            log.info("kubelet port: a client's certificate is not accepted: %s", error.verify_message)
            self._doubted.set()  # the cluster's CA may be another one by now
            seconds = GOODBYE_SECONDS
        except (OSError, TimeoutError) as error:
            log.debug("kubelet port: no handshake: %s", error)
        finally:
            connection.admitted, connection.since = False, 0.0
            await stream.close(seconds)


@contextlib.contextmanager
def _closed_on_error(listener: socket.socket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        listener.close()
        raise


def _listener(port: int) -> socket.socket:
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
