"""The runners' reports: one spool folder per site, one readdir for all pods.

Driven by ``backend``'s spool thread. Invariant: a report's file is removed only after what it says is in the store, and
nothing in it is trusted: not its name, size or kind, nor that it speaks of a pod of ours.
"""

import logging
import os
import re
from pathlib import Path

import msgspec

from interlink.core.plan import Report
from interlink.sidecars.slurm.folders import JobFolders, read_small
from interlink.sidecars.slurm.pods import LivePod, PodTable

log = logging.getLogger(__name__)
_NAME = re.compile(r"(?P<uid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(?P<job>[0-9]{1,12})\.[0-9]{1,12}\.json")
#: Files a tick at most, so that other work comes between.
_BATCH = 2_000


class Spool:
    """Reads the spool folder into the table."""

    def __init__(self, folders: JobFolders, table: PodTable) -> None:
        self._folders = folders
        self._table = table
        self._unreadable = False
        self._waiting = False
        self._decoder = msgspec.json.Decoder(Report)

    def tick(self) -> int:
        """Take in what lies there, and return how many reports that were."""
        taken: list[Path] = []
        changed: dict[str, LivePod] = {}
        failed: OSError | None = None
        for name in self._names():
            path = self._folders.spool / name
            match = _NAME.fullmatch(name)
            try:
                report = self._read(path) if match else None
            except OSError as error:  # the file system's trouble, or ours: the report is good
                failed = error
                continue
            if match is None or report is None or report.uid != match["uid"] or report.job_id != match["job"]:
                self._set_aside(path)
            elif self._apply(report, changed):
                taken.append(path)
        self._note_waiting(failed)
        self._table.refresh(changed.values())
        for path in taken:
            path.unlink(missing_ok=True)
        return len(taken)

    def _names(self) -> list[str]:
        """Return the names in the folder; dot files are being written."""
        try:
            with os.scandir(self._folders.spool) as entries:
                names = [entry.name for entry in entries if entry.name[0] != "." and entry.name != "bad"]
        except OSError as error:
            if not self._unreadable:
                log.warning("%s cannot be read; reports wait: %s", self._folders.spool, error)
            self._unreadable = True
            return []
        self._unreadable = False
        return sorted(names)[:_BATCH]

    def _note_waiting(self, error: OSError | None) -> None:
        if error and not self._waiting:
            log.warning("a report cannot be read now, and waits: %s", error)
        self._waiting = error is not None

    def _read(self, path: Path) -> Report | None:
        """Return the report, None for what is none. Raises OSError."""
        data = read_small(path)
        try:
            return None if data is None else self._decoder.decode(data)
        except msgspec.MsgspecError:
            return None

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

    def _set_aside(self, path: Path) -> None:
        """Move what is no report out of the way, for an administrator to look at."""
        log.warning("%s is no report of a pod runner: moved to %s", path, self._folders.bad_spool)
        try:
            path.rename(self._folders.bad_spool / path.name)
        except FileNotFoundError:
            return
        except OSError as error:
            log.warning("%s cannot be moved: %s", path, error)


def is_newer(report: Report, other: Report | None) -> bool:
    """Whether the report says more than the other one; a requeued job counts its reports anew."""
    return other is None or (report.restart, report.sequence) > (other.restart, other.sequence)
