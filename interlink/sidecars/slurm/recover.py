"""What a start finds: the store's living pods, and job folders that the store does not know (a lost database).

Called once by ``backend`` before any request. Invariant: nothing is submitted, cancelled or removed here; what is in
doubt is cleared up by ``reconcile`` with Slurm's word.
"""

import logging
import time

import msgspec

from interlink.core.plan import PLAN_FILE, REPORT_FILE, PlanRecord, Report
from interlink.sidecars.slurm.folders import JobFolders
from interlink.sidecars.slurm.pods import LivePod, PodTable
from interlink.sidecars.slurm.store import Row
from interlink.wire.decoding import decode_json

log = logging.getLogger(__name__)


class Recorded(msgspec.Struct):
    """The part of a plan that is ours."""

    record: PlanRecord


def recover(table: PodTable, folders: JobFolders) -> None:
    """Fill the table. Raises OSError, StoreError."""
    for row in table.store.living():
        table.adopt(row)
    known = table.store.uids()
    found: list[str] = []
    adopted = 0
    for user in ("", *folders.users()):
        try:
            home = folders.of(user)
            lost = [uid for uid in home.uids() if uid not in known]
        except OSError as error:
            if not user:
                raise
            log.warning("the jobs of user %s cannot be looked for: %s", user, error)
            continue
        found += lost
        adopted += sum(adopt_folder(table, home, uid, user) is not None for uid in lost)
    if found:
        log.warning("%d job folders were not in %s; %d pods adopted", len(found), table.store.path, adopted)
    log.info("%d pods have not ended", len(table.living))


def adopt_folder(table: PodTable, folders: JobFolders, uid: str, user: str = "") -> LivePod | None:
    """Take a pod in by its job folder alone; None where the folder does not say whose it is."""
    try:
        found = decode_json(folders.read_plan(uid) or b"", Recorded).record
        claim = folders.claimed_by(uid)
    except (msgspec.MsgspecError, OSError) as error:
        log.warning("%s has no usable %s (%s): left alone", folders.job(uid), PLAN_FILE, error)
        return None
    if (found.pod.uid, found.pod.user) != (uid, user):
        log.warning("%s holds the %s of another pod: left alone", folders.job(uid), PLAN_FILE)
        return None
    table.store.intend(found.pod, found.created_at)
    pod = table.adopt(Row(facts=found.pod, created_at=found.created_at))
    pod.report = read_report(folders, uid)
    if claim is not None:
        table.record(pod, claim)
        pod.recorded_at = time.monotonic()
    return pod


def read_report(folders: JobFolders, uid: str) -> Report | None:
    """Return the runner's newest report as its job folder has it."""
    try:
        data = folders.read(uid, REPORT_FILE)
        if data is None:
            return None
        report = decode_json(data, Report)
    except (msgspec.MsgspecError, OSError) as error:
        log.warning("%s/%s cannot be used: %s", folders.job(uid), REPORT_FILE, error)
        return None
    return report if report.uid == uid else None
