"""The Slurm sidecar behind the Falcon app: puts the parts together and owns their threads.

Constructed and started by ``interlink slurm``. Three threads of its own: Slurm (polls, signals), spool, housekeeping;
so a controller that hangs delays no report, and a slow file system no poll.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from interlink.config import Config
from interlink.config.jobs import job_egress, job_rules, runtimes
from interlink.config.volumes import volume_policy
from interlink.core.job.script import ScriptSettings
from interlink.core.pod.build import PlanSettings
from interlink.sidecars.backend import NotFound
from interlink.sidecars.changes import ChangeJournal
from interlink.sidecars.slurm.accounts import HostAccounts
from interlink.sidecars.slurm.bundle import runner_bundle
from interlink.sidecars.slurm.driver import SlurmDriver
from interlink.sidecars.slurm.drivers.choice import choose_driver, site_hosts
from interlink.sidecars.slurm.folders import JobFolders, is_uid
from interlink.sidecars.slurm.housekeeping import Housekeeping
from interlink.sidecars.slurm.lifecycle import Lifecycle
from interlink.sidecars.slurm.logs import Logs
from interlink.sidecars.slurm.offers import Offers
from interlink.sidecars.slurm.pods import PodTable
from interlink.sidecars.slurm.reconcile import Reconciler
from interlink.sidecars.slurm.recover import recover
from interlink.sidecars.slurm.site import Site
from interlink.sidecars.slurm.spool import Spool
from interlink.sidecars.slurm.store import Store
from interlink.sidecars.slurm.submit import JobSettings, Submitter
from interlink.sidecars.slurm.update import Updater
from interlink.sidecars.slurm.worker import Worker
from interlink.wire.messages import (
    EXTENSION_ADDRESS,
    EXTENSION_CHANGES,
    EXTENSION_STREAMS,
    EXTENSION_UPDATE,
    Changes,
    CreateReply,
    LogRequest,
    PingReply,
    PodStatus,
    RetrievedPodData,
)
from interlink.wire.pod import Pod

log = logging.getLogger(__name__)
_SPOOL_SECONDS, _SLURM_SECONDS, _HOUSEKEEPING_SECONDS = 0.2, 0.2, 60.0
#: With no living pod Slurm is asked this much less often.
_IDLE_FACTOR = 5
#: The pause between two looks is so much longer than one takes: thousands of jobs are looked at less often.
#: Not so while a job is about to end.
_POLL_SHARE, _HURRY_SHARE = 4, 1
#: After so many creates since the last look it is longer still, within bounds: libslurm takes one call at a time, and
#: submits wait for the look.
_MANY_CREATES, _CREATING_SHARE, _CREATING_SECONDS = 10, 19, 2.0
#: While Slurm is away it is asked no more often than this.
_OUTAGE_SECONDS = 2.0
#: So long a deleted pod's end stays in a full answer of /changes.
_DELETED_FOR = 600.0


class SlurmBackend:
    """``Backend`` of a Slurm site. The constructor opens the store and finds the site's pods again."""

    def __init__(self, config: Config, driver: SlurmDriver | None = None) -> None:
        """Raises StoreError and OSError; ``driver`` is for tests."""
        self._config = config
        self._hosts = site_hosts(config)
        self._folders = JobFolders(
            config.data_root_folder,
            self._hosts.files(),
            host_of=self._hosts.files,
            owner=lambda uid: self._table.user_of(uid),  # noqa: PLW0108 - the table comes later
        )
        self._folders.prepare()
        runner = self._folders.install_runner(runner_bundle())
        self._driver: SlurmDriver = driver or choose_driver(
            config,
            self._hosts,
            lambda: self._table.users(),  # noqa: PLW0108
        )
        self._store = Store(config.state_folder)
        self._journal = ChangeJournal(lambda: self._table.all_statuses(_DELETED_FOR))
        self._table = PodTable(self._store, self._journal)
        recover(self._table, self._folders)
        self._site = Site(self._driver)
        self._reconciler = Reconciler(self._table, self._folders, self._driver, self._site)
        self._lifecycle = Lifecycle(self._table, self._folders, self._driver, self._site, self._wake)
        settings = replace(
            job_settings(config, str(runner), self._folders), accounts=HostAccounts(self._hosts.commands())
        )
        self._submitter = Submitter(settings, self._folders, self._table, self._driver, self._site)
        self._updater = Updater(settings.plan, self._folders, self._table)
        self._logs = Logs(self._table, self._folders)
        #: When Slurm was last asked, how many seconds that took, and how many jobs had been submitted by then.
        self._last_poll, self._poll_cost, self._last_recorded = -float("inf"), 0.0, 0
        self._offers = Offers(self._driver, self._site, settings.rules, config.max_pods)
        spool, housekeeping = (
            Spool(self._folders, self._table),
            Housekeeping(
                self._table,
                self._folders,
                folder_seconds=config.job_folder_retention,
                ended_seconds=config.ended_pod_retention * 86_400,
            ),
        )
        self._slurm_worker = Worker("slurm", self._slurm_step, _SLURM_SECONDS)
        self._workers = (
            self._slurm_worker,
            Worker("spool", spool.tick, _SPOOL_SECONDS),
            Worker("housekeeping", housekeeping.tick, _HOUSEKEEPING_SECONDS),
        )

    def start(self) -> None:
        """Begin background work."""
        for worker in self._workers:
            worker.start()

    def create(self, request: RetrievedPodData) -> CreateReply:
        """See Backend."""
        return self._submitter.create(request)

    def update(self, request: RetrievedPodData) -> None:
        """See Backend."""
        self._updater.update(request)

    def delete(self, pod: Pod) -> None:
        """See Backend."""
        if not is_uid(pod.uid):
            return  # such a pod was never created here
        self._lifecycle.delete(pod)

    def statuses(self, pods: Iterable[Pod]) -> list[PodStatus]:
        """See Backend."""
        found = (self._table.status(pod.uid) for pod in pods)
        return [status for status in found if status is not None]

    def changes(self, after: str | None, wait: float) -> Changes:
        """See Backend."""
        return self._journal.after(after, wait)

    def logs(self, request: LogRequest) -> Iterator[bytes]:
        """See Backend."""
        if not is_uid(request.PodUID):
            raise NotFound(f"no pod {request.PodUID[:80]!r} here")
        return self._logs.read(request)

    def ping(self, partitions: Sequence[str] = (), flavors: Sequence[str] = ()) -> PingReply:
        """See Backend."""
        return PingReply(
            resources=self._offers.total(),
            partitions={name: offer for name in partitions if (offer := self._offers.partition(name))} or None,
            flavors={name: offer for name in flavors if (offer := self._offers.flavor(name))} or None,
            extensions=[EXTENSION_CHANGES, EXTENSION_UPDATE, EXTENSION_STREAMS, EXTENSION_ADDRESS],
        )

    def close(self) -> None:
        """See Backend."""
        self._journal.close()
        for worker in self._workers:
            worker.stop_soon()
        self._driver.close()
        for worker in self._workers:
            worker.join()
        self._hosts.close()
        self._store.close()

    def _slurm_step(self) -> None:
        """Poll when it is time, then end what is to be ended."""
        interval = self._config.slurm_poll_seconds * (1 if self._table.living else _IDLE_FACTOR)
        hurry = time.monotonic() < self._table.hurry_until
        if hurry:
            interval = min(interval, _SLURM_SECONDS)
        interval = max(interval, self._poll_cost * (_HURRY_SHARE if hurry else _POLL_SHARE))
        if self._table.recorded - self._last_recorded > _MANY_CREATES:
            interval = max(interval, min(self._poll_cost * _CREATING_SHARE, _CREATING_SECONDS))
        if self._site.outage:
            interval = max(interval, _OUTAGE_SECONDS)
        began = time.monotonic()
        if began - self._last_poll >= interval:
            answered = self._reconciler.poll()
            self._last_poll, self._last_recorded = time.monotonic(), self._table.recorded
            self._poll_cost = self._last_poll - began if answered else 0.0
        self._lifecycle.act()

    def _wake(self) -> None:
        self._slurm_worker.wake()


def job_settings(config: Config, runner: str, folders: JobFolders) -> JobSettings:
    """Return what every job gets of the configuration."""
    return JobSettings(
        script=ScriptSettings(
            python=config.python_path,
            runner=runner,
            shell=str(config.bash_path),
            command_prefix=config.command_prefix,
        ),
        rules=job_rules(config),
        environment=config.job_environment,
        egress=job_egress(config),
        plan=PlanSettings(
            image_prefix=config.image_prefix,
            runtimes=runtimes(config, image_cache=str(folders.images)),
            volumes=volume_policy(config),
        ),
    )
