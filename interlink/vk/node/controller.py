"""Keeps the node object true after each ping: registered, labelled, tainted, with the site's capacity.

One task for each node, run by ``virtual_node.py``. Invariants: what others put on the node stays; nothing is written
that does not differ, but for a heartbeat every five minutes; a ping's failure changes a condition and a taint, never
readiness.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from interlink.config.nodes import NodeSettings
from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.errors import ApiError, ConflictError, NotFoundError
from interlink.vk.backoff import Backoff
from interlink.vk.edge.link import Link
from interlink.vk.events.recorder import Events
from interlink.vk.node import spec
from interlink.vk.node.capacity import node_capacity, offered
from interlink.vk.node.conditions import dated, node_conditions
from interlink.vk.node.status import node_status, status_patch
from interlink.vk.node.walltime import Stage, new_term, walltime_taints
from interlink.vk.times import now_seconds

log = logging.getLogger(__name__)

Json = dict[str, Any]

HEARTBEAT_SECONDS = 300.0
#: Pauses between attempts to write the node, in seconds: those of the kubelet's registerWithAPIServer.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 7.0
#: The longest pause that kube-apiserver may ask for, in seconds: the loop's pulse must be felt meanwhile.
LONGEST_WISH = 60.0
#: The event at each stage of a walltime.
_STAGES = {
    Stage.OPEN: ("WalltimeBegins", "the node's walltime was set anew"),
    Stage.CLOSED: ("WalltimeEnding", "the node's walltime is about to end: nothing new is scheduled"),
    Stage.DRAINED: ("WalltimeDraining", "the node's walltime is about to end: its pods are evicted"),
    Stage.OVER: ("WalltimeOver", "the node's walltime is over: what is left of its pods is ended, then it is removed"),
}


class NodeController:
    """One virtual node."""

    def __init__(
        self,
        api: ApiServer,
        link: Link,
        events: Events,
        settings: NodeSettings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.api = api
        self.link = link
        self.events = events
        self.settings = settings
        self.path = f"/api/v1/nodes/{settings.name}"
        self.clock = clock
        self.term = new_term(settings, clock())
        self.stage = Stage.OPEN
        self.over = asyncio.Event()
        self.uid = ""
        self.capacity = node_capacity(None, settings)
        self._written = 0.0
        self._was_away = False
        self._part_missed = False
        self.on_life: Callable[[], None] = lambda: None
        #: Called once, as soon as kube-apiserver has the node object.
        self.on_registered: Callable[[], None] = lambda: None
        link.listeners.append(self._tell)

    async def run(self) -> None:
        """Reconcile after each ping, for ever; what fails is tried again with growing pauses."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        news = self.link.news
        while True:
            await news.wait()
            news = self.link.news
            while (again := await self._try(backoff)) is not None:
                await asyncio.sleep(again)

    async def _try(self, backoff: Backoff) -> float | None:
        """Reconcile; return the seconds after which to try again where that failed."""
        again = None
        try:
            await self.reconcile()
            backoff.reset()
        except ConflictError as error:
            log.info("node %s: changed by somebody else meanwhile: %s", self.settings.name, error)
            again = backoff.next()
        except ApiError as error:
            again = max(backoff.next(), min(error.retry_after, LONGEST_WISH))
            log.warning("node %s: %s; trying again in %.1f s", self.settings.name, error, again)
        self.on_life()
        return again

    async def reconcile(self) -> None:
        """Bring the node object into line. Raises ApiError."""
        try:
            node = await self.api.get(self.path)
        except NotFoundError:
            node = await self._register()
        if self.uid and node["metadata"]["uid"] != self.uid:
            log.warning("node %s was made anew by somebody else", self.settings.name)
        elif not self.uid:
            self.on_registered()
        self.uid = node["metadata"]["uid"]
        self._age(node)
        await self._write(node)
        if self.stage is Stage.OVER:
            self.over.set()

    async def remove(self) -> None:
        """Remove the node object, and its lease with it. Raises ApiError."""
        try:
            await self.api.delete(self.path, uid=self.uid, grace_seconds=0)
        except NotFoundError:
            return
        log.info("node %s: removed, its walltime is over", self.settings.name)

    def _age(self, node: Json) -> None:
        """Look how much of the walltime is left, and say when a stage is reached."""
        if self.term is None:
            return
        self.term = self.term.continued(spec.owned_of(node).term)
        stage = self.term.stage(self.clock(), self.settings.drain)
        if stage is not self.stage:
            left = self.term.left(self.clock())
            reason, words = _STAGES[stage]
            log.info("node %s: %s (%d s left)", self.settings.name, words, left)
            self.events.node("Normal", reason, words)
        self.stage = stage

    def _tell(self, reachable: bool) -> None:
        """Write an event when the edge goes away, and when it is back."""
        if not reachable:
            self.events.node("Warning", "InterLinkAway", self.link.words)
        elif self._was_away:
            self.events.node("Normal", "InterLinkBack", "InterLink answers again")
        self._was_away = not reachable

    def _look_for_part(self) -> None:
        """Say it once where the site says nothing of the partition or flavor that the node stands for."""
        settings = self.settings
        missed = bool(self.link.reply) and offered(self.link.reply, settings) is None
        if missed and not self._part_missed and (settings.partition or settings.flavor):
            part = f"partition {settings.partition}" if settings.partition else f"flavor {settings.flavor}"
            words = f"the site says nothing of {part}: the capacity is what Resources says"
            log.warning("node %s: %s", settings.name, words)
            self.events.node("Warning", "CapacityUnknown", words)
        self._part_missed = missed

    async def _register(self) -> Json:
        log.info("registering node %s", self.settings.name)
        capacity = node_capacity(self.link.reply, self.settings)
        status = node_status(self.settings, capacity, self._conditions())
        status["conditions"] = dated(status["conditions"], [], now_seconds())
        taints = self._taints(spec.Owned())
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": self.settings.name, "labels": self._labels()},
            "spec": {"providerID": f"external:///{self.settings.name}", "taints": taints},
            "status": status,
        }
        return await self.api.post("/api/v1/nodes", node)

    def _labels(self) -> dict[str, str]:
        return spec.node_labels(self.settings) | (self.term.labels(self.clock()) if self.term else {})

    def _taints(self, before: spec.Owned) -> list[Json]:
        wanted = spec.wanted_taints(self.settings, self.link.reply, before, self.link.reachable)
        return wanted + walltime_taints(self.stage)

    def _conditions(self) -> list[Json]:
        return node_conditions(self.link.reachable, self.link.words, self._unready())

    def _unready(self) -> tuple[str, str] | None:
        if self.stage is Stage.OVER:
            return "WalltimeOver", "the node's walltime is over"
        away, patience = self.link.away_for(), self.settings.not_ready_after
        if patience and away >= patience:
            return "InterLinkAway", f"InterLink has been away for more than {patience:g} s (NotReadyAfter)"
        return None

    async def _write(self, node: Json) -> None:
        before = spec.owned_of(node)
        held = (node.get("status") or {}).get("capacity") or {}
        self._look_for_part()
        if self.link.reply or not held:
            self.capacity = node_capacity(self.link.reply, self.settings)
        else:
            # Nobody answered since we started: what the site said last time is nearer the truth than the defaults.
            self.capacity = {name: held.get(name, amount) for name, amount in self.capacity.items()} | {
                name: held[name] for name in before.resources if name in held
            }
        labels, taints = self._labels(), self._taints(before)
        resources = sorted(name for name in self.capacity if "/" in name)
        owned = spec.Owned(
            labels=sorted(labels),
            taints=sorted(spec.taint_names(taints)),
            plugin=spec.plugin_taints(self.link.reply, before),
            resources=resources,
            term=self.term,
        )
        stale = [name for name in before.resources if name not in resources]
        heartbeat = time.monotonic() - self._written >= HEARTBEAT_SECONDS or not self._written
        wanted = node_status(self.settings, self.capacity, self._conditions())
        # Metadata first: its patch holds to the version that was read, and the status patch makes a new one.
        metadata = spec.metadata_patch(node, labels, taints, owned)
        if metadata:
            await self.api.patch(self.path, metadata)
        patch = status_patch(node, wanted, stale, now_seconds(), heartbeat=heartbeat)
        if patch:
            await self.api.patch(f"{self.path}/status", patch)
            self._written = time.monotonic()
