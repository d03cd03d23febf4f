"""The runners' reports: one spool folder per user of the site, one round trip for all pods.

Driven by ``backend``'s spool thread. Invariant: a report's file is removed only after what it says is in the store, and
nothing in it is trusted: not its name, size or kind, nor that it speaks of a pod of ours. A tick's cost is that of the
reports that came since the last one, however many pods live: nobody's job folder is looked at.
"""

import logging
import re

import msgspec

from interlink.core.plan import Report
from interlink.sidecars.slurm.folders import JobFolders
from interlink.sidecars.slurm.pods import LivePod, PodTable
from interlink.sidecars.slurm.transport.host import Gathered
from interlink.wire.decoding import decode_json

log = logging.getLogger(__name__)
_NAME = re.compile(r"(?P<uid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(?P<job>[0-9]{1,12})\.[0-9]{1,12}\.json")
#: Files a tick at most, so that other work comes between. With 10,000 living pods a tick takes 0.4 ms of CPU where
#: nothing came, 10 ms for 100 reports and 150 ms for these (2 cores, through an agent as well): of each report a third
#: for its file, which is opened, read and removed, and two fifths for its status and its row, under the table's lock.
#: A copy of what each report says of its containers took as much again.
_BATCH = 1_000


class Spool:
    """Reads the spool folders into the table."""

    def __init__(self, folders: JobFolders, table: PodTable) -> None:
        self._folders = folders
        self._table = table
        self._unreadable: set[str] = set()
        #: By user, the name behind which the next tick goes on, where the last one did not get to the folder's end:
        #: reports that have to wait keep nobody's behind them waiting.
        self._after: dict[str, str] = {}
        self._waiting = False

    def tick(self) -> int:
        """Take in what lies there, and return how many reports that were."""
        return sum(self._tick_of(user) for user in ("", *self._table.users()))

    def _tick_of(self, user: str) -> int:
        """Take in one user's reports."""
        try:
            home = self._folders.of(user)
            after = self._after.get(user, "")
            found = home.host.gather(home.spool, _NAME.pattern, skip=[home.bad_spool.name], after=after, most=_BATCH)
        except OSError as error:
            if user not in self._unreadable:
                log.warning("the spool folder of %s cannot be read; reports wait: %s", user or "our own", error)
            self._unreadable.add(user)
            return 0
        self._unreadable.discard(user)
        self._after[user] = found[-1].name if len(found) == _BATCH else ""
        taken: list[str] = []
        changed: dict[str, LivePod] = {}
        trouble = ""
        for file in found:
            if file.trouble:  # the file system's, or ours: the report is good
                trouble = file.trouble
                continue
            report = self._report(file)
            if report is None or self._table.user_of(report.uid) != user:
                self._set_aside(home, file.name)
            elif self._apply(report, changed):
                taken.append(file.name)
        self._note_waiting(trouble)
        self._table.refresh(changed.values())
        if taken:
            home.host.remove(home.spool, taken)
        return len(taken)

    def _report(self, file: Gathered) -> Report | None:
        """Return the report, None for what is none, or not what its name says."""
        match = _NAME.fullmatch(file.name)
        try:
            report = None if match is None or file.data is None else decode_json(file.data, Report)
        except msgspec.MsgspecError:
            return None
        if match is None or report is None or report.uid != match["uid"] or report.job_id != match["job"]:
            return None
        return report

    def _note_waiting(self, trouble: str) -> None:
        if trouble and not self._waiting:
            log.warning("a report cannot be read now, and waits: %s", trouble)
        self._waiting = bool(trouble)

    def _apply(self, report: Report, changed: dict[str, LivePod]) -> bool:
        """Note the report; False where its file has to wait until the pod's job is known."""
        with self._table.lock:
            pod = self._table.living.get(report.uid)
            if pod is None:
                log.debug("a report of %s, which does not live here (any more)", report.uid)
                return True
            if pod.job_id is None:
                return False
            if report.job_id != str(pod.job_id):
                log.warning("job %s reports for pod %s, which is job %d: ignored", report.job_id, pod.uid, pod.job_id)
                return True
            if is_newer(report, pod.report):
                pod.report = report
                changed[pod.uid] = pod
            return True

    @staticmethod
    def _set_aside(home: JobFolders, name: str) -> None:
        """Move what is no report out of the way, for an administrator to look at."""
        path = home.spool / name
        log.warning("%s is no report of a pod runner: moved to %s", path, home.bad_spool)
        try:
            home.host.rename(path, home.bad_spool / name)
        except OSError as error:
            log.warning("%s cannot be moved: %s", path, error)


def is_newer(report: Report, other: Report | None) -> bool:
    """Whether the report says more than the other one; a requeued job counts its reports anew."""
    return other is None or (report.restart, report.sequence) > (other.restart, other.sequence)
