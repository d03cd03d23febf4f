"""Keeps the edge's picture of running pods current: sees what has changed, gathers it again and sends it to the edge.

That is the contents of volumes, and what the API lets change of a spec: activeDeadlineSeconds and images, which travel
in each update's pod.

Told by the pod controller what a pod began with, by the pod store of each change of a pod, by ``versions.py`` of
changed objects, and by its own clock of tokens. Invariants: nothing is sent that shows no change, but once for each pod
of which this process does not know what it began with (it was started anew, or a create's answer was lost); a volume
that cannot be gathered keeps its contents and holds up no other; nothing is ever given up.
"""

import logging
import math
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from interlink.vk.apiserver.errors import ApiError
from interlink.vk.backoff import pause_after
from interlink.vk.edge.errors import AwayError, RefusedError, UnknownPodError
from interlink.vk.gather import NotReadyError, References
from interlink.vk.objects import ObjectCache, ObjectKey, fetch
from interlink.vk.pods.context import Context
from interlink.vk.pods.queue import RetryLater, WorkQueue
from interlink.vk.pods.record import PodRecord
from interlink.vk.pods.request import update_request
from interlink.vk.volumes.contents import Contents, Volumes
from interlink.vk.volumes.shown import Shown
from interlink.vk.volumes.trace import Trace
from interlink.vk.volumes.versions import Versions

log = logging.getLogger(__name__)

Json = dict[str, Any]

#: How many pods are looked at side by side: less than creates and reports may, which go first.
WORKERS = 8
#: How long a volume that is not ready waits for its next attempt at most, in seconds (kubelet's durationBeforeRetry).
LONGEST_RETRY = 122.0
#: The shortest time between two events of the same words about one pod; more would use up its share of events.
EVENT_SECONDS = 300.0
#: The longest time between two looks at a token's age: the clock may have been set.
LOOK_SECONDS = 60.0
#: Begins the event of a change that has no effect.
_CHANGEABLE = "the change of activeDeadlineSeconds or an image has no effect"


class PodUpdates:
    """All running pods."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.clock = context.sources.clock
        self.queue = WorkQueue()
        self.cache = ObjectCache(context.api)
        self.versions = Versions(context.api, lambda: context.link.has_update)
        self.versions.on_change = self.queue.add
        self._shown: dict[str, Shown] = {}

    async def run(self) -> None:
        """Look at pods for ever."""
        await self.queue.run(self.reconcile, WORKERS)

    def sending(self, record: PodRecord, contents: Iterable[Contents]) -> None:
        """Take what a create request holds that goes out now."""
        shown = Shown({entry.name: entry.trace for entry in contents}, record.changeable)
        self._keep(record.uid, shown)
        self._note(shown.volumes.values())

    def sent(self, uid: str) -> None:
        """The edge has that create: the pod's tokens count from now on."""
        shown = self._shown.get(uid)
        if shown and shown.volumes:
            self.queue.add(uid)

    def doubt(self, uid: str) -> None:
        """Forget what the pod shows: whether the edge has this create or an earlier one, nobody knows."""
        self._drop(uid)
        self.look(uid)

    def look(self, uid: str) -> None:
        """Have the pod looked at if there may be a reason: called for each change of a pod, so it must cost nothing."""
        record, shown = self.context.store.get(uid), self._shown.get(uid)
        if record is None or _is_over(record):
            self._forget(uid)
        elif self._runs(uid) and (
            _is_changed(record, shown) or ((shown is None or shown.downward) and self.context.link.has_update)
        ):
            self.queue.add(uid)

    def look_at_all(self) -> None:
        """Have every pod looked at for which there may be a reason."""
        for uid in {*self.context.store.pods, *self._shown}:
            self.look(uid)

    async def reconcile(self, uid: str) -> float | None:
        """Bring the pod's volumes up to date; return the seconds after which to look again. Raises RetryLater."""
        record = self.context.store.get(uid)
        if record is None or _is_over(record):
            self._forget(uid)
            return None
        shown = self._shown.get(uid)
        if not self._runs(uid) or not self.context.link.has_update:
            self._tell_unsent(record, shown)
            return LOOK_SECONDS if uid in self._shown else None
        changed = _is_changed(record, shown)
        if shown is None or shown.downward or changed or shown.is_due(self.versions.seen, self.clock()):
            pod = record.load()
            shown = shown or Shown.unknown(pod)
            self._keep(uid, shown)
            await self._bring(record, pod, shown)
        return None if shown.renew == math.inf else min(LOOK_SECONDS, max(1.0, shown.renew - self.clock()))

    async def _bring(self, record: PodRecord, pod: Json, shown: Shown) -> None:
        """Gather the volumes and send those that show something else; the rest of them waits for its next attempt."""
        context = self.context
        references = References(partial(self._fetch, record.uid), record.namespace)
        volumes = Volumes(context.sources, pod, references, context.allocatable())
        fresh: list[Contents] = []
        wrong: list[str] = []
        looked: list[Trace] = []
        wait = 0.0
        for volume in shown.due(pod, volumes.allocatable, self.versions.seen, self.clock()):
            name, trace = volume["name"], Trace()
            before = shown.volumes.get(name) or Trace()
            looked.append(trace)
            try:
                contents = await volumes.gather_one(volume, trace, before)
            except NotReadyError as error:
                wrong.append(str(error))
                # What was looked at is known now, so that the news of it are news.
                shown.volumes[name] = replace(before, versions=before.versions | trace.versions, failed=True)
            except ApiError as error:
                wrong.append(f'MountVolume.SetUp failed for volume "{name}" : {error}')
                wait = max(wait, error.retry_after)
                shown.volumes[name] = replace(before, failed=True)
            else:
                if trace.digest == before.digest:
                    shown.volumes[name] = trace
                else:
                    shown.volumes[name] = replace(before, failed=True)  # until the edge has it
                    fresh.append(contents)
        if not self._keep_still(record.uid, shown):
            return
        self._note(looked)
        if fresh or _is_changed(record, shown):
            wrong += await self._send(record, pod, shown, fresh)
            self._keep_still(record.uid, shown)
        if wrong:
            shown.failures += 1
            self._tell(pod, shown, "; ".join(wrong))
            raise RetryLater("; ".join(wrong), max(wait, pause_after(shown.failures, 0.25, LONGEST_RETRY)))
        shown.failures = 0

    async def _fetch(self, uid: str, key: ObjectKey) -> Json | None:
        """Return an object as it was at its last change that is known, or later. Raises ApiError."""
        if self.versions.is_used_besides(key, uid):
            return await self.cache.get(key, self.versions.since(key))
        return await fetch(self.context.api, key)  # nobody else would want it of the cache

    async def _send(self, record: PodRecord, pod: Json, shown: Shown, fresh: list[Contents]) -> list[str]:
        """Send what has changed; where the edge refuses it, each part alone. Returns what was refused. RetryLater."""
        changed = _is_changed(record, shown)
        what = ", ".join([*["its spec"] * changed, *(f"its volume {entry.name}" for entry in fresh)])
        try:
            await self.context.edge.update(update_request(pod, self.context.book.cluster, fresh))
        except RefusedError as error:
            if len(fresh) + changed > 1:
                # The spec goes with each of them: once it was sent alone, only what else it holds can be refused.
                parts = [*[[]] * changed, *([entry] for entry in fresh)]
                return [words for part in parts for words in await self._send(record, pod, shown, part)]
            # The same would be refused again: the next look is for other contents.
            log.warning("pod %s: the edge refuses what has changed: %s: %s", record, what, error)
            self._accept(record, shown, fresh)
            if changed:
                self.context.events.pod(pod, "Warning", "FieldIgnored", f"{_CHANGEABLE}: {error}")
            for entry in fresh:
                self._tell(pod, shown, f'MountVolume.SetUp failed for volume "{entry.name}" : {error}')
            return []
        except UnknownPodError as error:
            log.warning("pod %s: what has changed waits: %s: %s", record, what, error)
            raise RetryLater(f"{what}: {error}") from error
        except AwayError as error:
            self.context.link.doubt()
            raise RetryLater(f"{what}: {error}", error.retry_after) from error
        log.info("pod %s: sent what has changed: %s", record, what)
        self._accept(record, shown, fresh)
        return []

    def _accept(self, record: PodRecord, shown: Shown, contents: list[Contents]) -> None:
        shown.changeable = record.changeable
        for entry in contents:
            shown.volumes[entry.name] = entry.trace

    def _tell_unsent(self, record: PodRecord, shown: Shown | None) -> None:
        """Say once that a change has no effect, where the edge has said that it takes none."""
        reply = self.context.link.reply
        if shown is None or reply is None or self.context.link.has_update or not self._runs(record.uid):
            return
        if _is_changed(record, shown) and shown.told_changeable != record.changeable:
            shown.told_changeable = record.changeable
            words = f"{_CHANGEABLE}: the node's plugin takes no updates of pods that it has"
            self.context.events.pod(record.load(), "Warning", "FieldIgnored", words)

    def _tell(self, pod: Json, shown: Shown, words: str) -> None:
        """Write the kubelet's event, once in a while for the same words."""
        before, when = shown.told
        if words != before or time.monotonic() - when >= EVENT_SECONDS:
            shown.told = (words, time.monotonic())
            self.context.events.pod(pod, "Warning", "FailedMount", words)

    def _runs(self, uid: str) -> bool:
        """Whether the edge has the pod and has not ended it; one that waits for its node is as good as running."""
        status = self.context.book.get(uid)
        return status is not None and not status.ended

    def _keep(self, uid: str, shown: Shown) -> None:
        self._shown[uid] = shown
        self.versions.use(uid, shown.keys())

    def _keep_still(self, uid: str, shown: Shown) -> bool:
        """Keep what the pod shows now, unless the pod has gone or was sent anew meanwhile."""
        if self._shown.get(uid) is not shown:
            self.look(uid)
            return False
        self._keep(uid, shown)
        return True

    def _note(self, traces: Iterable[Trace]) -> None:
        """Let the other users of these objects know what was just seen of them."""
        for trace in traces:
            for key, version in trace.versions.items():
                self.versions.note(key, version)

    def _drop(self, uid: str) -> None:
        if self._shown.pop(uid, None):
            self.versions.use(uid, ())

    def _forget(self, uid: str) -> None:
        self._drop(uid)
        self.context.sources.tokens.forget(uid)


def _is_over(record: PodRecord) -> bool:
    """Whether the pod's volumes matter no more: a kubelet too leaves them alone once the pod is being ended."""
    return record.terminal or bool(record.deleting)


def _is_changed(record: PodRecord, shown: Shown | None) -> bool:
    """Whether the pod's spec is not the one that the edge is known to have."""
    return shown is not None and shown.changeable != record.changeable
