"""The pod runner's plan and its report: the two JSON documents between the sidecar and the compute node.

The sidecar writes ``plan.json`` (mode 0600) into the job's folder before it submits; the runner
(``interlink/runner``, standard library only) reads it inside the allocation and answers with reports.
The runner cannot import this module, so the types here are the schema of both sides, and the tests hold it to them.
"""

from typing import Any, Literal

import msgspec

from interlink.core.pod.facts import PodFacts
from interlink.wire.messages import ContainerEvent

PLAN_VERSION = 2

#: Files of a job's folder; the runner knows the same names.
PLAN_FILE = "plan.json"
#: Named for its largest part: runners that were started long ago look for it under this name.
UPDATE_FILE = "volumes.json"
REPORT_FILE = "report.json"
BATCH_LOG = "batch.log"
LOGS_FOLDER = "logs"


class PlanFile(msgspec.Struct, kw_only=True, rename="camel"):
    """One file of a ConfigMap or Secret volume: path below the volume, octal mode as int, contents in base64."""

    path: str
    data: str
    mode: int = 0o644


class PlanRoot(msgspec.Struct, kw_only=True, rename="camel"):
    """A folder of the site that the administrator opens to pods; the narrowest one that holds a path counts."""

    path: str
    read_only: bool = False


class PlanVolume(msgspec.Struct, kw_only=True, rename="camel"):
    """One volume: an empty directory, files that the runner writes, or a path of the site that it binds."""

    name: str
    kind: Literal["emptyDir", "files", "path"]
    #: emptyDir: "" or "Memory", the most bytes that it may hold, and that limit in the pod's own words.
    medium: str = ""
    size_limit: int | None = None
    size_text: str = ""
    #: files: what is in it, and whether that stays as it is while the pod runs (an immutable ConfigMap or Secret).
    files: list[PlanFile] = []
    immutable: bool = False
    #: path (hostPath, persistentVolumeClaim): where on the compute node, v1.HostPathVolumeSource.type, and whether
    #: the claim lets nobody write.
    path: str = ""
    path_type: str = ""
    read_only: bool = False
    #: path: where it may lead once its links are followed; and the claim's name, empty for a hostPath. In a claim's
    #: path ``{user}`` stands for the job's user.
    allowed: list[PlanRoot] = []
    claim: str = ""


class PlanImage(msgspec.Struct, kw_only=True, rename="camel"):
    """Another image for a container than its plan names."""

    #: In the pod's own words, which its status repeats.
    said: str
    #: As the runtime takes it; empty where it must not be had, and then why.
    image: str = ""
    refused: str = ""


class PlanUpdate(msgspec.Struct, kw_only=True, rename="camel"):
    """What has changed of a pod since its plan was written, beside that plan; the runner looks for it."""

    #: Newer contents of volumes of kind ``files``.
    volumes: list[PlanVolume]
    #: None: as the plan says.
    active_deadline_seconds: int | None = None
    #: By container, of those whose image is not the plan's (any more).
    images: dict[str, PlanImage] = {}


class PlanMount(msgspec.Struct, kw_only=True, rename="camel"):
    """Where a container sees a volume, or a file or folder below it (``sub_path``, already checked for ``..``)."""

    volume: str
    mount_path: str
    sub_path: str = ""
    read_only: bool = False
    #: v1.MountPropagationMode: "" or None, HostToContainer, Bidirectional.
    propagation: str = ""


class PlanHandler(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """One action of a probe or hook, v1.ProbeHandler and v1.LifecycleHandler; ports are numbers here."""

    kind: Literal["exec", "httpGet", "tcpSocket", "grpc", "sleep"]
    command: list[str] = []
    #: httpGet, tcpSocket, grpc. An empty host is this node, whose network the pod's containers share.
    host: str = ""
    port: int = 0
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    path: str = "/"
    headers: list[tuple[str, str]] = []
    #: grpc: the service's name in the health check request.
    service: str = ""
    seconds: int = 0


class PlanProbe(msgspec.Struct, kw_only=True, rename="camel"):
    """v1.Probe with the API's defaults filled in; seconds."""

    handler: PlanHandler
    initial_delay_seconds: int = 0
    period_seconds: int = 10
    timeout_seconds: int = 1
    success_threshold: int = 1
    failure_threshold: int = 3
    #: None: the pod's own grace period.
    termination_grace_period_seconds: int | None = None


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
    #: "Always" on an init container makes it a sidecar that runs beside all that follow.
    restart_policy: Literal["", "Always"] = ""
    #: Bytes and cores that this container may use; None is no limit of its own.
    memory_limit: int | None = None
    cpu_limit: float | None = None
    #: Whether it asked for GPUs, by their maker: the runtime shows it the node's driver (--nv, --rocm).
    gpu: Literal["", "nvidia", "amd"] = ""
    #: Started across the allocation's nodes and tasks by the plan's ``mpi`` launcher.
    mpi: bool = False
    startup_probe: PlanProbe | None = None
    liveness_probe: PlanProbe | None = None
    readiness_probe: PlanProbe | None = None
    post_start: PlanHandler | None = None
    pre_stop: PlanHandler | None = None
    termination_message_path: str = "/dev/termination-log"
    termination_message_policy: Literal["File", "FallbackToLogsOnError"] = "File"
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    #: Numeric ids of securityContext, already allowed by the site's policy; None is the job's own user.
    run_as_user: int | None = None
    run_as_group: int | None = None
    #: The runner holds it against the image's user, as the kubelet does.
    run_as_non_root: bool = False
    #: Nothing but its volumes (and what lies in memory, as /tmp) can be written, where the runtime can do that.
    read_only_root: bool = False


class PlanCredential(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """One entry of a docker config.json: a name and password, or an identity token. Secret."""

    #: The entry's key: a host, maybe with a port, a path, or ``*`` for a part of its name.
    registry: str
    username: str = ""
    password: str = ""
    token: str = ""


class PlanRuntime(msgspec.Struct, kw_only=True, rename="camel"):
    """How containers are started: under one of the runtimes, or (``none``) straight on the host."""

    kind: Literal["apptainer", "enroot", "podman-hpc", "charliecloud", "none"]
    executable: str = "apptainer"
    options: list[str] = []
    #: Folder of pulled images, shared by the site's jobs.
    image_cache: str = ""
    #: Of the pod's imagePullSecrets, in their order.
    credentials: list[PlanCredential] = []
    #: Registries (host and port) that may be spoken to by plain HTTP.
    insecure_registries: list[str] = []


class PlanNames(msgspec.Struct, kw_only=True, rename="camel"):
    """What the pod says of names: its own, and how others are looked up. The runner puts the node's own beside it."""

    #: Empty: containers see the node's host name.
    hostname: str = ""
    #: Lines for /etc/hosts: an address and its names.
    hosts: list[tuple[str, list[str]]] = []
    #: Whether /etc/resolv.conf is made from the following, and whether the node's own stands before it.
    resolver: bool = False
    with_nodes: bool = True
    nameservers: list[str] = []
    searches: list[str] = []
    #: (name, value); an empty value is none.
    options: list[tuple[str, str]] = []


class PlanMpi(msgspec.Struct, kw_only=True, rename="camel"):
    """How a container with ``mpi`` set is started on every task of the allocation."""

    launcher: Literal["srun", "mpiexec"] = "srun"
    #: The launcher's executable and the flags of mpi-flags, already let through by the site's policy.
    executable: str = "srun"
    flags: list[str] = []


class PlanEgress(msgspec.Struct, kw_only=True, rename="camel"):
    """A way out of a compute node without a route: a SOCKS proxy by ssh through the login node (the Tsocks keys)."""

    login_node: str
    #: Path of libtsocks.so on the compute nodes; empty leaves only the ALL_PROXY variables.
    library: str = ""
    #: Networks (CIDR) that are reached directly.
    local_networks: list[str] = []
    ssh: str = "ssh"
    ssh_options: list[str] = []


class PlanRecord(msgspec.Struct, kw_only=True, rename="camel"):
    """The sidecar's own note in a plan, so that a job is one file: the pod, and when it came (epoch seconds)."""

    pod: PodFacts
    created_at: float


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
    #: Where on the node emptyDirs live, with the job's variables in it ($TMPDIR); empty: in the job's folder.
    scratch: str = ""
    #: Folders of the sidecar's own that no volume may show; empty: the one that holds ``folder`` and ``spool``.
    protected: list[str] = []
    #: Run one after another, each to its end (or, with restart_policy Always, until it has started), before the rest.
    init_containers: list[PlanContainer] = []
    containers: list[PlanContainer]
    names: PlanNames | None = None
    #: What stands for the node's address in the containers' environments, command lines and sub-paths.
    address_token: str = ""
    mpi: PlanMpi | None = None
    egress: PlanEgress | None = None
    #: A container's log goes on in NAME.log.1, NAME.log.2 … when a file is this large; so many full ones are kept.
    log_max_bytes: int = 10 * 1024**2
    log_files: int = 5
    #: What the sidecar builds a lost row of its database from; nothing to the runner.
    record: PlanRecord | None = None


class ReportBackOff(msgspec.Struct, kw_only=True, rename="camel"):
    """The restart back-off of one container, so that a requeued job goes on with it."""

    #: Seconds of the pause that the container's next end brings.
    pause: float
    #: When the present pause is over, in seconds since the epoch.
    until: float


class ReportAsked(msgspec.Struct, kw_only=True, rename="camel"):
    """That Slurm, and not the pod's deletion or deadline, asked the runner to end; what that was about, core says."""

    #: Epoch seconds.
    at: float
    #: When the job's time limit was to end it, as Slurm said at the job's start; None where it did not.
    limit_at: float | None = None
    #: The pod's own grace period in seconds.
    grace: float = 0


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
    init_containers: list[dict[str, Any]] = []
    #: By container, in the pod's own words: the image of its present or next run, where that is not the plan's.
    images: dict[str, str] = {}
    #: By container, of those that were restarted.
    back_off: dict[str, ReportBackOff] = {}
    #: Containers that ended because Slurm asked the runner to end, and not by the pod's own deletion or deadline: if
    #: the job is requeued they run again, whatever exit code they found for themselves.
    interrupted: list[str] = []
    asked: ReportAsked | None = None
    #: None: a runner that does not tell, of a job that began before this program was brought up to date.
    container_events: list[ContainerEvent] | None = None
    #: Pod-level reason and sentence where the runner itself ended the pod (DeadlineExceeded, …).
    reason: str = ""
    message: str = ""
    #: True in the last report: no container of the pod runs any more.
    finished: bool = False
