"""The messages of the InterLink protocol and their JSON: what every part says to every other, and nothing else.

Read by the virtual kubelet, the InterLink API and the sidecars; does no I/O. Go's empty slices arrive as ``null``,
so every list that a peer may send is optional here. Unknown fields are ignored, as Kubernetes' own decoders do.
"""

from typing import Any, Literal

import msgspec

from interlink.wire.pod import Pod

#: Capability names that a plugin and InterLink advertise in their ping reply (our extensions of the protocol).
EXTENSION_CHANGES = "changes"
#: ``POST /update``: the create request again, with newer contents of the volumes of a pod that runs, and with its
#: activeDeadlineSeconds and images, which the API lets change; all else of the pod stays as created.
EXTENSION_UPDATE = "update"
#: ``/getLogs`` knows ``LogOptions.Stream``; where a plugin does not, both streams would come.
EXTENSION_STREAMS = "log-streams"
#: Where a pod's own address is asked for (status.podIP and its kin), which nobody knows before its job has a node, the
#: plugin takes ``address_token`` in its place: in a container's environment, command line and sub-paths.
EXTENSION_ADDRESS = "address"
#: ``POST /batch``: several calls in one request (``batch.py``).
EXTENSION_BATCH = "batch"

#: Annotation by which a virtual kubelet tells a plugin whose pod it is: the UID of its cluster's kube-system namespace.
CLUSTER_ANNOTATION = "interlink.io/cluster"
#: Annotations by which it tells for which partition or flavor the pod's node stands (docs/jobs.md says how they count).
NODE_PARTITION_ANNOTATION = "interlink.io/node-partition"
NODE_FLAVOR_ANNOTATION = "interlink.io/node-flavor"


def address_token(uid: str) -> str:
    """Return what stands for the address of the node that the pod's job will have."""
    return f"INTERLINK-ADDRESS-{uid}"


class PodCreateRequest(msgspec.Struct, kw_only=True):
    """What the virtual kubelet posts to InterLink's ``/create``; the pod stays the bytes that came, to be passed on."""

    pod: msgspec.Raw
    configmaps: list[dict[str, Any]] | None = None
    secrets: list[dict[str, Any]] | None = None
    projectedvolumesmaps: list[dict[str, Any]] | None = None
    jobscriptURL: str = ""
    #: Ours: the v1.Secrets that imagePullSecrets names (kubernetes.io/dockerconfigjson, or the older dockercfg).
    imagePullSecrets: list[dict[str, Any]] | None = None


class RetrievedContainer(msgspec.Struct, kw_only=True):
    """One container's share of the gathered volumes; init containers come first in the list."""

    name: str
    configMaps: list[dict[str, Any]] | None = None
    projectedvolumemaps: list[dict[str, Any]] | None = None
    secrets: list[dict[str, Any]] | None = None
    emptyDirs: list[str] | None = None


class RetrievedPodData(msgspec.Struct, kw_only=True):
    """What InterLink posts to a plugin's ``/create``: one object."""

    pod: Pod
    container: list[RetrievedContainer] | None = None
    jobConfig: dict[str, Any] = {}
    jobScript: str = ""
    #: Ours: as in PodCreateRequest.
    imagePullSecrets: list[dict[str, Any]] | None = None
    #: v1.PodSpec as it came, with the fields that ``pod`` has no type for. Never sent: the sidecar's app puts it there.
    written: dict[str, Any] = {}


class WrittenPod(msgspec.Struct, kw_only=True):
    """A v1.Pod whose spec stays the plain JSON that it is."""

    spec: dict[str, Any]


class WrittenPodData(msgspec.Struct, kw_only=True):
    """RetrievedPodData, read for its pod's spec alone."""

    pod: WrittenPod


class CreateReply(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A plugin's answer to ``/create``: a single object, whose PodUID is the pod's own."""

    PodUID: str
    PodJID: str
    #: Ours: a sentence for the pod's author for each of its fields that the plugin does not carry out.
    warnings: list[str] = []


class SiteEvent(msgspec.Struct, kw_only=True):
    """What the site says of the pod now; the virtual kubelet writes one v1.Event for each new ``key`` of a pod."""

    key: str
    type: Literal["Normal", "Warning"] = "Normal"
    reason: str
    message: str


class ContainerEvent(msgspec.Struct, kw_only=True):
    """What happened to a container that its status does not show: a failed probe or hook, a kill, a pull.

    Counted by whoever saw it, from the container's first run on: the virtual kubelet writes v1.Events for what was
    added to ``count`` since it last looked, with the words of the last time.
    """

    container: str
    #: What is counted: the reason, or a part of what has it (``Unhealthy/readiness``).
    key: str
    type: Literal["Normal", "Warning"] = "Normal"
    reason: str
    message: str
    count: int = 1


class PodStatus(msgspec.Struct, kw_only=True):
    """One pod's status. ``containers`` and ``initContainers`` are v1.ContainerStatus objects, always all of them.

    The fields after ``initContainers`` are ours: a peer that does not know them ignores them.
    """

    name: str
    UID: str
    namespace: str
    JID: str = ""
    containers: list[dict[str, Any]] = []
    initContainers: list[dict[str, Any]] = []
    #: Pod-level reason and sentence (v1.PodStatus.reason and .message), where the job's end has one.
    reason: str = ""
    message: str = ""
    #: The virtual kubelet's cluster, as its CLUSTER_ANNOTATION said, and the node that the pod is bound to.
    cluster: str = ""
    node: str = ""
    #: The compute node's address, once the job runs.
    hostIP: str = ""
    #: True once nothing of the pod runs or can start any more: only then may the pod object be removed.
    ended: bool = False
    #: The site took the pod's node from it (a lost node, a preemption): v1.PodCondition DisruptionTarget.
    disrupted: bool = False
    event: SiteEvent | None = None
    #: None: the plugin does not tell, and what can be read of the containers' statuses is all that is known.
    containerEvents: list[ContainerEvent] | None = None


class Changes(msgspec.Struct, kw_only=True):
    """The reply to ``GET /changes``: the statuses that changed after the cursor that was asked for."""

    cursor: str
    statuses: list[PodStatus]


class LogOptions(msgspec.Struct, kw_only=True):
    """v1.PodLogOptions in the protocol's spelling; 0 (or Go's zero time) stands for "not set"."""

    Tail: int = 0
    Bytes: int = 0
    LimitBytes: int = 0
    Timestamps: bool = False
    Follow: bool = False
    Previous: bool = False
    SinceSeconds: int = 0
    SinceTime: str = "0001-01-01T00:00:00Z"
    #: Ours: Stdout or Stderr for one of the streams alone; empty, or All: both.
    Stream: str = ""
    #: Ours: nothing of what is there by now, as tailLines=0 says. SinceTime stands beside it for peers that do not know
    #: it, and counts for nothing to those that do.
    FromEnd: bool = False


class LogRequest(msgspec.Struct, kw_only=True):
    """What is posted to ``/getLogs``."""

    Namespace: str
    PodUID: str
    PodName: str
    ContainerName: str
    Opts: LogOptions = msgspec.field(default_factory=LogOptions)


class Accelerator(msgspec.Struct, kw_only=True):
    """One extended resource of the site, as ``nvidia.com/gpu``."""

    resourceType: str
    available: str


class Resources(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The site's total capacity, as Kubernetes quantities."""

    cpu: str | None = None
    memory: str | None = None
    pods: str | None = None
    accelerators: list[Accelerator] | None = None


class Taint(msgspec.Struct, kw_only=True):
    """v1.Taint."""

    key: str
    effect: str
    value: str = ""


class PingReply(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A plugin's word about itself. Absent ``taints`` means unchanged, an empty list clears the plugin's own."""

    status: str = "ok"
    resources: Resources | None = None
    #: Ours: what those partitions and flavors have that the ping asked about (``?partition=gpu&flavor=large``).
    partitions: dict[str, Resources] | None = None
    flavors: dict[str, Resources] | None = None
    taints: list[Taint] | None = None
    extensions: list[str] | None = None
