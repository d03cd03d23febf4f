"""The kubelet port of one node, and what keeps its certificate and the client CA current.

Run by ``virtual_node.py``; ``listener.py`` takes its connections.
"""

import asyncio
import contextlib
import logging

from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.errors import ApiError
from interlink.vk.kubelet.certificate import CertificateError, server_context
from interlink.vk.kubelet.connection import Handler
from interlink.vk.kubelet.listener import Listener
from interlink.vk.kubelet.serving import Serving
from interlink.vk.kubelet.tls import TlsStream

log = logging.getLogger(__name__)

CLIENT_CA = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
REFRESH_SECONDS, FIRST_REFRESH_SECONDS = 300.0, 10.0


class KubeletServer:
    """The HTTPS server of one node."""

    def __init__(self, api: ApiServer, handler: Handler, serving: Serving, port: int) -> None:
        self.api = api
        self.serving = serving
        self.context = server_context(serving.shown, "")
        serving.on_change = self._renew
        self._authorities = ""
        self._doubted = asyncio.Event()
        self.listener = Listener(
            "kubelet port", port, lambda reader, writer: TlsStream(reader, writer, self.context), handler
        )
        self.listener.on_stranger = self._doubted.set  # the cluster's CA may be another one by now

    @property
    def port(self) -> int:
        """The port's number."""
        return self.listener.port

    async def start(self) -> None:
        """Listen. Raises OSError where the port is taken."""
        await self.listener.start()

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
        await self.listener.close()

    def count(self, *, admitted: bool) -> int:
        """Return how many connections there are of this kind."""
        return self.listener.count(admitted=admitted)

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
