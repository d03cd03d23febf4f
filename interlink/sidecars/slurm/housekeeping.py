"""What is cleared away with time: folders of deleted pods, old tombstones, intents that nobody came back for.

Driven by ``backend``'s housekeeping thread, because removing a large folder on a network file system takes its time.
Invariant: a folder goes only when its pod was deleted and has ended, or surely never had a job; or where the
administrator has said so, long after the end of a pod that nobody deletes, because its cluster is gone.
"""

import logging
import time

from interlink.sidecars.slurm.folders import JobFolders
from interlink.sidecars.slurm.pods import PodTable

log = logging.getLogger(__name__)
TOMBSTONE_SECONDS = 24 * 3600.0
INTENT_SECONDS = 3600.0
_LITTER_SECONDS = 24 * 3600.0


class Housekeeping:
    """Removes what has served its time."""

    def __init__(
        self, table: PodTable, folders: JobFolders, *, folder_seconds: float = 60.0, ended_seconds: float = 0.0
    ) -> None:
        """``folder_seconds`` after a pod was deleted and has ended its folder goes: a reader may be at its end.

        ``ended_seconds`` is the same for a pod that nobody has deleted; 0 keeps it.
        """
        self._table = table
        self._folders = folders
        self._folder_seconds = folder_seconds
        self._ended_seconds = ended_seconds

    def tick(self) -> None:
        """Clear away once."""
        now = time.time()
        homes = list(self._folders.all(self._table.store.users()))
        there = {uid for home in homes for uid in home.uids()}
        for uid in there.intersection(self._table.store.deleted_and_ended(now - self._folder_seconds)):
            if self._remove(uid):
                there.discard(uid)
        if self._ended_seconds:
            ended = self._table.store.ended(now - self._ended_seconds)
            self._table.store.drop([uid for uid in ended if uid not in there or self._remove(uid)])
        old = [uid for uid in self._table.store.deleted_and_ended(now - TOMBSTONE_SECONDS) if uid not in there]
        if old:
            self._table.store.drop(old)
        self._drop_intents(now - INTENT_SECONDS)
        for home in homes:
            self._sweep(home, now - _LITTER_SECONDS)

    def _drop_intents(self, before: float) -> None:
        """Forget pods that surely have no job, and whose creator has not asked again."""
        with self._table.lock:
            pods = [
                pod
                for pod in self._table.living.values()
                if pod.job_id is None and pod.doubt_since is None and pod.created_at < before
            ]
        for pod in pods:
            if not pod.submitting.acquire(blocking=False):
                continue
            try:
                if pod.job_id is None and pod.doubt_since is None and self._remove(pod.uid):
                    self._table.forget(pod)
            finally:
                pod.submitting.release()

    def _remove(self, uid: str) -> bool:
        try:
            self._folders.remove_job(uid)
        except OSError as error:
            log.warning("%s cannot be removed: %s", self._folders.job(uid), error)
            return False
        return True

    @staticmethod
    def _sweep(home: JobFolders, before: float) -> None:
        """Remove half-written and malformed files that nobody came back for."""
        for folder in (home.spool, home.bad_spool):
            litter = [
                entry.name
                for entry in home.host.entries(folder)
                if (entry.name.startswith(".") or folder == home.bad_spool) and entry.changed < before
            ]
            if litter:
                home.host.remove(folder, litter)
