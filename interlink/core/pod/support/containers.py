"""The rows of v1.Container and of what it holds: data, read by ``look`` and ``page``."""

from interlink.core.pod.support.model import NEVER, Row, When, only
from interlink.core.pod.support.pods import BOTH_CONTEXTS

_BATCH = "is not possible on a batch site"
#: The runtimes that have images.
_IMAGES = ("apptainer", "enroot", "podman-hpc", "charliecloud")
_OTHER_PORT = When(
    "other than containerPort",
    lambda value, port: bool(value) and value != port.get("containerPort"),
)
_REFERENCE = "missing: waiting, CreateContainerConfigError, until it is there"
_OPTIONAL = "nothing where it is missing"


CONTAINER = (
    Row(field="name", done="a DNS label"),
    Row(field="image", done="pulled once for each digest, into the site's cache; see `ImagePrefix`; straight on the host there is none. Another one while the pod lives: the container is started again with it ([pods.md](pods.md))"),
    Row(field="imagePullPolicy", done="by the cache of the site: Always asks the registry for the digest"),
    Row(field="command", done="takes the place of the image's entrypoint; `$(VAR)` is expanded"),
    Row(field="args", done="likewise, of its arguments"),
    Row(field="workingDir", done="made where the image has it not, as far as the runtime lets it ([runtimes.md](runtimes.md))"),
    Row(field="env", of="EnvVar", done="resolved by the virtual kubelet, in the pod's order; does not change while the pod runs"),
    Row(field="envFrom", of="EnvFromSource", done="before env"),
    Row(field="ports", of="ContainerPort", done="a name for a number, which probes may use: nothing is mapped, and nothing kept free"),
    Row(field="resources", of="ResourceRequirements", done="what the job asks Slurm for, and limits within it ([jobs.md](jobs.md))"),
    Row(field="resizePolicy", ignored="has no effect: a job of Slurm's keeps its size, and so do its containers", when=NEVER),
    Row(field="restartPolicy", elsewhere=True, done="Always, of an init container", refused='container "…": a restartPolicy of its own is not supported; the pod\'s counts'),
    Row(field="restartPolicyRules", since="1.34", refused=f"{_BATCH}: the pod's restartPolicy counts for all exit codes"),
    Row(field="volumeMounts", of="VolumeMount", done="see below"),
    Row(field="volumeDevices", refused=f"{_BATCH}: a claim is a folder of the site, never a device"),
    Row(field="livenessProbe", of="Probe", done="by the pod runner, beside the container"),
    Row(field="readinessProbe", of="Probe", done="likewise"),
    Row(field="startupProbe", of="Probe", done="likewise"),
    Row(field="lifecycle", of="Lifecycle", done="by the pod runner"),
    Row(field="securityContext", of="SecurityContext", done="see below"),
    Row(field="stdin", done="a FIFO in the job's folder"),
    Row(field="stdinOnce", done="closed when its first writer goes"),
    Row(field="tty", done="a pseudo terminal"),
    Row(field="terminationMessagePath", done="read at the container's end, at most 4096 bytes"),
    Row(field="terminationMessagePolicy", done="File, FallbackToLogsOnError"),
)  # fmt: skip

_SECURITY = (
    *BOTH_CONTEXTS,
    Row(field="privileged", refused=_BATCH),
    Row(field="allowPrivilegeEscalation", under=_IMAGES, when=only(False), done="`false` holds, whatever the pod says: nothing is set-user-id in a container", ignored="has no effect straight on the host: set-user-id programs of the compute node work"),
    Row(field="capabilities", of="Capabilities", done="a container has none"),
    Row(field="procMount", ignored="has no effect: /proc is what the site's runtime shows", when=only("Unmasked")),
    Row(field="readOnlyRootFilesystem", under=("apptainer", "podman-hpc"), done="but for /tmp, /var/tmp and HOME, which are in memory", ignored="has no effect under this container runtime: a container can write outside its volumes"),
)  # fmt: skip

_ENVIRONMENT: dict[str, tuple[Row, ...]] = {
    "EnvVar": (
        Row(field="name", done="printable ASCII without `=`, as under a kubelet of 1.34"),
        Row(field="value", done="`$(VAR)` and `$$` as under a kubelet"),
        Row(field="valueFrom", of="EnvVarSource", done="as follows"),
    ),
    "EnvVarSource": (
        Row(field="configMapKeyRef", of="ConfigMapKeySelector", done=_REFERENCE),
        Row(field="secretKeyRef", of="SecretKeySelector", done=_REFERENCE),
        Row(field="fieldRef", of="ObjectFieldSelector", done="the pod's name, namespace, UID, labels, annotations, node, service account; its addresses are those of its compute node, put in there"),
        Row(field="resourceFieldRef", of="ResourceFieldSelector", done="in units of the divisor, rounded up; without a limit, what the virtual node has"),
        Row(field="fileKeyRef", since="1.34", elsewhere=True, refused='container "…": variable … is from fileKeyRef, which is not supported on this node'),
    ),
    "ConfigMapKeySelector": (Row(field="name", done="in the pod's namespace"), Row(field="key", done=_REFERENCE), Row(field="optional", done=_OPTIONAL)),
    "SecretKeySelector": (Row(field="name", done="in the pod's namespace"), Row(field="key", done=_REFERENCE), Row(field="optional", done=_OPTIONAL)),
    "ObjectFieldSelector": (Row(field="apiVersion", done="v1, the only one"), Row(field="fieldPath", done="those of the downward API")),
    "ResourceFieldSelector": (Row(field="containerName", done="empty in env: the container's own"), Row(field="resource", done="limits.… and requests.…"), Row(field="divisor", done="1 where there is none")),
    "EnvFromSource": (
        Row(field="prefix", done="put before each name"),
        Row(field="configMapRef", of="ConfigMapEnvSource", done="all keys that can be a variable's name"),
        Row(field="secretRef", of="SecretEnvSource", done="likewise"),
    ),
    "ConfigMapEnvSource": (Row(field="name", done="in the pod's namespace"), Row(field="optional", done=_OPTIONAL)),
    "SecretEnvSource": (Row(field="name", done="in the pod's namespace"), Row(field="optional", done=_OPTIONAL)),
}  # fmt: skip

CONTAINER_TYPES: dict[str, tuple[Row, ...]] = {
    "Container": CONTAINER,
    "ContainerPort": (
        Row(field="name", done="what a probe may say instead of a number"),
        Row(field="containerPort", done="a port of the compute node, if the container listens there"),
        Row(field="protocol", done="nothing has to be done"),
        Row(field="hostPort", done="the same as containerPort: that is where it is", ignored="has no effect: no port is mapped, the container's own is open on the compute node", when=_OTHER_PORT),
        Row(field="hostIP", ignored="has no effect: which addresses a port is open on, the container says"),
    ),
    "ResourceRequirements": (
        Row(field="limits", elsewhere=True, done="cpu, memory, ephemeral-storage and what `GresMap` has; counts before requests", refused='container "…" asks for … (…), which is not mapped on this site…'),
        Row(field="requests", elsewhere=True, done="likewise", refused='container "…" asks for … (…), which is not mapped on this site…'),
        Row(field="claims", refused=f"{_BATCH}: devices are asked for by their resource (nvidia.com/gpu)"),
    ),
    "SecurityContext": _SECURITY,
    "Capabilities": (
        Row(field="add", refused="is not possible on a batch site: …"),
        Row(field="drop", done="nothing has to be done: there are none"),
    ),
    **_ENVIRONMENT,
}  # fmt: skip
