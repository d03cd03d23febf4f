"""Update: newer contents of ConfigMaps, Secrets and tokens, left in the job's folder for the runner to find.

Called by ``backend``, from several threads. An update is about those volumes that its pod names; what earlier updates
left of the others stays, for a runner that begins again after a requeue reads nothing but the last file. The runner
compares and switches (``runner/volumes/update.py``): contents that are the same, and immutable objects, change nothing
there.
"""

import logging
import threading

import msgspec

from interlink.core.errors import UnsupportedPod
from interlink.core.plan import CONTENTS_FILE, PlanContents, PlanVolume
from interlink.core.pod.volumes import plan_contents
from interlink.sidecars.backend import NotFound, Refused, Unavailable
from interlink.sidecars.slurm.folders import JobFolders
from interlink.sidecars.slurm.pods import PodTable
from interlink.wire import decoding
from interlink.wire.messages import RetrievedPodData

log = logging.getLogger(__name__)

#: Updates of different pods seldom wait for one another's files.
_LOCKS = 64


class Updater:
    """Carries out update."""

    def __init__(self, folders: JobFolders, table: PodTable) -> None:
        self._folders = folders
        self._table = table
        self._locks = [threading.Lock() for _ in range(_LOCKS)]

    def update(self, request: RetrievedPodData) -> None:
        """See Backend."""
        pod = request.pod
        with self._table.lock:
            live = self._table.living.get(pod.uid)
            known = live is not None and live.job_id is not None
        if not known:
            raise NotFound(f"pod {pod} has no job here that could still run")
        try:
            contents = plan_contents(pod, request.container)
        except UnsupportedPod as error:
            raise Refused(str(error), "UnsupportedPod") from error
        try:
            with self._locks[hash(pod.uid) % _LOCKS]:
                newer = {volume.name: volume for volume in [*self._earlier(pod.uid), *contents.volumes]}
                merged = PlanContents(volumes=list(newer.values()))
                self._folders.write_contents(pod.uid, msgspec.json.encode(merged))
        except OSError as error:
            raise Unavailable(f"the job's folder cannot be read and written: {error}") from error

    def _earlier(self, uid: str) -> list[PlanVolume]:
        """Return what earlier updates left. Raises OSError."""
        found = self._folders.read(uid, CONTENTS_FILE)
        if found is None:
            return []
        try:
            return decoding.decode_json(found, PlanContents).volumes
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            log.warning("pod %s: %s is not readable and begins anew: %s", uid, CONTENTS_FILE, error)
            return []
