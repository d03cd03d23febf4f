"""The part of v1.Pod that the edge acts upon, typed; everything else of a pod is ignored when it is read.

Field names are those of the Kubernetes API (core/v1). Lists and maps may be ``null``, as Go writes empty ones.
"""

from typing import Any

import msgspec


class ObjectMeta(msgspec.Struct, kw_only=True):
    """v1.ObjectMeta."""

    name: str
    uid: str
    namespace: str = "default"
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    deletionTimestamp: str | None = None
    deletionGracePeriodSeconds: int | None = None


class EnvVar(msgspec.Struct, kw_only=True):
    """v1.EnvVar with its value resolved: the virtual kubelet sends no references."""

    name: str
    value: str = ""


class VolumeMount(msgspec.Struct, kw_only=True):
    """v1.VolumeMount."""

    name: str
    mountPath: str
    readOnly: bool = False
    subPath: str = ""
    subPathExpr: str = ""
    mountPropagation: str | None = None


class ResourceRequirements(msgspec.Struct, kw_only=True):
    """v1.ResourceRequirements: quantities by resource name (a quantity may be written as a number)."""

    limits: dict[str, str | int | float] | None = None
    requests: dict[str, str | int | float] | None = None


class ContainerPort(msgspec.Struct, kw_only=True):
    """v1.ContainerPort: what a probe may name instead of a number."""

    containerPort: int
    name: str = ""
    protocol: str = "TCP"


class Capabilities(msgspec.Struct, kw_only=True):
    """v1.Capabilities."""

    add: list[str] | None = None


class SecurityContext(msgspec.Struct, kw_only=True):
    """v1.SecurityContext and v1.PodSecurityContext: what of them would give a container more than it gets here."""

    privileged: bool | None = None
    runAsUser: int | None = None
    runAsGroup: int | None = None
    runAsNonRoot: bool | None = None
    fsGroup: int | None = None
    supplementalGroups: list[int] | None = None
    capabilities: Capabilities | None = None
    readOnlyRootFilesystem: bool | None = None


class Container(msgspec.Struct, kw_only=True):
    """v1.Container."""

    name: str
    image: str = ""
    imagePullPolicy: str = ""
    command: list[str] | None = None
    args: list[str] | None = None
    workingDir: str = ""
    env: list[EnvVar] | None = None
    resources: ResourceRequirements = msgspec.field(default_factory=ResourceRequirements)
    volumeMounts: list[VolumeMount] | None = None
    restartPolicy: str | None = None
    livenessProbe: dict[str, Any] | None = None
    readinessProbe: dict[str, Any] | None = None
    startupProbe: dict[str, Any] | None = None
    lifecycle: dict[str, Any] | None = None
    securityContext: SecurityContext | None = None
    terminationMessagePath: str = "/dev/termination-log"
    terminationMessagePolicy: str = "File"
    ports: list[ContainerPort] | None = None
    stdin: bool = False
    stdinOnce: bool = False
    tty: bool = False


class HostAlias(msgspec.Struct, kw_only=True):
    """v1.HostAlias."""

    ip: str
    hostnames: list[str] | None = None


class PodDNSConfigOption(msgspec.Struct, kw_only=True):
    """v1.PodDNSConfigOption."""

    name: str = ""
    value: str | None = None


class PodDNSConfig(msgspec.Struct, kw_only=True):
    """v1.PodDNSConfig."""

    nameservers: list[str] | None = None
    searches: list[str] | None = None
    options: list[PodDNSConfigOption] | None = None


class PodSpec(msgspec.Struct, kw_only=True):
    """v1.PodSpec. A volume stays a plain object: its one key beside ``name`` says its type."""

    containers: list[Container]
    initContainers: list[Container] | None = None
    volumes: list[dict[str, Any]] | None = None
    restartPolicy: str = "Always"
    nodeName: str = ""
    nodeSelector: dict[str, str] | None = None
    terminationGracePeriodSeconds: int | None = None
    activeDeadlineSeconds: int | None = None
    overhead: dict[str, str | int | float] | None = None
    #: The whole pod's, beside those of its containers (Kubernetes 1.32 and later).
    resources: ResourceRequirements | None = None
    securityContext: SecurityContext | None = None
    #: v1.LocalObjectReference each.
    imagePullSecrets: list[dict[str, Any]] | None = None
    hostname: str = ""
    hostnameOverride: str = ""
    hostAliases: list[HostAlias] | None = None
    dnsPolicy: str = ""
    dnsConfig: PodDNSConfig | None = None
    hostPID: bool = False
    hostIPC: bool = False


class Pod(msgspec.Struct, kw_only=True):
    """v1.Pod as far as a sidecar reads it."""

    metadata: ObjectMeta
    spec: PodSpec = msgspec.field(default_factory=lambda: PodSpec(containers=[]))

    @property
    def uid(self) -> str:
        """The pod's UID, the key of everything."""
        return self.metadata.uid

    @property
    def all_containers(self) -> list[Container]:
        """Init containers, then containers, in the pod's order."""
        return [*(self.spec.initContainers or ()), *self.spec.containers]

    def annotation(self, key: str, default: str = "") -> str:
        """Return the annotation's value, or ``default`` where there is none."""
        return (self.metadata.annotations or {}).get(key, default)

    def __str__(self) -> str:
        """``namespace/name (uid)``, as every log line and error names a pod."""
        return f"{self.metadata.namespace}/{self.metadata.name} ({self.metadata.uid})"
