"""The typed model of InterLinkConfig.yaml: every key, its default, its environment variable and what it means.

``load.py`` fills it, ``interlink config reference`` prints it; no other place knows a key's name.
"""

from dataclasses import dataclass, field
from pathlib import Path
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
class NodeResources:
    """What the virtual node offers where the site's ping reply does not say, as Kubernetes quantities."""

    cpu: str = setting("CPU", "cores", "1")
    memory: str = setting("Memory", "memory", "1Gi")
    pods: str = setting("Pods", "number of pods", "100")


DEFAULT_TAINTS = [NodeTaint(key="virtual-node.interlink/no-schedule", value="true", effect="NoSchedule")]
SLURM = "interlink slurm"
API = "interlink api"
VK = "interlink vk"


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings of one service, checked and with their defaults."""

    interlink_url: str = setting(
        "InterlinkURL",
        "where the InterLink API listens and the virtual kubelet finds it: http://HOST or unix:///PATH",
        "http://127.0.0.1",
        "INTERLINKURL",
    )
    interlink_port: int = setting("InterlinkPort", "its port (not for unix://)", 3000, "INTERLINKPORT")
    sidecar_url: str = setting(
        "SidecarURL",
        "where the sidecar listens and the InterLink API finds it: unix:///PATH or http://127.0.0.1",
        "unix:///run/interlink-slurm/slurm.sock",
        "SIDECARURL",
    )
    sidecar_port: int = setting("SidecarPort", "its port (not for unix://)", 4001, "SIDECARPORT")
    verbose_logging: bool = setting("VerboseLogging", "log at debug level", False)
    errors_only_logging: bool = setting("ErrorsOnlyLogging", "log errors only", False)
    request_threads: int = setting(
        "RequestThreads", "requests served at once; each followed log and each long poll holds one", 256
    )

    interlink_token_file: Path | None = setting(
        "InterlinkTokenFile",
        "bearer tokens that callers must show, one a line; required where InterlinkURL is not loopback or unix://",
        None,
        "INTERLINKTOKENFILE",
        API,
    )

    data_root_folder: Path = setting(
        "DataRootFolder", "folder of jobs, logs and images that the compute nodes share", Path("/srv/interlink"),
        "DATAROOTFOLDER", SLURM,
    )  # fmt: skip
    state_folder: Path = setting(
        "StateFolder", "folder of the sidecar's database, on a local disk", Path("/var/lib/interlink"), "", SLURM
    )
    image_prefix: str = setting(
        "ImagePrefix", "put before image names that are neither a path nor have a scheme", "docker://", "", SLURM
    )
    singularity_path: str = setting(
        "SingularityPath", "apptainer or singularity on the compute nodes", "apptainer", "", SLURM
    )
    singularity_default_options: list[str] = setting(
        "SingularityDefaultOptions", "options of every apptainer exec and run", [], "", SLURM
    )
    allow_host_runtime: bool = setting(
        "AllowHostRuntime",
        "whether a pod may run straight on the host (slurm-job.vk.io/container-runtime: none): as the services' own "
        "user, it can then read what they can, other pods' secrets included",
        False,
        "",
        SLURM,
    )
    python_path: str = setting(
        "PythonPath", "Python 3.6 or newer on the compute nodes, for the pod runner", "/usr/bin/python3", "", SLURM
    )
    command_prefix: str = setting(
        "CommandPrefix", "shell lines of the administrator's, run in each job before the pod runner", "", "", SLURM
    )
    job_environment: dict[str, str] = setting(
        "JobEnvironment", "environment variables of every job, beside PATH", {}, "", SLURM
    )
    slurm_partition: str = setting("SlurmPartition", "partition of the jobs; empty: the site's default", "", "", SLURM)
    slurm_account: str = setting("SlurmAccount", "account of the jobs; empty: the user's default", "", "", SLURM)
    default_cpu: str = setting("DefaultCPU", "cores of a container that asks for none", "1", "", SLURM)
    default_memory: str = setting("DefaultMemory", "memory of a container that asks for none", "1Gi", "", SLURM)
    slurm_poll_seconds: float = setting("SlurmPollSeconds", "pause between two looks at all jobs", 1.0, "", SLURM)
    slurm_call_timeout: float = setting(
        "SlurmCallTimeout", "seconds that one call of the controller may take", 15.0, "", SLURM
    )
    max_pods: int = setting("MaxPods", "pods that the site takes at once", 10_000, "", SLURM)

    node_name: str = setting("NodeName", "the virtual node's name", "interlink", "NODENAME", VK)
    vk_token_file: Path | None = setting(
        "VKTokenFile", "bearer token that the virtual kubelet shows to InterLink; read again when it changes", None,
        "VKTOKENFILE", VK,
    )  # fmt: skip
    kubelet_port: int = setting("KubeletPort", "port of the kubelet API (logs)", 10250, "KUBELET_PORT", VK)
    vkubelet_pod_ip: str = setting("PodIP", "address at which kube-apiserver finds it", "", "VKUBELET_POD_IP", VK)
    kubeconfig: Path | None = setting(
        "Kubeconfig", "kubeconfig file; empty: the pod's own service account", None, "KUBECONFIG", VK
    )
    node_labels: dict[str, str] = setting("NodeLabels", "labels of the node, beside type=virtual-kubelet", {}, "", VK)
    node_taints: list[NodeTaint] = setting("NodeTaints", "taints of the node", DEFAULT_TAINTS, "", VK)
    resources: NodeResources = field(
        default_factory=NodeResources,
        metadata={
            "key": "Resources",
            "doc": "capacity where the site's ping does not say",
            "env": "",
            "section": VK,
        },
    )
