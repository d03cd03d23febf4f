"""Create: a pod becomes one Slurm job, once for all calls with its UID.

Called by ``backend``, from several threads. The order is the promise: intent, job folder on disk, submit, job id.
Whoever dies in between leaves an intent in doubt, which ``reconcile`` clears up by the UID in the jobs' comments before
another submit is allowed. A refusal leaves nothing behind, nor does a full queue.
"""

import logging
import time
from dataclasses import dataclass, field, replace

import msgspec

from interlink.core.errors import UnsupportedPod
from interlink.core.job.finish import finish_plan, image_prefix, pre_exec, with_site_mounts
from interlink.core.job.identity import Accounts, job_account
from interlink.core.job.pending import Wait
from interlink.core.job.placement import place
from interlink.core.job.rules import JobRules
from interlink.core.job.script import ScriptSettings, batch_script
from interlink.core.plan import BATCH_LOG, PLAN_FILE, Plan, PlanEgress, PlanRecord
from interlink.core.pod.build import PlanSettings, build_plan, grace_seconds
from interlink.core.pod.facts import PodFacts
from interlink.core.pod.runtime import plan_runtime
from interlink.core.pod.support import ignored
from interlink.sidecars.backend import Busy, Deleted, Refused, Unavailable
from interlink.sidecars.slurm import hints
from interlink.sidecars.slurm.accounts import HostAccounts
from interlink.sidecars.slurm.driver import (
    JobRequest,
    SlurmDriver,
    SlurmFull,
    SlurmRefused,
    SlurmTimedOut,
    SlurmUnavailable,
)
from interlink.sidecars.slurm.folders import JobFolders, is_uid
from interlink.sidecars.slurm.pods import LivePod, PodTable, was_deleted
from interlink.sidecars.slurm.site import Site
from interlink.sidecars.slurm.store import StoreError
from interlink.wire.messages import CreateReply, RetrievedPodData

log = logging.getLogger(__name__)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NAME_LENGTH = 60


@dataclass(frozen=True, kw_only=True)
class JobSettings:
    """The administrator's part of every job."""

    script: ScriptSettings
    rules: JobRules = field(default_factory=JobRules)
    accounts: Accounts = field(default_factory=HostAccounts)
    environment: dict[str, str] = field(default_factory=dict)
    egress: PlanEgress | None = None
    plan: PlanSettings = field(default_factory=PlanSettings)


class Submitter:
    """Carries out create."""

    def __init__(
        self, settings: JobSettings, folders: JobFolders, table: PodTable, driver: SlurmDriver, site: Site
    ) -> None:
        self._settings = settings
        self._folders = folders
        self._table = table
        self._driver = driver
        self._site = site

    def create(self, request: RetrievedPodData) -> CreateReply:
        """Submit the pod's job, or return the id of the one it has. Raises Refused, Busy, Unavailable, Deleted."""
        facts = PodFacts.of(request.pod)
        if not is_uid(facts.uid):
            raise Refused(f"metadata.uid {facts.uid[:80]!r} is no lower-case UUID, as kube-apiserver gives them")
        job_id = self._known_job(facts)
        if job_id is not None:
            return self._reply(request, job_id)
        try:
            plan, job = self._prepare(request)
        except UnsupportedPod as error:
            raise Refused(str(error), "UnsupportedPod") from error
        except OSError as error:
            raise Unavailable(f"the job folders of its user cannot be had: {error}") from error
        facts = msgspec.structs.replace(facts, user=job.user)
        if self._site.outage:
            raise Unavailable(f"Slurm does not answer: {self._site.outage}")
        try:
            pod = self._table.begin(facts)
            try:
                with pod.submitting:
                    return self._reply(request, self._submit_once(pod, plan, job))
            finally:
                self._table.end_without_job(pod)  # a delete meanwhile left that to us
        except StoreError as error:
            raise Unavailable(f"the sidecar cannot write its state: {error}") from error

    def _reply(self, request: RetrievedPodData, job_id: int) -> CreateReply:
        """Return the answer for a pod that has this job: a repeated create is told of ignored fields again."""
        kind = plan_runtime(request.pod, self._settings.plan.runtimes).kind
        return CreateReply(PodUID=request.pod.uid, PodJID=str(job_id), warnings=ignored(request.written, kind))

    def _known_job(self, facts: PodFacts) -> int | None:
        """Return the job that the pod has already. Raises Deleted."""
        pod = self._table.living.get(facts.uid)
        deleted, job_id = (pod.deleted_at, pod.job_id) if pod else (None, None)
        if pod is None:
            row = self._table.store.find(facts.uid)
            deleted, job_id = (row.deleted_at, row.job_id) if row else (None, None)
        if deleted is not None:
            raise was_deleted(facts)
        return job_id

    def _prepare(self, request: RetrievedPodData) -> tuple[Plan, JobRequest]:
        """Return the runner's plan and the job that carries it out; nothing of the pod is written.

        Raises UnsupportedPod, and OSError where the folders of the job's user cannot be had.
        """
        settings, rules = self._settings, self._settings.rules
        pod = with_site_mounts(request.pod, plan_runtime(request.pod, settings.plan.runtimes).kind)
        placement = place(pod, rules, grace=grace_seconds(pod))
        account = job_account(
            pod,
            rules.identity,
            settings.accounts,
            of_namespace=rules.of_namespace(pod.metadata.namespace).user,
            of_flavor=placement.flavor.uid if placement.flavor else None,
        )
        user = "" if account == settings.accounts.own() else account.name
        home = self._folders.of(user)
        folder = f"{home.jobs}/{pod.uid}"
        plan = build_plan(
            msgspec.structs.replace(request, pod=pod),
            folder=folder,
            spool=str(home.spool),
            settings=replace(
                settings.plan,
                image_prefix=image_prefix(pod, settings.plan.image_prefix),
                runtimes=replace(settings.plan.runtimes, image_cache=str(home.images)),
            ),
        )
        plan = msgspec.structs.replace(finish_plan(plan, pod, placement, rules), egress=settings.egress)
        return plan, JobRequest(
            name=(placement.name or f"{pod.metadata.namespace}-{pod.metadata.name}")[:_NAME_LENGTH],
            comment=pod.uid,
            script=batch_script(
                replace(settings.script, runner=str(home.runner)),
                plan=f"{folder}/{PLAN_FILE}",
                pre_exec=pre_exec(pod, rules),
            ),
            working_directory=folder,
            output=f"{folder}/{BATCH_LOG}",
            cpus=placement.cpus,
            memory_mib=placement.memory_mib,
            environment={"PATH": _PATH, **settings.environment},
            time_limit_minutes=placement.time.limit_minutes,
            partition=placement.partition,
            account=placement.account,
            qos=placement.qos,
            reservation=placement.reservation,
            constraint=placement.constraint,
            nodes=placement.nodes,
            tasks=placement.tasks,
            gres=placement.gres,
            tmp_mib=placement.tmp_mib,
            signal=placement.time.signal,
            requeue=placement.requeue,
            user=user,
            options=placement.options,
        )

    def _submit_once(self, pod: LivePod, plan: Plan, job: JobRequest) -> int:
        """Submit unless that was done or may have been done; the pod's ``submitting`` lock is held."""
        with self._table.lock:
            if pod.deleted_at is not None:
                raise was_deleted(pod.facts)
            if pod.job_id is not None:
                return pod.job_id
            if self._table.living.get(pod.uid) is not pod:
                raise Unavailable("an earlier create of the pod was refused meanwhile")
            if pod.doubt_since is not None:
                raise Unavailable("an earlier submit of the pod is still being looked up in Slurm")
        # What is on the disk before the submit is the plan: every start looks for it, if it is not another user's.
        self._table.intend(pod, sync=bool(pod.facts.user))
        if pod.deleted_at is not None:
            raise was_deleted(pod.facts)
        try:
            record = PlanRecord(pod=pod.facts, created_at=pod.created_at)
            self._folders.write_job(pod.uid, msgspec.json.encode(msgspec.structs.replace(plan, record=record)))
        except OSError as error:
            self._forget(pod)
            raise Unavailable(f"the job's folder cannot be written: {error}") from error
        job_id = self._submit(pod, job)
        self._table.record(pod, job_id)
        log.info("pod %s/%s (%s) is Slurm job %d", pod.facts.namespace, pod.facts.name, pod.uid, job_id)
        if pod.deleted_at is not None:
            raise Deleted(f"pod {pod.facts.namespace}/{pod.facts.name} was deleted while its job was submitted")
        return job_id

    def _submit(self, pod: LivePod, job: JobRequest) -> int:
        """Call Slurm; whatever is not a clear yes or no leaves the pod in doubt."""
        pod.doubt_since, pod.unanswered = time.monotonic(), False
        try:
            return self._driver.submit(job)
        except SlurmRefused as error:
            self._forget(pod)
            raise Refused(hints.refused(str(error)), "SlurmRefused") from error
        except SlurmFull as error:
            self._forget(pod)
            raise Busy(hints.full(str(error)), Wait.PASSES.value) from error
        except SlurmUnavailable as error:
            pod.doubt_since, pod.unanswered = time.monotonic(), isinstance(error, SlurmTimedOut)
            raise Unavailable(f"Slurm: {error}") from error

    def _forget(self, pod: LivePod) -> None:
        """Clean up after a clear no: folder first, so that a crash between leaves a known intent."""
        try:
            self._folders.remove_job(pod.uid)
        except OSError as error:
            log.warning("cannot remove %s: %s", self._folders.job(pod.uid), error)
        pod.doubt_since = None
        self._table.forget(pod)
