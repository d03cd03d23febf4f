"""Writes pod statuses into the API: only what differs, only to the pod with this very UID.

Used by all steps of the pod controller.
"""

import logging
from typing import Any

from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.errors import ConflictError, NotFoundError
from interlink.vk.pods.record import PodRecord
from interlink.vk.pods.status import patch_needed
from interlink.vk.pods.store import PodStore

log = logging.getLogger(__name__)

Json = dict[str, Any]


class StatusWriter:
    """Patches pods/status by strategic merge."""

    def __init__(self, api: ApiServer, store: PodStore) -> None:
        self.api = api
        self.store = store
        #: How many patches were sent, and how many were not because nothing differed.
        self.written = self.spared = 0

    async def write(self, record: PodRecord, pod: Json, desired: Json) -> bool | None:
        """Bring the status into the API; return whether it was news there. Raises ApiError.

        None where the pod is not there any more.
        """
        current = pod.get("status") or {}
        if not patch_needed(current, desired):
            self.spared += 1
            return False
        patch = {"metadata": {"uid": record.uid}, "status": _merge(current, desired)}
        try:
            answer = await self.api.patch(f"{record.path}/status", patch)
        except (NotFoundError, ConflictError) as error:
            log.info("pod %s: status not written, it is gone or another one: %s", record, error)
            return None
        self.written += 1
        log.debug("pod %s: status written: %s", record, desired.get("phase"))
        self.store.accept(self.store.pack(answer), news=_changed_by_others(pod, answer))
        return True


def _changed_by_others(before: Json, answer: Json) -> bool:
    """Whether the answer shows what our patch did not do: a deletion, an annotation, another image."""
    ours: Json = {"resourceVersion": "", "managedFields": None}
    return {**before["metadata"], **ours} != {**answer["metadata"], **ours} or before["spec"] != answer["spec"]


def _merge(current: Json, desired: Json) -> Json:
    """Return the patch body: address lists merge by address, so that a changed one must replace the list."""
    status = dict(desired)
    for key in ("podIPs", "hostIPs"):
        if key in status and current.get(key) and current[key] != status[key]:
            status[key] = [{"$patch": "replace"}, *status[key]]
    return status
