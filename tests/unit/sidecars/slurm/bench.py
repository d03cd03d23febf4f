"""The sidecar's parts on a fake site, without threads: tests take each step themselves."""

import weakref
from pathlib import Path
from typing import Any

import msgspec

from interlink.core.job.identity import Accounts
from interlink.core.job.script import ScriptSettings
from interlink.core.plan import Report
from interlink.core.pod.build import PlanSettings
from interlink.sidecars.changes import ChangeJournal
from interlink.sidecars.slurm.accounts import HostAccounts
from interlink.sidecars.slurm.fake import FakeSlurm
from interlink.sidecars.slurm.folders import JobFolders
from interlink.sidecars.slurm.housekeeping import Housekeeping
from interlink.sidecars.slurm.lifecycle import Lifecycle
from interlink.sidecars.slurm.logs import Logs
from interlink.sidecars.slurm.pods import LivePod, PodTable
from interlink.sidecars.slurm.reconcile import Reconciler
from interlink.sidecars.slurm.recover import recover
from interlink.sidecars.slurm.site import Site
from interlink.sidecars.slurm.spool import Spool
from interlink.sidecars.slurm.store import Store
from interlink.sidecars.slurm.submit import JobSettings, Submitter
from interlink.wire.messages import CreateReply, PodStatus, RetrievedPodData
from interlink.wire.pod import Pod
from tests.unit.sidecars.contract import UID, make_pod

__all__ = ["UID", "Bench", "make_pod"]


class Bench:
    """One run of the sidecar; another one on the same folders and driver is its restart."""

    def __init__(
        self,
        root: Path,
        driver: FakeSlurm | None = None,
        settle: float = 0.0,
        unanswered: float = 0.0,
        accounts: Accounts | None = None,
        plan: PlanSettings | None = None,
    ) -> None:
        self.root = root
        self.driver = driver or FakeSlurm()
        self.folders = JobFolders(root / "shared")
        self.folders.prepare()
        self.store = Store(root / "state")
        weakref.finalize(self, self.store.close)
        self.journal = ChangeJournal(lambda: self.table.all_statuses(600))
        self.table = PodTable(self.store, self.journal)
        recover(self.table, self.folders)
        self.site = Site(self.driver, settle, unanswered)
        self.reconciler = Reconciler(self.table, self.folders, self.driver, self.site, report_seconds=0)
        self.lifecycle = Lifecycle(self.table, self.folders, self.driver, self.site, lambda: None)
        settings = JobSettings(
            script=ScriptSettings(python="/usr/bin/python3", runner="/shared/runner.py"),
            accounts=accounts or HostAccounts(),
            plan=plan or PlanSettings(),
        )
        self.submitter = Submitter(settings, self.folders, self.table, self.driver, self.site)
        self.spool = Spool(self.folders, self.table)
        self.housekeeping = Housekeeping(self.table, self.folders)
        self.logs = Logs(self.table, self.folders)

    def restart(self, settle: float = 0.0) -> "Bench":
        """Die without any goodbye and start again."""
        return Bench(self.root, self.driver, settle)

    def create(self, pod: Pod | None = None) -> CreateReply:
        """Create the pod."""
        return self.submitter.create(RetrievedPodData(pod=pod or make_pod()))

    def status(self, uid: str = UID) -> PodStatus | None:
        """Return the pod's status."""
        return self.table.status(uid)

    def live(self, uid: str = UID) -> LivePod:
        """Return the pod that has not ended."""
        return self.table.living[uid]

    def report(self, job_id: int, uid: str = UID, *, spool: bool = True, **values: Any) -> Report:
        """Report as the runner does; ``container`` are more fields of each container's status."""
        terminated = values.pop("exit_code", None)
        state: dict[str, Any] = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
        if terminated is not None:
            state = {"terminated": {"exitCode": terminated, "reason": "Completed"}}
        status = {"state": state, "restartCount": 0, **values.pop("container", {})}
        report = Report(
            uid=uid,
            job_id=str(job_id),
            sequence=values.pop("sequence", 1),
            time="2026-01-01T00:00:00.000000Z",
            containers=[{"name": name, **status} for name in ("first", "second")],
            finished=terminated is not None,
            **values,
        )
        data = msgspec.json.encode(report)
        if spool:
            self.folders.host.write(self.folders.spool / f"{uid}.{job_id}.{report.sequence}.json", data)
        else:
            self.folders.host.write(self.folders.job(uid) / "report.json", data)
        return report
