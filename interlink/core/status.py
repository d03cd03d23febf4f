"""Slurm's side and the pod runner's side of one pod, merged into the status that goes to Kubernetes.

Pure, and the only place where a container's state is made up: the runner's word counts for what happened inside the
job, Slurm's for whether there is a job. Called by the sidecar for each pod whose job or report changed.
"""

import copy
from datetime import UTC, datetime
from typing import Any

import msgspec

from interlink.core.job.facts import JobFacts
from interlink.core.job.pending import pending_sentence
from interlink.core.job.states import STARTING, JobEnd, JobPhase, job_end
from interlink.core.plan import Report
from interlink.wire.messages import CLUSTER_ANNOTATION, PodStatus
from interlink.wire.pod import Pod

#: The waiting reason of every container while Slurm has not started the job.
PENDING_REASON = "SlurmPending"
_CREATING = "ContainerCreating"
_LOST = JobEnd("JobLost", "is unknown to Slurm, and its pod runner reported no end", ordinary=True)


class PodFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a status repeats of its pod; small, so that a sidecar can keep one for each pod."""

    namespace: str
    name: str
    uid: str
    cluster: str = ""
    node: str = ""
    #: The site's user who owns the job; empty is the service's own.
    user: str = ""
    #: (name, image) of each container, in the pod's order.
    containers: list[tuple[str, str]] = []
    init_containers: list[tuple[str, str]] = []

    @classmethod
    def of(cls, pod: Pod) -> "PodFacts":
        """Return the facts of a pod."""
        return cls(
            namespace=pod.metadata.namespace,
            name=pod.metadata.name,
            uid=pod.uid,
            cluster=pod.annotation(CLUSTER_ANNOTATION),
            node=pod.spec.nodeName,
            containers=[(item.name, item.image) for item in pod.spec.containers],
            init_containers=[(item.name, item.image) for item in pod.spec.initContainers or ()],
        )


def pod_status(  # noqa: PLR0913 - one fact each, and given by name
    pod: PodFacts, *, job_id: str, job: JobFacts | None, report: Report | None, lost: bool = False, settled: bool = True
) -> PodStatus:
    """Return the pod's status: all containers, in the pod's order.

    ``job_id`` is empty before the submit. ``job`` None says that nothing is known of the job now; with ``lost``, that
    Slurm was asked and has no such job. ``settled`` False: the job is over in Slurm, but its last report may still be
    on its way. Then, and while Slurm still clears the job away, the pod has not ended.
    """
    if report is not None and not _is_of_this_run(report, job_id, job):
        report = None
    status = PodStatus(
        name=pod.name,
        UID=pod.uid,
        namespace=pod.namespace,
        JID=job_id,
        cluster=pod.cluster,
        node=pod.node,
        containers=_containers(pod.containers, report, _waiting(job_id, job)),
        initContainers=_containers(pod.init_containers, report, _waiting(job_id, job)),
    )
    if report is not None:
        status.hostIP, status.reason, status.message = report.host_ip, report.reason, report.message
    gone = lost or (job is not None and job.phase is JobPhase.ENDED)
    if not gone or not settled:
        return status
    status.ended = True
    end = _LOST if job is None or lost else job_end(job.state)
    finished = report is not None and report.finished
    if not status.reason and not (finished and end.ordinary):
        status.reason = end.reason
        status.message = f"Slurm job {job_id} {_sentence(end, job)}"
    for container in (*status.containers, *status.initContainers):
        _end_container(container, status.message, end, _end_time(job, report))
    return status


def _containers(names: list[tuple[str, str]], report: Report | None, waiting: dict[str, str]) -> list[dict[str, Any]]:
    """Return a v1.ContainerStatus for each container: the runner's where it sent one, else waiting."""
    reported = {item["name"]: item for item in (report.containers if report else ()) if _is_status(item)}
    fresh = {"lastState": {}, "ready": False, "started": False, "restartCount": 0, "imageID": ""}
    return [
        {**fresh, "state": {"waiting": waiting}, **copy.deepcopy(reported.get(name, {})), "name": name, "image": image}
        for name, image in names
    ]


def _is_of_this_run(report: Report, job_id: str, job: JobFacts | None) -> bool:
    """Whether the report speaks of this job and of its run since the last requeue."""
    return report.job_id == job_id and (job is None or report.restart >= job.restart_count)


def _is_status(item: dict[str, Any]) -> bool:
    """Whether a reported item can be a v1.ContainerStatus; one that cannot must not spoil the statuses of others."""
    state = item.get("state")
    if not isinstance(item.get("name"), str) or not isinstance(state, dict) or len(state) != 1:
        return False
    ((kind, value),) = state.items()
    return kind in ("waiting", "running", "terminated") and isinstance(value, dict)


def _waiting(job_id: str, job: JobFacts | None) -> dict[str, str]:
    """Return the waiting state of a container of which no report speaks: why, in Slurm's words and plain ones."""
    if not job_id:
        return {"reason": PENDING_REASON, "message": "Not yet submitted to Slurm"}
    if job is None:
        return {"reason": PENDING_REASON, "message": f"Submitted as Slurm job {job_id}"}
    if job.phase is not JobPhase.PENDING:
        place = f" on {job.nodes}" if job.nodes else ""
        return {"reason": _CREATING, "message": f"Slurm job {job_id} has started{place}; its pod runner prepares"}
    if STARTING & {job.state, *job.flags}:
        return {"reason": PENDING_REASON, "message": f"Pending in Slurm (job {job_id}): its nodes are being started"}
    again = "Requeued" if job.restart_count else "Pending"
    return {"reason": PENDING_REASON, "message": f"{again} in Slurm (job {job_id}): {pending_sentence(job.reason)}"}


def _end_container(container: dict[str, Any], message: str, end: JobEnd, finished_at: str | None) -> None:
    """Write the end that Slurm gave the job over a container that had not terminated by itself."""
    state = container["state"]
    if "terminated" in state:
        if end.reason == "OOMKilled" and state["terminated"].get("exitCode") == end.exit_code:
            state["terminated"]["reason"] = end.reason
        return
    terminated = {
        "exitCode": end.exit_code,
        "reason": end.reason,
        "message": message,
        "startedAt": (state.get("running") or {}).get("startedAt"),
        "finishedAt": finished_at,
    }
    if container.get("containerID"):
        terminated["containerID"] = container["containerID"]
    container.update(state={"terminated": terminated}, ready=False, started=False)


def _end_time(job: JobFacts | None, report: Report | None) -> str | None:
    """Return when the job ended: Slurm's time, else that of the last report."""
    if job is not None and job.end_time is not None:
        return datetime.fromtimestamp(int(job.end_time), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return None if report is None else report.time.split(".", 1)[0].rstrip("Z") + "Z"


def _sentence(end: JobEnd, job: JobFacts | None) -> str:
    """Fill the sentence of an end with what is known of the job."""
    if job is None:
        return end.sentence
    limit, code = job.time_limit_minutes, job.exit_code
    return end.sentence.format(
        by="" if job.cancelled_by is None else f" by the site's user {job.cancelled_by}",
        limit="" if limit is None else f" of {limit} minute{'' if limit == 1 else 's'}",
        nodes=f" {job.nodes}" if job.nodes else "",
        code="" if code is None else f" with exit code {code}",
    )
