"""``interlink vk``: puts the parts of the virtual kubelet together, runs them, and stops them cleanly.

Called by the command line. On SIGTERM or SIGINT everything stops within seconds; no pod, job or node is touched.
"""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Any

from interlink.config import Config
from interlink.vk.apiserver.access import Access, NoAccessError, find_access
from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.errors import ApiError
from interlink.vk.apiserver.reflector import Reflector
from interlink.vk.backoff import Backoff
from interlink.vk.changes import ChangeFeed
from interlink.vk.edge.book import StatusBook
from interlink.vk.edge.client import EdgeClient
from interlink.vk.edge.link import Link
from interlink.vk.events import Events
from interlink.vk.kubelet.access import Gate
from interlink.vk.kubelet.logs import Logs
from interlink.vk.kubelet.routes import Routes
from interlink.vk.kubelet.server import KubeletServer
from interlink.vk.node.controller import NodeController
from interlink.vk.node.lease import Lease
from interlink.vk.pods.context import Context
from interlink.vk.pods.controller import PodController
from interlink.vk.pods.queue import WorkQueue
from interlink.vk.pods.record import PodRecord
from interlink.vk.pods.store import PodStore
from interlink.vk.pods.writer import StatusWriter
from interlink.vk.supervisor import Pulse, supervise
from interlink.vk.tokenfile import TokenFile
from interlink.vk.volumes.contents import Sources
from interlink.vk.volumes.updates import VolumeUpdates

log = logging.getLogger(__name__)

RESYNC_SECONDS = 300.0


def run(config: Config) -> int:
    """Run until a signal says stop; return the process's exit status."""
    try:
        access = find_access(config.kubeconfig)
    except NoAccessError as error:
        log.error("%s", error)  # noqa: TRY400 - the sentence says it all
        return 2
    try:
        asyncio.run(_run_until_signal(config, access))
    except Exception:
        log.exception("the virtual kubelet ends; jobs go on")
        return 1
    log.info("stopped; pods and jobs go on")
    return 0


async def _run_until_signal(config: Config, access: Access) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with VirtualKubelet(config, access) as kubelet:
        await kubelet.run(stop)


class VirtualKubelet:
    """One virtual node: all its parts and the loops that drive them. ``clock`` says how old pods' tokens are."""

    def __init__(self, config: Config, access: Access, clock: Callable[[], float] = time.time) -> None:
        self.config = config
        self.access = access
        self.clock = clock
        self.pulse = Pulse()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "VirtualKubelet":
        config = self.config
        self.api = ApiServer(self.access)
        self._stack.push_async_callback(self.api.close)
        self.lease_api = ApiServer(self.access, timeout=10.0)
        self._stack.push_async_callback(self.lease_api.close)
        self.edge = EdgeClient(config.interlink_url, config.interlink_port, TokenFile(config.vk_token_file))
        self._stack.push_async_callback(self.edge.close)
        self.link = Link()
        self.queue = WorkQueue()
        self.store = PodStore(self._look_at)
        self.events = Events(self.api, config.node_name)
        self.node = NodeController(self.api, self.edge, self.link, self.events, config)
        routes = Routes(Gate(self.api, config.node_name), Logs(self.store, self.edge), self.store, self.pulse.late)
        self.server = KubeletServer(
            self.api, routes.handle, config.node_name, config.vkubelet_pod_ip, config.kubelet_port
        )
        await self.server.start()
        self._stack.push_async_callback(self.server.close)
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._stack.aclose()

    async def run(self, stop: asyncio.Event) -> None:
        """Run all loops until ``stop`` is set, or one of them dies."""
        waiting = asyncio.ensure_future(self._cluster_uid())
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not waiting.done():
            waiting.cancel()
            return
        book = StatusBook(waiting.result(), self.config.node_name)
        context = Context(
            api=self.api,
            edge=self.edge,
            link=self.link,
            book=book,
            store=self.store,
            queue=self.queue,
            events=self.events,
            writer=StatusWriter(self.api, self.store),
            sources=Sources(self.api, self.clock),
            allocatable=lambda: self.node.capacity,
            services=service_variables(os.environ),
        )
        self.updates = VolumeUpdates(context)
        self.pods = PodController(context, self.updates)
        self.store.on_listed = self.pods.look_at_all
        self.feed = ChangeFeed(self.edge, self.link, book, self.store, self._on_snapshot)
        self.link.listeners.append(self._on_link)
        await supervise(self._loops(), stop)

    def _look_at(self, uid: str) -> None:
        self.queue.add(uid)
        self.updates.look(uid)

    def _on_snapshot(self, asked: float, touched: set[str]) -> None:
        self.pods.on_snapshot(asked, touched)
        self.updates.look_at_all()

    def _on_link(self, reachable: bool) -> None:
        if reachable:
            self.queue.kick()
            self.updates.queue.kick()

    def _loops(self) -> dict[str, Coroutine[Any, Any, None]]:
        lease = Lease(self.lease_api, self.config.node_name, lambda: self.node.uid)
        pods = Reflector(
            self.api,
            "/api/v1/pods",
            {"fieldSelector": f"spec.nodeName={self.config.node_name}"},
            PodRecord.from_object,
            self.store,
        )
        self.node.on_life = self.pulse.watch("node", 120.0)
        lease.on_life = self.pulse.watch("lease", 90.0)
        pods.on_life = self.pulse.watch("pods", 900.0)
        self.feed.on_life = self.pulse.watch("changes", 150.0)
        self.updates.versions.on_life = self.pulse.watch("versions", 300.0)
        return {
            "node": self.node.run(),
            "lease": lease.run(),
            "pods": pods.run(),
            "changes": self.feed.run(),
            "work": self.queue.run(self.pods.reconcile),
            "updates": self.updates.run(),
            "versions": self.updates.versions.run(),
            "events": self.events.run(),
            "kubelet": self.server.run(),
            "resync": self._resync(),
        }

    async def _resync(self) -> None:
        while True:
            await asyncio.sleep(RESYNC_SECONDS)
            self.pods.look_at_all()
            self.updates.look_at_all()

    async def _cluster_uid(self) -> str:
        """Return the cluster's identity, once kube-apiserver answers."""
        backoff, began = Backoff(0.5, 10.0), time.monotonic()
        while True:
            try:
                namespace = await self.api.get("/api/v1/namespaces/kube-system")
                return str(namespace["metadata"]["uid"])
            except ApiError as error:
                log.warning("waiting for kube-apiserver (%.0f s): %s", time.monotonic() - began, error)
                await backoff.sleep(error.retry_after)


def service_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return where kube-apiserver is, as every container is told; nothing outside a cluster."""
    names = ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "KUBERNETES_SERVICE_PORT_HTTPS")
    return {name: environ[name] for name in names if environ.get(name)}
