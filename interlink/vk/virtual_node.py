"""One virtual node: its object and lease, its pods, its kubelet port; several of them may share one process.

Made by ``main.py``. Invariant: nodes share connections, the ping and the feed of changes, and nothing else, so that
no pod, lease or caller of one node waits for another's.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from interlink.config import Config
from interlink.config.nodes import NodeSettings
from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.reflector import Reflector
from interlink.vk.edge.book import StatusBook
from interlink.vk.edge.client import EdgeClient
from interlink.vk.edge.link import Link
from interlink.vk.events.recorder import Events
from interlink.vk.kubelet.access import Gate
from interlink.vk.kubelet.configz import configz
from interlink.vk.kubelet.logs import Logs
from interlink.vk.kubelet.metrics import NodeMetrics
from interlink.vk.kubelet.routes import Routes, Views
from interlink.vk.kubelet.server import KubeletServer
from interlink.vk.kubelet.serving import serving_of
from interlink.vk.meter import Meter
from interlink.vk.node.controller import NodeController
from interlink.vk.node.ending import end_pods, remove_node
from interlink.vk.node.lease import Lease
from interlink.vk.node.walltime import Stage
from interlink.vk.pods.context import Context
from interlink.vk.pods.controller import PodController
from interlink.vk.pods.entrance import Entrance
from interlink.vk.pods.queue import WorkQueue
from interlink.vk.pods.store import PodStore
from interlink.vk.pods.writer import StatusWriter
from interlink.vk.services import Services
from interlink.vk.supervisor import Pulse
from interlink.vk.volumes.contents import Sources
from interlink.vk.volumes.updates import PodUpdates
from interlink.wire.messages import NODE_FLAVOR_ANNOTATION, NODE_PARTITION_ANNOTATION

#: The pause between two looks at what is left of a node whose walltime is over.
END_SECONDS = 5.0


@dataclass
class Shared:
    """What the nodes of one process have in common."""

    api: ApiServer
    #: Connections of their own for leases, so that nothing can delay them.
    lease_api: ApiServer
    edge: EdgeClient
    link: Link
    config: Config
    meter: Meter
    services: Services
    pulse: Pulse = field(default_factory=Pulse)
    #: Says how old pods' tokens are, in epoch seconds.
    clock: Callable[[], float] = time.time


class VirtualNode:
    """All parts of one node and the loops that drive them."""

    def __init__(self, settings: NodeSettings, shared: Shared) -> None:
        self.settings = settings
        self.shared = shared
        #: Set once its walltime is over, no pod of it is left, and its object is gone.
        self.removed = asyncio.Event()
        self._ended = asyncio.Event()
        self.queue = WorkQueue()
        self.store = PodStore(self._look_at)
        self.events = Events(shared.api, settings.name)
        self.node = NodeController(shared.api, shared.link, self.events, settings, shared.clock)
        self.writer = StatusWriter(shared.api, self.store)
        self.lease = Lease(shared.lease_api, settings.name, lambda: self.node.uid)
        # A field selector is looked up in kube-apiserver's index of pods by their node; there is none for several
        # nodes, and one watch of all pods would send this process every pod of the cluster.
        selector = {"fieldSelector": f"spec.nodeName={settings.name}"}
        self.reflector = Reflector(shared.api, "/api/v1/pods", selector, self.store.pack, self.store)
        #: Empty, and of no cluster, until ``begin``.
        self.book = StatusBook("", settings.name)
        self.metrics = NodeMetrics(self)
        self.routes = Routes(
            Gate(shared.api, settings.name),
            Logs(self.store, shared.edge, shared.link),
            self.store,
            Views(
                health=shared.pulse.late,
                metrics=self.metrics.text,
                configz=lambda: configz(shared.config, self.settings, self.node.capacity["pods"]),
                statuses=lambda: self.book.all(),  # noqa: PLW0108 - there is no book before `begin`
            ),
        )
        serving = serving_of(shared.config, settings, shared.api, self.events, shared.clock)
        self.server = KubeletServer(shared.api, self.routes.handle, serving, settings.port)

    async def open(self) -> None:
        """Open the kubelet port. Raises OSError where it is taken."""
        await self.server.start()
        self.settings = self.node.settings = replace(self.settings, port=self.server.port)

    async def close(self) -> None:
        """Close the kubelet port."""
        await self.server.close()

    def apply(self, settings: NodeSettings) -> None:
        """Take over a changed configuration; the address and the port stay."""
        kept = replace(settings, address=self.settings.address, port=self.settings.port)
        self.settings = self.node.settings = kept
        self.shared.link.doubt()

    def begin(self, cluster: str) -> None:
        """Take up the pods, now that the cluster's identity is known."""
        shared = self.shared
        self.book = StatusBook(cluster, self.settings.name)
        context = Context(
            api=shared.api,
            edge=shared.edge,
            link=shared.link,
            book=self.book,
            store=self.store,
            queue=self.queue,
            events=self.events,
            writer=self.writer,
            sources=Sources(shared.api, shared.clock),
            allocatable=lambda: self.node.capacity,
            entrance=Entrance(shared.api, self.store, self.book, shared.config.daemon_sets),
            services=shared.services,
            place=lambda: place_annotations(self.settings),
            closed=lambda: self.node.stage >= Stage.DRAINED,
        )
        self.updates = PodUpdates(context)
        self.pods = PodController(context, self.updates)
        self.store.on_listed = self.pods.look_at_all
        self.node.on_registered = self.queue.kick
        shared.services.listeners.append(self.queue.kick)
        shared.link.listeners.append(self._on_link)

    def loops(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Return what is to run for ever, by name; after ``begin``."""
        name, pulse = self.settings.name, self.shared.pulse
        self.node.on_life = pulse.watch(f"{name}: node", 120.0)
        self.lease.on_life = pulse.watch(f"{name}: lease", 90.0)
        self.reflector.on_life = pulse.watch(f"{name}: pods", 900.0)
        self.updates.versions.on_life = pulse.watch(f"{name}: versions", 300.0)
        loops = {
            "node": self._until_ended(self.node.run()),
            "lease": self._until_ended(self.lease.run()),
            "walltime": self._end(),
            "pods": self.reflector.run(),
            "work": self.queue.run(self.metrics.timed(self.pods.reconcile)),
            "updates": self.updates.run(),
            "versions": self.updates.versions.run(),
            "events": self.events.run(),
            "kubelet": self.server.run(),
        }
        return {f"{name}: {loop}": body for loop, body in loops.items()}

    async def _end(self) -> None:
        """Once the walltime is over, end the pods that are left, then remove the node."""
        await self.node.over.wait()
        while await end_pods(self.shared.api, self.store):
            await asyncio.sleep(END_SECONDS)
        self._ended.set()
        self.shared.pulse.forget(f"{self.settings.name}: node", f"{self.settings.name}: lease")
        await remove_node(self.node)
        self.removed.set()
        await asyncio.Event().wait()

    async def _until_ended(self, loop: Coroutine[Any, Any, None]) -> None:
        """Run a loop until the node has ended, because it would bring back what is removed."""
        running, ended = asyncio.ensure_future(loop), asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait({running, ended}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
        finally:
            for task in (running, ended):
                task.cancel()
            await asyncio.gather(running, ended, return_exceptions=True)
        if self._ended.is_set():
            await asyncio.Event().wait()

    def on_snapshot(self, asked: float, touched: set[str]) -> None:
        """Take a complete picture of the edge, asked for at this time of the loop's clock."""
        self.pods.on_snapshot(asked, touched)
        self.updates.look_at_all()

    def unready(self) -> list[str]:
        """Return what it cannot do yet."""
        done = {"is not registered yet": bool(self.node.uid), "has not listed its pods yet": self.store.listed}
        return [words for words, is_done in done.items() if not is_done]

    def resync(self) -> None:
        """Look at everything once more."""
        self.pods.look_at_all()
        self.updates.look_at_all()

    def _look_at(self, uid: str) -> None:
        self.queue.add(uid)
        self.updates.look(uid)

    def _on_link(self, reachable: bool) -> None:
        if reachable:
            self.queue.kick()
            self.updates.queue.kick()


def place_annotations(settings: NodeSettings) -> dict[str, str]:
    """Return what tells the edge for which part of the site the node stands; nothing where it is the whole."""
    said = {NODE_PARTITION_ANNOTATION: settings.partition, NODE_FLAVOR_ANNOTATION: settings.flavor}
    return {name: value for name, value in said.items() if value}
