"""Which certificate the kubelet port shows: the configured files', else one signed by the cluster, else its own.

Run by ``server.py``. Invariant: there is one at any time; a better one takes its place as soon as it is there, one that
has ended gives way to a self-signed one, and files that cannot be used change nothing.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from interlink.config import Config
from interlink.config.nodes import NodeSettings
from interlink.vk.apiserver.client import ApiServer
from interlink.vk.events.recorder import Events
from interlink.vk.kubelet.certificate import SELF_SIGNED, CertificateError, Credential, credential, self_signed
from interlink.vk.kubelet.signing import Signing

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
FILES_SECONDS = 10.0
#: A certificate of our own is made anew when so little of its life is left, in seconds.
SPARE_SECONDS = 30 * 86400.0


class Files:
    """A certificate that the administrator provides, and may replace at any time (cert-manager does)."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self.certificate = certificate
        self.key = key
        self._seen: object = None
        self._due = 0.0

    def read(self) -> Credential | None:
        """Return the pair where the files are others than before, None where not, or where they are no pair."""
        if time.monotonic() < self._due:
            return None
        self._due = time.monotonic() + FILES_SECONDS
        try:
            seen = [(facts.st_ino, facts.st_mtime_ns) for facts in (self.certificate.stat(), self.key.stat())]
            if seen == self._seen:
                return None
            found = credential(self.key.read_bytes(), self.certificate.read_bytes(), "files")
        except (OSError, CertificateError) as error:
            # Perhaps one file is replaced and the other not yet: they are looked at again.
            if self._seen != str(error):
                log.warning("kubelet port: %s with %s: %s; trying again", self.certificate, self.key, error)
            self._seen = str(error)
            return None
        self._seen = seen
        return found


class Serving:
    """The certificate of one node's port; ``on_change`` is told of each new one, ``clock`` gives epoch seconds."""

    def __init__(
        self,
        node_name: str,
        address: str,
        clock: Callable[[], float],
        *,
        files: Files | None = None,
        signing: Signing | None = None,
    ) -> None:
        self.node_name = node_name
        self.address = address
        self.clock = clock
        self.files = files
        self.signing = None if files else signing
        self.on_change: Callable[[], None] = lambda: None
        self.shown = (files and files.read()) or self._own()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Take what is new, and give up what has ended."""
        now = self.clock()
        found = self.files.read() if self.files else None
        if self.signing:
            found = await self.signing.step(now)
        if found:
            self._show(found)
        elif self.shown.source == SELF_SIGNED and now > self.shown.not_after - SPARE_SECONDS:
            self._show(self._own())
        elif self.shown.source != SELF_SIGNED and now > self.shown.not_after:
            log.warning("kubelet port: the certificate (%s) has ended; serving a self-signed one", self.shown.source)
            self._show(self._own())

    def _own(self) -> Credential:
        return self_signed(self.node_name, self.address, datetime.fromtimestamp(self.clock(), UTC))

    def _show(self, found: Credential) -> None:
        until = datetime.fromtimestamp(found.not_after, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        log.info("kubelet port: certificate: %s, until %s", found.source, until)
        self.shown = found
        self.on_change()


def serving_of(
    config: Config, node: NodeSettings, api: ApiServer, events: Events, clock: Callable[[], float]
) -> Serving:
    """Return the certificate that the configuration asks for; one of files is every node's."""
    files = signing = None
    if config.kubelet_cert_file and config.kubelet_key_file:
        files = Files(config.kubelet_cert_file, config.kubelet_key_file)
    elif config.kubelet_cert_request:
        signing = Signing(api, events, node.name, node.address, approve=config.kubelet_cert_approve)
    return Serving(node.name, node.address, clock, files=files, signing=signing)
