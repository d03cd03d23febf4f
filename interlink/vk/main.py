"""``interlink vk``: puts the parts of the virtual kubelet together, runs them, and stops them cleanly.

Called by the command line. On SIGTERM or SIGINT everything stops within seconds; no pod, job or node is touched.
"""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

from interlink import memory
from interlink.config import Config
from interlink.config.nodes import node_settings
from interlink.config.pods import check_pods, kubernetes_address
from interlink.vk.apiserver.access import Access, NoAccessError, find_access
from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.errors import ApiError
from interlink.vk.apiserver.reflector import Reflector
from interlink.vk.backoff import Backoff
from interlink.vk.changes import ChangeFeed
from interlink.vk.edge.client import EdgeClient
from interlink.vk.edge.link import Link
from interlink.vk.edge.pinger import Pinger
from interlink.vk.edge.transport import Transport
from interlink.vk.leader.fence import Fence
from interlink.vk.leader.process import Leader, LeasePlace, lease_place, run_process
from interlink.vk.live import LiveConfig
from interlink.vk.meter import Meter
from interlink.vk.services import PATH as SERVICES
from interlink.vk.services import Service, Services, apiserver_at
from interlink.vk.supervisor import supervise
from interlink.vk.tokenfile import TokenFile
from interlink.vk.virtual_node import Shared, VirtualNode

log = logging.getLogger(__name__)

RESYNC_SECONDS = 300.0

#: Reads the configuration. Raises ConfigError.
Load = Callable[[], Config]


def run(config: Config, load: Load | None = None) -> int:
    """Run until a signal says stop; return the process's exit status. Raises ConfigError.

    ``load`` reads the configuration again, so that changes of it are followed.
    """
    node_settings(config)
    check_pods(config)
    try:
        access, place = find_access(config.kubeconfig), lease_place(config)
    except NoAccessError as error:
        log.error("%s", error)  # noqa: TRY400 - the sentence says it all
        return 2
    try:
        asyncio.run(_run_until_signal(config, access, place, load))
    except WalltimeOverError as over:
        log.info("%s", over)
        return 0
    except StartupTimeoutError as error:
        log.error("%s", error)  # noqa: TRY400 - the sentence says it all
        return 1
    except Exception:
        log.exception("the virtual kubelet ends; jobs go on")
        return 1
    log.info("stopped; pods and jobs go on")
    return 0


async def _run_until_signal(config: Config, access: Access, place: LeasePlace | None, load: Load | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    memory.settle()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run_replica(config, access, place, stop, load)


async def run_replica(
    config: Config, access: Access, place: LeasePlace | None, stop: asyncio.Event, load: Load | None = None
) -> None:
    """Stand by, and lead when its turn comes, until ``stop`` is set; without a place for a lease, lead at once."""
    working: list[VirtualKubelet] = []

    async def work(fence: Fence, halt: asyncio.Event) -> None:
        async with VirtualKubelet(config, access, fence=fence, load=load) as kubelet:
            working.append(kubelet)
            try:
                await kubelet.run(halt)
            finally:
                working.remove(kubelet)

    leader = Leader(
        work,
        health=lambda: [word for kubelet in working for word in kubelet.shared.pulse.late()],
        unready=lambda: [word for kubelet in working for word in kubelet.unready()],
    )
    await run_process(access, place, config.health_port, leader, stop)


class StartupTimeoutError(Exception):
    """The nodes were not there in the time that the configuration gives."""


class WalltimeOverError(Exception):
    """All nodes have ended, as their walltime says."""


class VirtualKubelet:
    """One process: its virtual nodes and what they share.

    ``clock`` says how old pods' tokens are; ``fence``, whether anything may be written; ``load`` reads the
    configuration again.
    """

    def __init__(
        self,
        config: Config,
        access: Access,
        clock: Callable[[], float] = time.time,
        fence: Fence | None = None,
        load: Load | None = None,
    ) -> None:
        self.config = config
        self.load = load
        self.access = access
        self.clock = clock
        self.fence = fence
        self.nodes: list[VirtualNode] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "VirtualKubelet":
        config = self.config
        meter, token = Meter(), TokenFile(config.vk_token_file)
        api = ApiServer(self.access, fence=self.fence, traces=meter.traces("apiserver"))
        lease_api = ApiServer(self.access, timeout=10.0, fence=self.fence, traces=meter.traces("apiserver"))
        link = Link()
        transport = Transport(config.interlink_url, config.interlink_port, token, self.fence, meter.traces("edge"))
        edge = EdgeClient(transport, lambda: link.has_batch, lambda: api.busy)
        for each in (api, lease_api, edge):
            self._stack.push_async_callback(each.close)
        address = kubernetes_address(config)
        self.shared = Shared(
            api=api,
            lease_api=lease_api,
            edge=edge,
            link=link,
            config=config,
            meter=meter,
            services=Services(apiserver_at(*address) if address else None, os.environ),
            clock=self.clock,
        )
        self.nodes = [VirtualNode(each, self.shared) for each in node_settings(config)]
        self.pinger = Pinger(edge, self.shared.link, self._parts)
        try:
            for node in self.nodes:
                self._stack.push_async_callback(node.close)
                await node.open()
        except OSError:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._stack.aclose()

    async def run(self, stop: asyncio.Event) -> None:
        """Run all loops until ``stop`` is set, or one of them dies."""
        began, patience = time.monotonic(), self.config.startup_timeout or None
        waiting = asyncio.ensure_future(self._cluster_uid())
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait({waiting, stopping}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not waiting.done():
            waiting.cancel()
            if stop.is_set():
                return
            raise StartupTimeoutError(f"kube-apiserver did not answer within {patience:g} s (StartupTimeout)")
        for node in self.nodes:
            node.begin(waiting.result())
        await supervise(self._loops() | {"startup": self._watch_startup(began)}, stop)

    def unready(self) -> list[str]:
        """Return what the nodes cannot do yet."""
        return [f"node {node.settings.name} {words}" for node in self.nodes for words in node.unready()]

    def _parts(self) -> tuple[list[str], list[str]]:
        """Return the partitions and flavors that nodes stand for."""
        settings = [node.settings for node in self.nodes]
        partitions = {each.partition for each in settings if each.partition}
        return sorted(partitions), sorted({each.flavor for each in settings if each.flavor and not each.partition})

    def _loops(self) -> dict[str, Coroutine[Any, Any, None]]:
        pulse, services = self.shared.pulse, self.shared.services
        reflector = Reflector(self.shared.api, SERVICES, {}, Service.from_object, services)
        reflector.on_refused = services.refused
        feed = ChangeFeed(self.shared.edge, self.shared.link, self.nodes, lambda: self.shared.api.busy)
        self.pinger.on_life = pulse.watch("ping", 120.0)
        feed.on_life = pulse.watch("changes", 150.0)
        reflector.on_life = pulse.watch("services", 900.0)
        loops = {
            "ping": self.pinger.run(),
            "changes": feed.run(),
            "services": reflector.run(),
            "resync": self._resync(),
            "walltime": self._finish(),
        }
        if self.load:
            loops["configuration"] = LiveConfig(self.load, self.config, self.nodes).run()
        for node in self.nodes:
            loops |= node.loops()
        return loops

    async def _watch_startup(self, began: float) -> None:
        """Give up where the nodes are not there in time. Raises StartupTimeoutError."""
        seconds = self.config.startup_timeout
        while seconds and self.unready():
            left = began + seconds - time.monotonic()
            if left <= 0:
                words = "; ".join(self.unready())
                raise StartupTimeoutError(f"not started within {seconds:g} s (StartupTimeout): {words}")
            await asyncio.sleep(min(left, 0.5))
        await asyncio.Event().wait()

    async def _finish(self) -> None:
        """End the process once all its nodes have. Raises WalltimeOverError."""
        for node in self.nodes:
            await node.removed.wait()
        raise WalltimeOverError("the walltime is over, and all nodes have ended")

    async def _resync(self) -> None:
        while True:
            await asyncio.sleep(RESYNC_SECONDS)
            for node in self.nodes:
                node.resync()

    async def _cluster_uid(self) -> str:
        """Return the cluster's identity, once kube-apiserver answers."""
        backoff, began = Backoff(0.5, 10.0), time.monotonic()
        while True:
            try:
                namespace = await self.shared.api.get("/api/v1/namespaces/kube-system")
                return str(namespace["metadata"]["uid"])
            except ApiError as error:
                log.warning("waiting for kube-apiserver (%.0f s): %s", time.monotonic() - began, error)
                await backoff.sleep(error.retry_after)
