"""Writes pod statuses into the API: only what differs, only to the pod with this very UID.

Used by all steps of the pod controller. A status goes whole, with the pod's metadata (PUT), which costs kube-apiserver
less than the strategic merge patch that kubelets send: that one it works out by reflection over the whole object. It
holds to the version that the store has; where somebody else was first, or the pod is large, the patch goes after all.
"""

import logging
import time
from http import HTTPStatus
from typing import Any

from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from interlink.vk.pods.merge import replacement, status_patch
from interlink.vk.pods.record import PodRecord
from interlink.vk.pods.status import patch_needed
from interlink.vk.pods.store import PodStore

log = logging.getLogger(__name__)

Json = dict[str, Any]

#: Bytes of a packed pod above which a patch is less to send and to read than the pod: some 30 KiB of JSON.
LARGE = 8 * 1024
#: For how long an account without the right "update" is not asked to have it, in seconds.
REFUSED_SECONDS = 600.0


class StatusWriter:
    """Replaces or patches pods/status."""

    def __init__(self, api: ApiServer, store: PodStore) -> None:
        self.api = api
        self.store = store
        #: How many statuses were written, and how many were not because nothing differed.
        self.written = self.spared = 0
        self._refused = float("-inf")

    async def write(self, record: PodRecord, pod: Json, desired: Json) -> bool | None:
        """Bring the status into the API; return whether it was news there. Raises ApiError.

        None where the pod is not there any more.
        """
        if not patch_needed(pod.get("status") or {}, desired):
            self.spared += 1
            return False
        try:
            answer = await self._replace(record, pod, desired) or await self._patch(record, pod, desired)
        except (NotFoundError, ConflictError) as error:
            log.info("pod %s: status not written, it is gone or another one: %s", record, error)
            return None
        self.written += 1
        log.debug("pod %s: status written: %s", record, desired.get("phase"))
        self.store.accept(self.store.pack(answer), news=_changed_by_others(pod, answer))
        return True

    async def _replace(self, record: PodRecord, pod: Json, desired: Json) -> Json | None:
        """Write the pod with this status; return the answer, None where only a patch can. Raises ApiError.

        The spec stays away: this endpoint takes the one that is there (podStatusStrategy in pkg/registry/core/pod of
        Kubernetes), and so does the bookkeeping of managedFields. To read another one cost kube-apiserver 12 % of a
        pod's life.
        """
        newest = self.store.get(record.uid)
        known = newest is not None and newest.version == record.version
        if not known or len(record.packed) > LARGE or time.monotonic() - self._refused < REFUSED_SECONDS:
            return None
        try:
            return await self.api.put(f"{record.path}/status", replacement(pod, desired))
        except (ConflictError, InvalidError) as error:
            # Changed meanwhile, or a webhook of the cluster misses the spec.
            log.debug("pod %s: its status is patched, for it could not be replaced: %s", record, error)
        except ForbiddenError as error:
            if error.status != HTTPStatus.FORBIDDEN:
                raise  # its token is not known (any more), which a patch would not change
            words = "statuses are patched, at a higher cost, until role and webhooks allow updates of pods/status: %s"
            log.warning(words, error)
            self._refused = time.monotonic()
        return None

    async def _patch(self, record: PodRecord, pod: Json, desired: Json) -> Json:
        status = status_patch(pod.get("status") or {}, desired)
        return await self.api.patch(f"{record.path}/status", {"metadata": {"uid": record.uid}, "status": status})


def _changed_by_others(before: Json, answer: Json) -> bool:
    """Whether the answer shows what our write did not do: a deletion, an annotation, another image."""
    ours: Json = {"resourceVersion": "", "managedFields": None}
    return {**before["metadata"], **ours} != {**answer["metadata"], **ours} or before["spec"] != answer["spec"]
