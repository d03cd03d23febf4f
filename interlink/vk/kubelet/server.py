"""Listens on the kubelet port, and keeps its certificate fresh and the client CA current.

Run by ``main.py`` as one task; each connection is a task of its own, ended with the server.
"""

import asyncio
import logging
import socket
import ssl
import time

from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.errors import ApiError
from interlink.vk.kubelet import certificate
from interlink.vk.kubelet.connection import Connection, Handler

log = logging.getLogger(__name__)

CLIENT_CA = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
HANDSHAKE_SECONDS = 15.0
REFRESH_SECONDS = 300.0
RENEW_SECONDS = certificate.VALID_DAYS * 86400 / 2


class KubeletServer:
    """The HTTPS server of one node."""

    def __init__(self, api: ApiServer, handler: Handler, node_name: str, address: str, port: int) -> None:
        self.api = api
        self.handler = handler
        self.node_name = node_name
        self.address = address
        self.port = port
        self.context = certificate.serving_context(node_name, address)
        self._authorities = ""
        self._made = time.monotonic()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen; port 0 takes a free one, which ``port`` then says. Raises OSError where the port is taken."""
        self._server = await asyncio.start_server(
            self._accept, None, self.port, ssl=self.context, ssl_handshake_timeout=HANDSHAKE_SECONDS
        )
        ports = {listening.family: listening.getsockname()[1] for listening in self._server.sockets}
        self.port = ports.get(socket.AF_INET) or next(iter(ports.values()))
        log.info("kubelet port %d is open", self.port)

    async def run(self) -> None:
        """Keep client CA and certificate current for ever."""
        while True:
            await self.refresh()
            known = bool(self._authorities)
            await asyncio.sleep(REFRESH_SECONDS if known else 10.0)

    async def refresh(self) -> None:
        """Take the client CA from the cluster as it is now, and a new certificate when the old one is half over."""
        if time.monotonic() - self._made > RENEW_SECONDS:
            certificate.renew(self.context, self.node_name, self.address)
            self._made = time.monotonic()
        try:
            config_map = await self.api.get(CLIENT_CA)
            authorities = str((config_map.get("data") or {}).get("client-ca-file") or "")
            if authorities and authorities != self._authorities:
                certificate.trust_clients(self.context, authorities)
                self._authorities = authorities
        except (ApiError, ssl.SSLError) as error:
            log.warning("kubelet port: client CA not read, tokens still work: %s", error)

    async def close(self) -> None:
        """Stop listening and end all connections."""
        if self._server:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(Connection(reader, writer, self.handler).serve())
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
