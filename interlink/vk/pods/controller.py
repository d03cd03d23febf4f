"""Brings one pod a step further: looks at all sides, decides, acts, and says when to look again.

``reconcile`` is the work queue's worker. The steps of a pod's life are here, those of its beginning in ``starting.py``,
those of its end in ``ending.py``.
"""

import logging
from collections import OrderedDict
from typing import Any

from interlink.vk.apiserver.errors import ApiError, InvalidError
from interlink.vk.edge.errors import AwayError
from interlink.vk.pods import ending, starting, telling
from interlink.vk.pods.context import Context
from interlink.vk.pods.decision import GONE, Memory, Step, View, decide
from interlink.vk.pods.queue import RetryLater
from interlink.vk.pods.record import PodRecord
from interlink.vk.pods.status import EPHEMERAL, NOTHING, reported_status
from interlink.vk.times import now_seconds
from interlink.vk.volumes.updates import PodUpdates
from interlink.wire.messages import PodStatus

log = logging.getLogger(__name__)

Json = dict[str, Any]

REMEMBERED = 50_000


class PodController:
    """All pods of the node."""

    def __init__(self, context: Context, updates: PodUpdates) -> None:
        self.context = context
        self.updates = updates
        self.memories: dict[str, Memory] = {}
        #: Pods that are over on both sides, which the edge may go on to list for a while.
        self._over: OrderedDict[str, None] = OrderedDict()

    async def reconcile(self, uid: str) -> float | None:
        """Bring the pod one step further; return the seconds after which to look again. Raises RetryLater."""
        memory = self.memories.setdefault(uid, Memory(cancelled=GONE if uid in self._over else None))
        view = self._view(uid, memory)
        try:
            again = await self._act(uid, view, decide(view))
        except AwayError as error:
            self._tell_away(view, error)
            raise RetryLater(str(error), error.retry_after) from error
        except InvalidError as error:
            log.exception("pod %s: the API refuses what we say", view.record or uid)
            raise RetryLater(str(error), 5.0) from error
        except ApiError as error:
            log.warning("pod %s: %s", view.record or uid, error)
            raise RetryLater(str(error), error.retry_after, held=True) from error
        return again

    def on_snapshot(self, asked: float, touched: set[str]) -> None:
        """Take a complete picture of the edge: what was sent before it was asked for and is not in it, is lost."""
        for uid, memory in self.memories.items():
            if memory.submitted is not None and memory.submitted < asked and not self.context.book.get(uid):
                log.warning("pod %s: the edge has forgotten it", uid)
                memory.submitted = None
        self.look_at_all(touched)

    def look_at_all(self, also: set[str] | None = None) -> None:
        """Have every pod looked at."""
        for uid in {*self.context.store.pods, *self.context.store.gone, *self.memories, *(also or ())}:
            self.context.queue.add(uid)

    def _view(self, uid: str, memory: Memory) -> View:
        store, book = self.context.store, self.context.book
        return View(store.get(uid), book.get(uid), memory, store.listed, book.synced)

    async def _act(self, uid: str, view: View, step: Step) -> float | None:
        log.debug("pod %s: %s", view.record or uid, step.name)
        record, memory, again = view.record, view.memory, None
        if step is Step.FORGET:
            self._forget(uid)
        elif step is Step.ORPHAN:
            again = await ending.end_orphan(self.context, uid, memory, view.status)
        elif record is None or step is Step.WAIT:
            pass
        elif step is Step.CREATE:
            await starting.create(self.context, self.updates, record, memory)
        elif step is Step.REPORT and view.status:
            memory.lost_since = None
            await self._report(record, memory, view.status)
        elif step is Step.CANCEL:
            again = await ending.cancel(self.context, record, memory)
        elif step is Step.ASK:
            again = await ending.ask(self.context, record, memory)
        elif step is Step.REMOVE:
            again = await ending.remove(self.context, record, memory, view.status)
        elif step is Step.LOST:
            again = await ending.lose(self.context, record, memory)
        return again

    def _forget(self, uid: str) -> None:
        memory = self.memories.pop(uid, None)
        if memory and memory.cancelled:
            self._over[uid] = None
            if len(self._over) > REMEMBERED:
                self._over.popitem(last=False)
        self.context.store.forget(uid)
        self.context.book.forget(uid)
        self.updates.look(uid)

    async def _report(self, record: PodRecord, memory: Memory, status: PodStatus) -> None:
        pod = record.load()
        desired = reported_status(pod, status, now_seconds(), memory.sent or NOTHING)
        old = pod.get("status") or {}
        news = await self.context.writer.write(record, pod, desired)
        if news is None:
            return
        if news:
            memory.sent = None
        if news and desired.get("ephemeralContainerStatuses") and not old.get("ephemeralContainerStatuses"):
            self.context.events.pod(pod, "Warning", "FieldIgnored", EPHEMERAL[1])
        telling.tell(self.context, pod, memory, desired, status)
        telling.tell_site(self.context, pod, memory, status, news=news)

    def _tell_away(self, view: View, error: AwayError) -> None:
        self.context.link.doubt()
        if view.memory.told_away or view.record is None:
            return
        view.memory.told_away = True
        log.warning("pod %s: waits for the edge: %s", view.record, error)
        self.context.events.pod(view.record.load(), "Warning", "InterLinkUnreachable", f"{error}; trying again")
