"""The pod runner's plan and its report: the two JSON documents between the sidecar and the compute node.

The sidecar writes ``plan.json`` (mode 0600) into the job's folder before it submits; the runner
(``interlink/runner``, standard library only) reads it inside the allocation and answers with reports.
The runner cannot import this module, so the types here are the schema of both sides, and the tests hold it to them.
"""

from typing import Any, Literal

import msgspec

PLAN_VERSION = 1

#: Files of a job's folder; the runner knows the same names.
PLAN_FILE = "plan.json"
REPORT_FILE = "report.json"
BATCH_LOG = "batch.log"
LOGS_FOLDER = "logs"


class PlanFile(msgspec.Struct, kw_only=True, rename="camel"):
    """One file of a ConfigMap or Secret volume: path below the volume, octal mode as int, contents in base64."""

    path: str
    data: str
    mode: int = 0o644


class PlanVolume(msgspec.Struct, kw_only=True, rename="camel"):
    """One volume: an empty directory, or files that the runner writes when the job starts."""

    name: str
    kind: Literal["emptyDir", "files"]
    files: list[PlanFile] = []


class PlanMount(msgspec.Struct, kw_only=True, rename="camel"):
    """Where a container sees a volume, or a file or folder below it (``sub_path``, already checked for ``..``)."""

    volume: str
    mount_path: str
    sub_path: str = ""
    read_only: bool = False


class PlanContainer(msgspec.Struct, kw_only=True, rename="camel"):
    """One container as the runner starts it. ``command`` and ``args`` follow Kubernetes: None keeps the image's own."""

    name: str
    image: str
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    command: list[str] | None = None
    args: list[str] | None = None
    working_dir: str = ""
    #: (name, value) pairs in the pod's order.
    env: list[tuple[str, str]] = []
    mounts: list[PlanMount] = []


class PlanRuntime(msgspec.Struct, kw_only=True, rename="camel"):
    """How containers are started: under apptainer, or (``none``) straight on the host."""

    kind: Literal["apptainer", "none"]
    executable: str = "apptainer"
    options: list[str] = []
    #: Folder of pulled images, shared by the site's jobs.
    image_cache: str = ""


class Plan(msgspec.Struct, kw_only=True, rename="camel"):
    """Everything that the runner needs to know of one pod."""

    version: int = PLAN_VERSION
    namespace: str
    name: str
    uid: str
    #: The job's own folder (plan, logs, volumes), and the site's spool folder for reports; absolute.
    folder: str
    spool: str
    runtime: PlanRuntime
    restart_policy: Literal["Always", "OnFailure", "Never"] = "Always"
    termination_grace_period_seconds: int = 30
    active_deadline_seconds: int | None = None
    volumes: list[PlanVolume] = []
    containers: list[PlanContainer]


class Report(msgspec.Struct, kw_only=True, rename="camel"):
    """The runner's word on its pod: always whole, so that the newest one is all that counts.

    Written to ``<folder>/report.json`` and, by write-then-rename, to ``<spool>/<uid>.<jobId>.<sequence>.json``.
    """

    version: int = PLAN_VERSION
    uid: str
    job_id: str
    #: Grows by one with each report of one job.
    sequence: int
    #: How often Slurm had requeued the job when this run of the runner began (SLURM_RESTART_COUNT).
    restart: int = 0
    #: RFC 3339 with microseconds, UTC.
    time: str
    host_name: str = ""
    host_ip: str = ""
    #: v1.ContainerStatus objects (name, state, lastState, ready, started, restartCount, image, imageID), spec order.
    containers: list[dict[str, Any]]
    #: Pod-level reason and sentence where the runner itself ended the pod (DeadlineExceeded, …).
    reason: str = ""
    message: str = ""
    #: True in the last report: no container of the pod runs any more.
    finished: bool = False
