"""The rows of v1.PodSpec and of what only it holds: data, read by ``look`` and ``page``."""

from interlink.core.pod.support.model import Row, only, other_than

_HERE = "has no effect under this container runtime: names are looked up as on the compute node"
_HOSTNAME = "has no effect under this container runtime: containers see the compute node's host name"
#: The runtimes under which a pod has names of its own; seen with apptainer 1.4.5.
NAMING = ("apptainer",)
_BATCH = "is not possible on a batch site"
_RESTRICTED = "RuntimeDefault and Unconfined are the same here: a container has the rights of the job's user, and can get no others"

_PLACING = (
    Row(field="affinity", cluster=True, done="by the scheduler, which chooses among nodes of the cluster; on which compute node a pod runs, Slurm chooses"),
    Row(field="nodeName", cluster=True, done="the virtual node; a pod that names it itself skips the scheduler"),
    Row(field="nodeSelector", done="by the scheduler; `slurm-job.vk.io/…`, GPU models and flavors are read by the site, too ([jobs.md](jobs.md))"),
    Row(field="preemptionPolicy", cluster=True, done="by the scheduler; Slurm preempts by its own rules"),
    Row(field="priority", cluster=True, done="by the scheduler; Slurm orders its queue by its own rules (QOS, partition)"),
    Row(field="priorityClassName", cluster=True, done="as `priority`"),
    Row(field="schedulerName", cluster=True, done="which scheduler binds the pod"),
    Row(field="schedulingGates", cluster=True, done="by the scheduler: the pod comes to no node before they are gone"),
    Row(field="schedulingGroup", since="1.36", ignored="binds the pods together and no more: each is a Slurm job of its own, which starts when its turn comes"),
    Row(field="workloadRef", since="1.35", until="1.35", ignored="binds the pods together and no more: each is a Slurm job of its own, which starts when its turn comes"),
    Row(field="tolerations", cluster=True, done="by the scheduler and the controller manager"),
    Row(field="topologySpreadConstraints", cluster=True, done="as `affinity`"),
    Row(field="evictionResponders", since="1.37", cluster=True, done="by whoever evicts"),
)  # fmt: skip

_LIFE = (
    Row(field="activeDeadlineSeconds", done="the job's `--time`, and the pod runner's own deadline: Failed, DeadlineExceeded; one that is set or shortened while the pod lives counts, too ([pods.md](pods.md))"),
    Row(field="restartPolicy", done="by the pod runner, with a kubelet's back-off, within the job; Slurm requeues no job of a pod with Never"),
    Row(field="terminationGracePeriodSeconds", done="between SIGTERM and SIGKILL; also at the deadline and at Slurm's walltime warning"),
    Row(field="readinessGates", of="PodReadinessGate", done="Ready waits for these conditions"),
    Row(field="runtimeClassName", ignored="has no effect beside its overhead and its scheduling: the site's own container runtime starts the pod"),
    Row(field="os", of="PodOS", done="must be Linux"),
)  # fmt: skip

_PARTS = (
    Row(field="containers", of="Container", done="processes of one Slurm job"),
    Row(field="initContainers", of="Container", done="one after another; restartPolicy Always makes a sidecar"),
    Row(field="ephemeralContainers", ignored="is not possible on a batch site: none of them is started"),
    Row(field="volumes", of="Volume", done="see below"),
    Row(field="imagePullSecrets", of="LocalObjectReference", done="sent with the pod; an image is pulled with those that fit its registry"),
    Row(field="serviceAccount", done="the old name of `serviceAccountName`"),
    Row(field="serviceAccountName", done="whose tokens the pod gets"),
    Row(field="automountServiceAccountToken", cluster=True, done="admission adds the volume, or does not"),
    Row(field="enableServiceLinks", done="variables of the namespace's Services and of kube-apiserver, or of the latter alone ([pods.md](pods.md))"),
    Row(field="overhead", done="on top of what the containers ask for"),
    Row(field="resources", of="PodResources", done="the job's: a limit takes the place of the containers' sum, a request where it is larger"),
    Row(field="resourceClaims", refused=f"{_BATCH}: devices are asked for by their resource (nvidia.com/gpu)"),
)  # fmt: skip

_SHARED = (
    Row(field="dnsConfig", of="PodDNSConfig", under=NAMING, done="put into the container's /etc/resolv.conf behind what the compute node's has", ignored=_HERE),
    Row(field="dnsPolicy", under=NAMING, done="Default: as on the compute node; None: as dnsConfig says, and nothing else. ClusterFirst is Default here, because compute nodes do not reach the cluster's DNS; kube-apiserver writes it into every pod, so there is no event", ignored=_HERE, when=only("None")),
    Row(field="hostAliases", of="HostAlias", under=NAMING, done="put into the container's /etc/hosts behind what the compute node's has", refused="is not possible under this container runtime: /etc/hosts is the compute node's"),
    Row(field="hostIPC", refused=_BATCH),
    Row(field="hostPID", refused=_BATCH),
    Row(field="hostNetwork", done="every pod is in the compute node's network, whatever it says"),
    Row(field="hostUsers", done="no container is root on the node, whatever it says; under apptainer a container has a user namespace where the node lets it"),
    Row(field="hostname", under=NAMING, done="the host name of its containers, and a line of their /etc/hosts; a pod that says none sees the compute node's; DNS records are the cluster's", ignored=_HOSTNAME),
    Row(field="hostnameOverride", since="1.34", under=NAMING, done="takes the place of hostname", ignored=_HOSTNAME),
    Row(field="setHostnameAsFQDN", ignored="has no effect: the cluster's domain is not known on compute nodes"),
    Row(field="subdomain", cluster=True, done="the DNS record of a headless Service, by the cluster; the pod's address is its compute node's"),
    Row(field="shareProcessNamespace", refused=f"{_BATCH}: no container sees the processes of another"),
    Row(field="securityContext", of="PodSecurityContext", done="see below"),
)  # fmt: skip

POD_SPEC = (*_PARTS, *_LIFE, *_PLACING, *_SHARED)

_WINDOWS = "has no effect: this node is Linux"
_SELINUX = "has no effect: labels are the site's"
_NOT_ITS_USER = "must be what the job has ([identity.md](identity.md))"

_CONTEXTS = {
    "runAsUser": Row(field="runAsUser", elsewhere=True, done=f"{_NOT_ITS_USER}; a site may let pods choose", refused="…: runAsUser … is not possible…"),
    "runAsGroup": Row(field="runAsGroup", elsewhere=True, done=_NOT_ITS_USER, refused="…: runAsGroup … is not possible: the job's group is that of …"),
    "runAsNonRoot": Row(field="runAsNonRoot", done="a kubelet's check of the image's user: CreateContainerConfigError ([runtimes.md](runtimes.md))"),
    "seLinuxOptions": Row(field="seLinuxOptions", ignored=_SELINUX),
    "seccompProfile": Row(field="seccompProfile", of="SeccompProfile", done="as the site's runtime does it by default: apptainer loads no filter"),
    "appArmorProfile": Row(field="appArmorProfile", of="AppArmorProfile", done="likewise: apptainer sets no profile"),
    "windowsOptions": Row(field="windowsOptions", ignored=_WINDOWS),
}  # fmt: skip
#: The rows that v1.PodSecurityContext and v1.SecurityContext have alike.
BOTH_CONTEXTS = tuple(_CONTEXTS.values())

POD_TYPES: dict[str, tuple[Row, ...]] = {
    "PodSpec": POD_SPEC,
    "PodOS": (Row(field="name", refused="is not possible: this node runs Linux", when=other_than("linux", "")),),
    "PodReadinessGate": (Row(field="conditionType", done="whoever sets that condition lets the pod be ready"),),
    "PodDNSConfig": (
        Row(field="nameservers", done="addresses; the C library reads the first three"),
        Row(field="searches", done="as they are"),
        Row(field="options", of="PodDNSConfigOption", done="takes the place of the node's of that name"),
    ),
    "PodDNSConfigOption": (Row(field="name", done="one word"), Row(field="value", done="one word, or none")),
    "HostAlias": (Row(field="ip", done="an address"), Row(field="hostnames", done="all of them, in one line")),
    "LocalObjectReference": (Row(field="name", done="one that is not there is no error, as under a kubelet"),),
    "PodResources": (
        Row(field="limits", elsewhere=True, done="cpu and memory of the whole job; counts before requests", refused="the pod asks for … (…), which is not mapped on this site…"),
        Row(field="requests", elsewhere=True, done="cpu and memory of the whole job, if that is more than its containers' sum", refused="the pod asks for … (…), which is not mapped on this site…"),
        Row(field="claims", refused=f"{_BATCH}: devices are asked for by their resource (nvidia.com/gpu)"),
    ),
    "PodSecurityContext": (
        *BOTH_CONTEXTS,
        Row(field="fsGroup", done="nothing has to be done: every volume is the job's user's, and so is every process"),
        Row(field="fsGroupChangePolicy", done="as `fsGroup`"),
        Row(field="supplementalGroups", elsewhere=True, done="must be groups of the job's user", refused="…: supplementalGroups …: … is not in that group…"),
        Row(field="supplementalGroupsPolicy", done="a process has the groups of the job's user, which is `Strict`; what the image says of groups never counts"),
        Row(field="seLinuxChangePolicy", ignored=_SELINUX),
        Row(field="sysctls", refused=f"{_BATCH}: the kernel's settings are the compute node's"),
    ),
    "SeccompProfile": (
        Row(field="type", refused="is not possible: compute nodes have none of the pod's profiles", when=only("Localhost"), done=_RESTRICTED),
        Row(field="localhostProfile", done="as its type"),
    ),
    "AppArmorProfile": (
        Row(field="type", refused="is not possible: compute nodes have none of the pod's profiles", when=only("Localhost"), done=_RESTRICTED),
        Row(field="localhostProfile", done="as its type"),
    ),
}  # fmt: skip
