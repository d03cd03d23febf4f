"""The entries of the configuration's lists and tables (nodes, flavors, namespaces, …), and how a key is declared.

Used by ``model.py``, whose ``Config`` holds them.
"""

from dataclasses import dataclass, field
from typing import Any


def setting(name: str, doc: str, default: Any, env: str = "", section: str = "Every service") -> Any:
    """Declare one key: its YAML name, one sentence, default, environment variable and who reads it."""
    metadata = {"key": name, "doc": doc, "env": env, "section": section}
    if isinstance(default, (dict, list)):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class NodeTaint:
    """One taint of the virtual node (v1.Taint)."""

    key: str = setting("Key", "the taint's key", "")
    value: str = setting("Value", "the taint's value", "")
    effect: str = setting("Effect", "NoSchedule, PreferNoSchedule or NoExecute", "NoSchedule")


@dataclass(frozen=True, kw_only=True)
class AcceleratorConfig:
    """One extended resource of a virtual node, as in today's interLink."""

    resource_type: str = setting("ResourceType", "its name in Kubernetes, as nvidia.com/gpu", "")
    model: str = setting("Model", "a word for people", "")
    available: str = setting("Available", "how many there are", "0")


@dataclass(frozen=True, kw_only=True)
class NodeResources:
    """What the virtual node offers where the site's ping reply does not say, as Kubernetes quantities."""

    cpu: str = setting("CPU", "cores", "1")
    memory: str = setting("Memory", "memory", "1Gi")
    pods: str = setting("Pods", "number of pods", "100")
    accelerators: list[AcceleratorConfig] = setting(
        "Accelerators", "extended resources, each with ResourceType and Available", []
    )


@dataclass(frozen=True, kw_only=True)
class NodeConfig:
    """One of several virtual nodes of one virtual kubelet."""

    partition: str = setting("Partition", "the partition of its pods that name none, and its capacity", "")
    flavor: str = setting("Flavor", "the flavor of its pods that name none; its capacity where Partition is empty", "")
    labels: dict[str, str] = setting("Labels", "labels of this node, beside those of NodeLabels", {})
    taints: list[NodeTaint] | None = setting("Taints", "its taints, in place of NodeTaints; `[]`: none", None)
    resources: NodeResources | None = setting(
        "Resources", "its capacity where the site does not say, in place of Resources", None
    )
    kubelet_port: int | None = setting(
        "KubeletPort",
        "port of its kubelet API; else KubeletPort for the first node, one more for each further one",
        None,
    )


@dataclass(frozen=True, kw_only=True)
class FlavorConfig:
    """One flavor: a named set of what a job asks for."""

    name: str = setting("Name", "a name for people; pods choose it by the key that it stands under", "")
    description: str = setting("Description", "one sentence for the site's users", "")
    cpu_default: int | None = setting("CPUDefault", "cores of a pod none of whose containers asks for any", None)
    memory_default: str = setting(
        "MemoryDefault", "memory of such a pod, as Slurm counts: 16G is 16 GiB; bytes where no unit is said", ""
    )
    uid: int | None = setting("UID", "number of the user whose the job is, where the namespace names none", None)
    slurm_flags: list[str] = setting("SlurmFlags", "sbatch's options, as `--partition=gpu`", [])
    partition: str = setting("Partition", "partition", "")
    account: str = setting("Account", "account", "")
    qos: str = setting("QOS", "QOS", "")
    gres_type: str = setting("GresType", "type of the GPUs that the pod's containers ask for, as a100", "")
    node_selector: dict[str, str] = setting(
        "NodeSelector", "labels that choose this flavor where the pod's node selector has them all", {}
    )
    namespaces: list[str] = setting("Namespaces", "whose pods may have it; empty: everybody's", [])


@dataclass(frozen=True, kw_only=True)
class NamespaceConfig:
    """What the jobs of one namespace are given."""

    partition: str = setting("Partition", "partition, where neither flavor nor pod says another", "")
    account: str = setting("Account", "account, likewise", "")
    qos: str = setting("QOS", "QOS, likewise", "")
    slurm_flags: list[str] = setting("SlurmFlags", "sbatch's options, likewise", [])
    forced: list[str] = setting("Forced", "sbatch's options that its pods cannot change", [])
    flavor: str = setting("Flavor", "the flavor of its pods that name none", "")
    user: str = setting("User", "the user whose its jobs are", "")


DEFAULT_GRES = {"nvidia.com/gpu": "gpu", "amd.com/gpu": "gpu"}


@dataclass(frozen=True, kw_only=True)
class HostPathConfig:
    """A folder of the compute nodes that hostPath volumes may show."""

    path: str = setting("Path", "the folder, or a file or device by itself", "")
    read_only: bool = setting("ReadOnly", "whether pods may only read there", False)


@dataclass(frozen=True, kw_only=True)
class ClaimConfig:
    """Where the PersistentVolumeClaims of some namespaces lie on the compute nodes."""

    namespace: str = setting("Namespace", "name of the namespace, or a pattern as team-*", "*")
    claim: str = setting("Claim", "name of the claim, or a pattern", "*")
    path: str = setting("Path", "the folder, with {namespace}, {claim} and {user} (the job's) in it", "")
    create: bool = setting("Create", "whether it is made, with mode 0700, where it is missing", False)
    read_only: bool = setting("ReadOnly", "whether pods may only read there", False)
