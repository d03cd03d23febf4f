"""All pods of this node by UID, as the apiserver told them; tells a listener which UIDs to look at again.

The reflector's handler. Invariants: keyed by UID, so that a pod of the same name is another pod; a record is never
replaced by an older one but by a complete list, which counts whatever its version (a restored etcd begins anew lower);
a pod that is gone stays in ``gone`` until the controller has seen to its job.
"""

import logging
from collections.abc import Callable
from typing import Any

from interlink.vk.pods.record import PodRecord

log = logging.getLogger(__name__)


class PodStore:
    """What the API holds; ``listed`` is False until the first complete list."""

    def __init__(self, listener: Callable[[str], None]) -> None:
        self.listener = listener
        #: Who wants to hear of every change, our own patches too; must cost nothing.
        self.watchers: list[Callable[[str], None]] = []
        #: Called once, with the first complete list: all that waited for it may be decided now.
        self.on_listed: Callable[[], None] = lambda: None
        self.pods: dict[str, PodRecord] = {}
        self.gone: dict[str, PodRecord] = {}
        #: Those of them whose removal the API has told in so many words: no look at it can say anything else.
        self.removed: set[str] = set()
        self.names: dict[tuple[str, str], str] = {}
        self.listed = False

    def get(self, uid: str) -> PodRecord | None:
        """Return the pod with this UID, None where the API has none."""
        return self.pods.get(uid)

    def by_name(self, namespace: str, name: str) -> PodRecord | None:
        """Return the pod that bears this name now."""
        return self.pods.get(self.names.get((namespace, name), ""))

    def pack(self, pod: dict[str, Any]) -> PodRecord:
        """Return the record of a v1.Pod: the one that is kept, where it is of this very version."""
        metadata = pod["metadata"]
        known = self.pods.get(metadata["uid"])
        same = known is not None and known.version and known.version == metadata.get("resourceVersion")
        return known if known and same else PodRecord.from_object(pod)

    def replace(self, items: list[PodRecord]) -> None:
        """Take a complete list: what is missing in it is gone."""
        log.info("the list of pods is complete: %d", len(items))
        present = {record.uid for record in items}
        for uid in [uid for uid in self.pods if uid not in present]:
            self._drop(self.pods[uid])
        first, self.listed = not self.listed, True
        for record in items:
            self._put(record)
        if first:
            self.on_listed()

    def upsert(self, item: PodRecord) -> None:
        """Take a pod as it is now."""
        known = self.pods.get(item.uid)
        if known and not _newer(item.version, known.version):
            return
        self._put(item)

    def _put(self, item: PodRecord) -> None:
        self.pods[item.uid] = item
        self.names[item.namespace, item.name] = item.uid
        self._tell_watchers(item.uid)
        self.listener(item.uid)

    def accept(self, item: PodRecord, *, news: bool) -> None:
        """Take what the API answered to our own patch; the listener is told only if there was ``news`` in it.

        The watch brings that version, and those before it, too late to be news.
        """
        known = self.pods.get(item.uid)
        if known and _newer(item.version, known.version):
            self.pods[item.uid] = item
            self._tell_watchers(item.uid)
            if news:
                self.listener(item.uid)

    def remove(self, item: PodRecord) -> None:
        """Take a pod's last state: it is gone from the API."""
        self.removed.add(item.uid)
        self._drop(item)

    def _drop(self, item: PodRecord) -> None:
        self.pods.pop(item.uid, None)
        if self.names.get((item.namespace, item.name)) == item.uid:
            del self.names[item.namespace, item.name]
        self.gone[item.uid] = item
        self._tell_watchers(item.uid)
        self.listener(item.uid)

    def _tell_watchers(self, uid: str) -> None:
        for watcher in self.watchers:
            watcher(uid)

    def forget(self, uid: str) -> None:
        """Drop what is kept of a gone pod."""
        self.gone.pop(uid, None)
        self.removed.discard(uid)


def _newer(version: str, known: str) -> bool:
    if version.isdigit() and known.isdigit():
        return int(version) > int(known)
    return version != known
