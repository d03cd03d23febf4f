"""Update: what has changed of a pod that lives, left in its job's folder for the runner to find.

Called by ``backend``, from several threads. Newer contents of ConfigMaps, Secrets and tokens are about those volumes
that the update's pod names; what earlier updates left of the others stays, for a runner that begins again after a
requeue reads nothing but the last file. activeDeadlineSeconds and images are each update's own. The runner compares and
switches (``runner/update.py``): what is the same, and immutable objects, change nothing there.
"""

import logging
import threading

import msgspec

from interlink.core.errors import UnsupportedPod
from interlink.core.job.finish import image_prefix
from interlink.core.plan import UPDATE_FILE, PlanImage, PlanUpdate
from interlink.core.pod.build import PlanSettings
from interlink.core.pod.facts import PodFacts
from interlink.core.pod.images import changed_images, image_name
from interlink.core.pod.volumes import plan_contents
from interlink.sidecars.backend import NotFound, Refused, Unavailable
from interlink.sidecars.slurm.folders import JobFolders
from interlink.sidecars.slurm.pods import PodTable
from interlink.wire import decoding
from interlink.wire.messages import RetrievedPodData
from interlink.wire.pod import Pod

log = logging.getLogger(__name__)

#: Updates of different pods seldom wait for one another's files.
_LOCKS = 64


class Updater:
    """Carries out update."""

    def __init__(self, settings: PlanSettings, folders: JobFolders, table: PodTable) -> None:
        self._settings = settings
        self._folders = folders
        self._table = table
        self._locks = [threading.Lock() for _ in range(_LOCKS)]

    def update(self, request: RetrievedPodData) -> None:
        """See Backend."""
        pod = request.pod
        with self._table.lock:
            live = self._table.living.get(pod.uid)
            facts = live.facts if live is not None and live.job_id is not None else None
        if facts is None:
            raise NotFound(f"pod {pod} has no job here that could still run")
        try:
            contents = plan_contents(pod, request.container)
        except UnsupportedPod as error:
            raise Refused(str(error), "UnsupportedPod") from error
        try:
            with self._locks[hash(pod.uid) % _LOCKS]:
                earlier = self._earlier(pod.uid)
                newer = {volume.name: volume for volume in [*earlier.volumes, *contents]}
                merged = PlanUpdate(
                    volumes=list(newer.values()),
                    active_deadline_seconds=_deadline(pod, earlier),
                    images=self._images(pod, facts),
                )
                self._folders.write_update(pod.uid, msgspec.json.encode(merged))
        except OSError as error:
            raise Unavailable(f"the job's folder cannot be read and written: {error}") from error

    def _images(self, pod: Pod, facts: PodFacts) -> dict[str, PlanImage]:
        """Return the images that are not those of the plan. Raises OSError."""
        own = str(self._folders.of(facts.user).root)

        def name_of(where: str, image: str) -> str:
            return image_name(where, image, image_prefix(pod, self._settings.image_prefix), own)

        return changed_images(pod, dict(facts.init_containers + facts.containers), name_of)

    def _earlier(self, uid: str) -> PlanUpdate:
        """Return what earlier updates left. Raises OSError."""
        found = self._folders.read(uid, UPDATE_FILE)
        if found is None:
            return PlanUpdate(volumes=[])
        try:
            return decoding.decode_json(found, PlanUpdate)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            log.warning("pod %s: %s is not readable and begins anew: %s", uid, UPDATE_FILE, error)
            return PlanUpdate(volumes=[])


def _deadline(pod: Pod, earlier: PlanUpdate) -> int | None:
    """Return the pod's activeDeadlineSeconds, which the API lets be set and shortened only.

    So an update that was on its way for long does not undo a later one.
    """
    both = (pod.spec.activeDeadlineSeconds, earlier.active_deadline_seconds)
    said = [seconds for seconds in both if seconds is not None]
    return max(0, min(said)) if said else None
