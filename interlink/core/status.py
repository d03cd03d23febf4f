"""Slurm's side and the pod runner's side of one pod, merged into the status that goes to Kubernetes.

Pure, and the only place where a container's state is made up: the runner's word counts for what happened inside the
job, Slurm's for whether there is a job. Called by the sidecar for each pod whose job or report changed.
"""

import re
from datetime import UTC, datetime
from functools import partial
from typing import Any

from interlink.core.job.facts import JobFacts
from interlink.core.job.states import STANDSTILLS, JobEnd, JobPhase, job_end
from interlink.core.job.waiting import waiting
from interlink.core.plan import Report, ReportAsked
from interlink.core.pod.facts import Containers, PodFacts
from interlink.core.rerun import has_succeeded, held_back, run_again
from interlink.wire.messages import ContainerEvent, PodStatus, SiteEvent

#: Slurm's warning comes so many seconds, and the pod's grace period, before a job's time limit at most: our margin, and
#: the minute by which Slurm may be early (sbatch's manual on --signal), rounded up.
WARNED_SECONDS = 120
#: How many kinds of events a runner counts for one container at most: three probes that fail or warn, two hooks, kills
#: and pulls.
EVENT_KINDS = 10
#: Slurm's reason for a batch script that a signal ended, as ``RaisedSignal:9(Killed)``.
_RAISED = re.compile(r"RaisedSignal:([0-9]+)")
_LOST = JobEnd("JobLost", "is unknown to Slurm, and its pod runner reported no end", ordinary=True)


def pod_status(  # noqa: PLR0913 - one fact each, and given by name
    pod: PodFacts, *, job_id: str, job: JobFacts | None, report: Report | None, lost: bool = False, settled: bool = True
) -> PodStatus:
    """Return the pod's status: all containers, in the pod's order.

    ``job_id`` is empty before the submit. ``job`` None says that nothing is known of the job now; with ``lost``, that
    Slurm was asked and has no such job. ``settled`` False: the job is over in Slurm, but its last report may still be
    on its way. Then, and while Slurm still clears the job away, the pod has not ended.
    """
    if report is not None and report.job_id != job_id:
        report = None  # of another job, which the pod was found to have had before
    waits, event = waiting(job_id, job)
    earlier = report is not None and job is not None and _runs_again(report, job)
    images = report.images if report else {}
    status = PodStatus(
        name=pod.name,
        UID=pod.uid,
        namespace=pod.namespace,
        JID=job_id,
        cluster=pod.cluster,
        node=pod.node,
        containers=_containers(pod.containers, report.containers if report else [], waits, images),
        initContainers=_containers(pod.init_containers, report.init_containers if report else [], waits, images),
        event=event,
    )
    over = lost or (job is not None and job.phase is JobPhase.ENDED)
    if report is not None:
        status.containerEvents = _container_events(pod, report)
        follow = partial(_follow, pod, report, waits, earlier=earlier, over=over)
        status.containers = [follow(item) for item in status.containers]
        status.initContainers = [follow(item) for item in status.initContainers]
    if earlier:
        report = None
    elif report is not None:
        status.hostIP, status.reason, status.message = report.host_ip, report.reason, report.message
        status.event = None if job is None else _suspension(job)
        if status.event is not None:
            for container in (*status.containers, *status.initContainers):
                container["ready"] = container["ready"] and "running" not in container["state"]
    if over and settled:
        _end(status, job, report, lost=lost)
    return status


def _follow(  # noqa: PLR0913 - one fact each
    pod: PodFacts, report: Report, waits: dict[str, str], container: dict[str, Any], *, earlier: bool, over: bool
) -> dict[str, Any]:
    """Return the container's status with what a requeue makes of it, or may make of it while the job is not over."""
    succeeded = has_succeeded(container, pod.restart_policy)
    interrupted = container["name"] in report.interrupted
    if earlier and not (succeeded and not interrupted):
        return run_again(container, waits, report.job_id)
    return held_back(container) if succeeded and interrupted and not over else container


def _container_events(pod: PodFacts, report: Report) -> list[ContainerEvent] | None:
    """Return what the runner says has happened to the pod's containers, and no more of it than it has kinds."""
    if report.container_events is None:
        return None
    names = {name for name, _ in (*pod.containers, *pod.init_containers)}
    told = [event for event in report.container_events if event.container in names and event.count > 0]
    return told[: EVENT_KINDS * len(names)]


def _end(status: PodStatus, job: JobFacts | None, report: Report | None, *, lost: bool) -> None:
    """Write the job's end into the status of its pod."""
    status.ended, status.event = True, None
    end = _LOST if job is None or lost else job_end(job.state)
    finished = report is not None and report.finished
    if not status.reason and not (finished and end.ordinary):
        status.reason, status.disrupted = end.reason, end.disruption
        status.message = f"Slurm job {status.JID} {_sentence(end, job)}"
    elif not status.reason and report is not None and report.asked is not None:
        _explain_request(status, job, report.asked)
    for container in (*status.containers, *status.initContainers):
        if finished and end.ordinary and "waiting" in container["state"]:
            continue  # the runner never started it: an init container failed before
        _end_container(container, status.message, end, _end_time(job, report))
    if status.reason:
        status.event = SiteEvent(key=status.reason, type="Warning", reason=status.reason, message=status.message)


def _has_failed(status: PodStatus) -> bool:
    """Whether a container has ended with another exit code than 0."""
    states = (container["state"].get("terminated") or {} for container in status.containers)
    return any(state.get("exitCode") for state in states)


def _explain_request(status: PodStatus, job: JobFacts | None, asked: ReportAsked) -> None:
    """Write why a pod ended that Slurm asked to end by SIGTERM, which can mean several things.

    A pod out of time has failed, whatever its containers made of it; asked for another reason it may have succeeded.
    The limit is the one that the job has in the end: an administrator may have changed it.
    """
    limit = None if job is None else job.time_limit_minutes
    limit_at = asked.limit_at
    if job is not None and job.start_time is not None and limit:
        limit_at = job.start_time + 60 * limit
    if limit_at is not None and asked.at >= limit_at - asked.grace - WARNED_SECONDS:
        known = f" of {_minutes(limit)}" if limit else ""
        status.reason = "DeadlineExceeded"
        status.message = f"Slurm job {status.JID} was about to reach its time limit{known}"
    elif _has_failed(status):
        status.reason = "Terminated"
        status.message = (
            f"Slurm asked job {status.JID} to end before its time (SIGTERM, as `scancel --signal` sends it)"
        )


def _containers(
    names: Containers, said: list[dict[str, Any]], waits: dict[str, str], images: dict[str, str]
) -> list[dict[str, Any]]:
    """Return a v1.ContainerStatus for each container: the runner's where it sent one, else waiting.

    What is inside them is the report's own, and nobody changes it: copies of it took half of a tick of the spool.
    """
    reported = {item["name"]: item for item in said if _is_status(item)}
    fresh = {"lastState": {}, "ready": False, "started": False, "restartCount": 0, "imageID": ""}
    return [
        {**fresh, "state": {"waiting": waits}, **reported.get(name, {}), "name": name, "image": images.get(name, image)}
        for name, image in names
    ]


def _runs_again(report: Report, job: JobFacts) -> bool:
    """Whether the report is of a run that Slurm has ended to run the job again."""
    return report.restart < job.restart_count or (job.requeued and report.restart == job.restart_count)


def _suspension(job: JobFacts) -> SiteEvent | None:
    """Return what there is to say of a job whose processes stand still: nothing answers there, so nothing is ready."""
    if not STANDSTILLS & {job.state, *job.flags}:
        return None
    words = f"Slurm job {job.job_id} is suspended: its processes stand still until it is resumed"
    return SiteEvent(key="Suspended", type="Warning", reason="Suspended", message=words)


def _is_status(item: dict[str, Any]) -> bool:
    """Whether a reported item can be a v1.ContainerStatus; one that cannot must not spoil the statuses of others."""
    state = item.get("state")
    if not isinstance(item.get("name"), str) or not isinstance(state, dict) or len(state) != 1:
        return False
    ((kind, value),) = state.items()
    return kind in ("waiting", "running", "terminated") and isinstance(value, dict)


def _end_container(container: dict[str, Any], message: str, end: JobEnd, finished_at: str | None) -> None:
    """Write the end that Slurm gave the job over a container that had not terminated by itself."""
    state = container["state"]
    if "terminated" in state:
        if end.reason == "OOMKilled" and state["terminated"].get("exitCode") == end.exit_code:
            container["state"] = {"terminated": {**state["terminated"], "reason": end.reason}}
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
    raised = _RAISED.match(job.reason)
    ended = "" if code is None else f" with exit code {code}"
    return end.sentence.format(
        by="" if job.cancelled_by is None else f" by the site's user {job.cancelled_by}",
        limit="" if limit is None else f" of {_minutes(limit)}",
        nodes=f" {job.nodes}" if job.nodes else "",
        code=f" by signal {raised[1]}" if raised else ended,
    )


def _minutes(number: int) -> str:
    return f"{number} minute{'' if number == 1 else 's'}"
