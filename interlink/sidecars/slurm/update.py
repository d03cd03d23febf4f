"""Update: newer contents of ConfigMaps, Secrets and tokens, left in the job's folder for the runner to find.

Called by ``backend``, from several threads. The runner compares and switches (``runner/volumes/update.py``): contents
that are the same, and immutable objects, change nothing there.
"""

import msgspec

from interlink.core.errors import UnsupportedPod
from interlink.core.pod.volumes import plan_contents
from interlink.sidecars.backend import NotFound, Refused, Unavailable
from interlink.sidecars.slurm.folders import JobFolders
from interlink.sidecars.slurm.pods import PodTable
from interlink.wire.messages import RetrievedPodData


class Updater:
    """Carries out update."""

    def __init__(self, folders: JobFolders, table: PodTable) -> None:
        self._folders = folders
        self._table = table

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
            self._folders.write_contents(pod.uid, msgspec.json.encode(contents))
        except OSError as error:
            raise Unavailable(f"the job's folder cannot be written: {error}") from error
