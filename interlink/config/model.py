"""The typed model of InterLinkConfig.yaml: every key, its default, its environment variable and what it means.

``load.py`` fills it, ``interlink config reference`` prints it; no other place knows a key's name.
"""

from dataclasses import dataclass, field
from pathlib import Path

from interlink.config.entries import (
    DEFAULT_GRES,
    ClaimConfig,
    FlavorConfig,
    HostPathConfig,
    NamespaceConfig,
    NodeConfig,
    NodeResources,
    NodeTaint,
    setting,
)

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
    sidecar_port: int = setting(
        "SidecarPort",
        "its port (not for unix://); where neither SidecarURL nor Socket is set it listens there, on 127.0.0.1",
        4001,
        "SIDECARPORT",
    )
    socket: str = setting("Socket", "today's plugin's word for a SidecarURL of unix:///PATH", "")
    verbose_logging: bool = setting("VerboseLogging", "log at debug level", False)
    errors_only_logging: bool = setting("ErrorsOnlyLogging", "log errors only", False)
    request_threads: int = setting(
        "RequestThreads", "requests served at once; each followed log and each long poll holds one", 320
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
    insecure_registries: list[str] = setting(
        "InsecureRegistries", "registries (HOST:PORT) that are spoken to by plain HTTP", [], "", SLURM
    )
    singularity_path: str = setting(
        "SingularityPath", "apptainer or singularity on the compute nodes", "apptainer", "SINGULARITYPATH", SLURM
    )
    singularity_default_options: list[str] = setting(
        "SingularityDefaultOptions", "options of every apptainer exec and run", [], "", SLURM
    )
    container_runtime: str = setting(
        "ContainerRuntime",
        "what starts the containers of a pod that names nothing: singularity (or apptainer), enroot, podman-hpc, "
        "charliecloud, none",
        "singularity",
        "",
        SLURM,
    )
    enroot_path: str = setting("EnrootPath", "enroot on the compute nodes; empty: pods cannot choose it", "", "", SLURM)
    enroot_default_options: list[str] = setting(
        "EnrootDefaultOptions", "options of every enroot start", ["--rw"], "", SLURM
    )
    podman_hpc_path: str = setting("PodmanHpcPath", "podman-hpc, likewise", "", "", SLURM)
    charliecloud_path: str = setting("CharliecloudPath", "charliecloud's ch-run, likewise", "", "", SLURM)
    tsocks: bool = setting(
        "Tsocks",
        "whether jobs reach the world through the login node, by a SOCKS proxy of ssh's",
        False,
        "TSOCKS",
        SLURM,
    )
    tsocks_login_node: str = setting("TsocksLoginNode", "that login node, as ssh finds it", "", "", SLURM)
    tsocks_path: str = setting(
        "TsocksPath",
        "libtsocks.so on the compute nodes, an absolute path; empty: only the variable ALL_PROXY",
        "",
        "TSOCKSPATH",
        SLURM,
    )
    tsocks_local_networks: list[str] = setting(
        "TsocksLocalNetworks", "networks (CIDR) that jobs reach directly", [], "", SLURM
    )
    tsocks_ssh_options: list[str] = setting(
        "TsocksSshOptions", "more words for that ssh: -o, ProxyJump=gate", [], "", SLURM
    )
    scratch_folder: str = setting(
        "ScratchFolder",
        "where emptyDirs live on a compute node, as /local or $TMPDIR (a variable of the job's); a folder of the job's "
        "own is made there and removed at its end; empty: in the job's folder below DataRootFolder",
        "",
        "",
        SLURM,
    )
    host_paths: list[HostPathConfig] = setting(
        "HostPaths",
        "what hostPath volumes may show, each with Path and ReadOnly; the narrowest counts; /proc, /sys and /dev only "
        "where they are named; DataRootFolder never; empty: nothing",
        [],
        "",
        SLURM,
    )
    persistent_volume_claims: list[ClaimConfig] = setting(
        "PersistentVolumeClaims",
        "where claims lie, each line with Namespace and Claim (patterns), Path ({namespace}, {claim}, {user} in it), "
        "Create and ReadOnly; the first that fits counts; a claim that none fits is refused",
        [],
        "",
        SLURM,
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
    bash_path: Path = setting("BashPath", "the shell of the batch script", Path("/bin/bash"), "", SLURM)
    sbatch_path: str = setting("SbatchPath", "sbatch, for the drivers that use commands", "sbatch", "SBATCHPATH", SLURM)
    scancel_path: str = setting("ScancelPath", "scancel, likewise", "scancel", "SCANCELPATH", SLURM)
    squeue_path: str = setting("SqueuePath", "squeue, likewise", "squeue", "SQUEUEPATH", SLURM)
    sinfo_path: str = setting("SinfoPath", "sinfo, likewise", "sinfo", "SINFOPATH", SLURM)
    slurm_partition: str = setting("SlurmPartition", "partition of the jobs; empty: the site's default", "", "", SLURM)
    slurm_account: str = setting("SlurmAccount", "account of the jobs; empty: the user's default", "", "", SLURM)
    default_cpu: str = setting("DefaultCPU", "cores of a container that asks for none", "1", "", SLURM)
    default_memory: str = setting("DefaultMemory", "memory of a container that asks for none", "1Gi", "", SLURM)
    runner_memory: str = setting(
        "RunnerMemory",
        "memory of a job beside what its containers ask for: the pod runner's own (50 MiB) and that of an image's pull "
        "(200 MiB with apptainer); flags and flavors that name a job's memory name all of it",
        "256Mi",
        "",
        SLURM,
    )
    flavors: dict[str, FlavorConfig] = setting("Flavors", "named sets of what a job asks for", {}, "", SLURM)
    default_flavor: str = setting("DefaultFlavor", "the flavor of a pod that nothing else gives one", "", "", SLURM)
    namespaces: dict[str, NamespaceConfig] = setting(
        "Namespaces",
        "what the jobs of each namespace are given; `*` is every other one",
        {},
        "",
        SLURM,
    )
    flags_allowed: list[str] = setting(
        "FlagsAllowed", "names of sbatch's options that pods may use; empty: all that are not refused", [], "", SLURM
    )
    flags_refused: list[str] = setting(
        "FlagsRefused",
        "names of those that they may not, beside the ones that docs/jobs.md refuses always",
        ["priority", "reboot"],
        "",
        SLURM,
    )
    flags_forced: list[str] = setting("FlagsForced", "sbatch's options of every job, as `--account=x`", [], "", SLURM)
    gres_map: dict[str, str] = setting(
        "GresMap",
        "Kubernetes' names of resources and the GRES that they are: `gpu`, `gpu:a100`; the first one of a GRES is what "
        "the virtual node offers",
        DEFAULT_GRES,
        "",
        SLURM,
    )
    gres_types: dict[str, str] = setting(
        "GresTypes",
        "values of the labels nvidia.com/gpu.product, amd.com/gpu.product-name and slurm-job.vk.io/gres-type in a "
        "node selector, and the GRES types that they are",
        {},
        "",
        SLURM,
    )
    ephemeral_storage_as_tmp: bool = setting(
        "EphemeralStorageAsTmp",
        "whether ephemeral-storage becomes --tmp: false where the nodes have no TmpDisk in slurm.conf",
        True,
        "",
        SLURM,
    )
    mpi_launcher: str = setting(
        "MpiLauncher", "what starts containers with mpi-flags: srun or mpiexec", "srun", "", SLURM
    )
    mpi_path: str = setting("MpiPath", "where it is on the compute nodes; empty: on PATH", "", "", SLURM)
    runtime_options_allowed: list[str] = setting(
        "RuntimeOptionsAllowed",
        "further options that singularity-options and enroot-options may have, as --fakeroot",
        [],
        "",
        SLURM,
    )
    pre_exec_namespaces: list[str] = setting(
        "PreExecNamespaces",
        "namespaces whose pods may bring shell text of their own (pre-exec), run outside any container; `*`: all",
        [],
        "",
        SLURM,
    )
    job_user: str = setting("JobUser", "the user whose the jobs are; empty: the service's own", "", "", SLURM)
    default_uid: int | None = setting("DefaultUID", "the same as a number", None, "", SLURM)
    run_as_user_ranges: list[str] = setting(
        "RunAsUserRanges", "users that a pod may choose by runAsUser, as 1000-1999; never 0", [], "", SLURM
    )
    slurm_driver: str = setting(
        "SlurmDriver",
        "how Slurm is reached: pyslurm, cli (its commands here), ssh (its commands on a login node), or auto: pyslurm "
        "where it can be loaded, else cli",
        "auto",
        "",
        SLURM,
    )
    sacct_path: str = setting("SacctPath", "sacct, for cli and ssh", "sacct", "", SLURM)
    ssh_host: str = setting("SshHost", "the login node, for ssh", "", "", SLURM)
    ssh_user: str = setting("SshUser", "user there; empty: as the service's own", "", "", SLURM)
    ssh_port: int = setting("SshPort", "port of its sshd", 22, "", SLURM)
    ssh_key_file: Path | None = setting("SshKeyFile", "private key, mode 0600, without a passphrase", None, "", SLURM)
    ssh_known_hosts_file: Path | None = setting(
        "SshKnownHostsFile",
        "the login node's host key, as ssh-keyscan prints it; no other is believed",
        None,
        "",
        SLURM,
    )
    ssh_options: list[str] = setting("SshOptions", "more words for ssh: -o, ProxyJump=gate", [], "", SLURM)
    ssh_files: bool = setting(
        "SshFiles", "whether DataRootFolder is the login node's and goes over the same connection", True, "", SLURM
    )
    slurm_user_command: list[str] = setting(
        "SlurmUserCommand",
        "what runs a command as another user of the site (docs/identity.md); empty with ssh: that user logs in",
        ["sudo", "-n", "-u", "{user}", "--"],
        "",
        SLURM,
    )
    slurm_poll_seconds: float = setting(
        "SlurmPollSeconds",
        "pause between two looks at all jobs; longer where a look takes long, and while there are no pods",
        0.5,
        "",
        SLURM,
    )
    job_folder_retention: float = setting(
        "JobFolderRetention", "seconds that the job folder of a deleted pod is kept, with its logs", 60.0, "", SLURM
    )
    ended_pod_retention: float = setting(
        "EndedPodRetention",
        "days after which the job folder of an ended pod goes, though nobody has deleted the pod; 0: never",
        0.0,
        "",
        SLURM,
    )
    slurm_call_timeout: float = setting(
        "SlurmCallTimeout", "seconds that one call of the controller may take", 15.0, "", SLURM
    )
    max_pods: int = setting("MaxPods", "pods that the site takes at once", 10_000, "", SLURM)

    node_name: str = setting("NodeName", "the virtual node's name", "interlink", "NODENAME", VK)
    nodes: dict[str, NodeConfig] = setting(
        "Nodes", "the virtual nodes by name, in place of the one of NodeName, where there are several", {}, "", VK
    )
    vk_token_file: Path | None = setting(
        "VKTokenFile", "bearer token that the virtual kubelet shows to InterLink; read again when it changes", None,
        "VKTOKENFILE", VK,
    )  # fmt: skip
    kubelet_port: int = setting("KubeletPort", "port of the kubelet API (logs)", 10250, "KUBELET_PORT", VK)
    kubelet_cert_file: Path | None = setting(
        "KubeletCertFile",
        "certificate of the kubelet API in PEM, with its chain; read again when it changes "
        "(docs/kubelet-port.md says what holds where it is empty)",
        None,
        "",
        VK,
    )
    kubelet_key_file: Path | None = setting("KubeletKeyFile", "its private key, without a passphrase", None, "", VK)
    kubelet_cert_request: bool = setting(
        "KubeletCertRequest",
        "where there is no KubeletCertFile, whether to ask the cluster for a certificate of the signer "
        "kubernetes.io/kubelet-serving; until it is approved and signed, a self-signed one is shown",
        True,
        "",
        VK,
    )
    kubelet_cert_approve: bool = setting(
        "KubeletCertApprove",
        "whether the virtual kubelet approves that request itself; it needs the right to",
        False,
        "",
        VK,
    )
    vkubelet_pod_ip: str = setting("PodIP", "address at which kube-apiserver finds it", "", "VKUBELET_POD_IP", VK)
    kubeconfig: Path | None = setting(
        "Kubeconfig", "kubeconfig file; empty: the pod's own service account", None, "KUBECONFIG", VK
    )
    leader_election_lease: str = setting(
        "LeaderElectionLease",
        "Lease by which the replicas of one virtual kubelet choose the one that works; empty: it is the only one",
        "",
        "LEADER_ELECTION_LEASE",
        VK,
    )
    leader_election_namespace: str = setting(
        "LeaderElectionNamespace", "its namespace; empty: that of the pod's service account", "",
        "LEADER_ELECTION_NAMESPACE", VK,
    )  # fmt: skip
    health_port: int = setting(
        "HealthPort",
        "port of /healthz and /readyz for probes (plain HTTP, open to all); 0: none",
        0,
        "HEALTH_PORT",
        VK,
    )
    node_labels: dict[str, str] = setting("NodeLabels", "labels of the node, beside type=virtual-kubelet", {}, "", VK)
    node_taints: list[NodeTaint] = setting("NodeTaints", "taints of the node", DEFAULT_TAINTS, "", VK)
    kubernetes_address: str = setting(
        "KubernetesAddress",
        "HOST or HOST:PORT at which compute nodes reach kube-apiserver, for pods' KUBERNETES_SERVICE_HOST and its kin; "
        "empty: the cluster's own address of it",
        "", "KUBERNETESADDRESS", VK,
    )  # fmt: skip
    daemon_sets: str = setting(
        "DaemonSets",
        "pods of DaemonSets that came only because they tolerate every taint: `ignore` has them wait, `reject` fails "
        "them, and the DaemonSet tries again",
        "ignore", "", VK,
    )  # fmt: skip
    resources: NodeResources = field(
        default_factory=NodeResources,
        metadata={
            "key": "Resources",
            "doc": "capacity where the site's ping does not say",
            "env": "",
            "section": VK,
        },
    )
    not_ready_after: float = setting(
        "NotReadyAfter",
        "seconds that InterLink may be away before the nodes are not Ready, and Kubernetes evicts their pods by their "
        "tolerations, though their jobs run on; 0: never",
        0.0,
        "",
        VK,
    )
    walltime: int = setting(
        "Walltime",
        "seconds, in whole minutes, that the nodes of one run of the virtual kubelet live before they are drained and "
        "removed; 0: no limit",
        0,
        "JIRIAF_WALLTIME",
        VK,
    )
    drain_seconds: float = setting(
        "DrainSeconds",
        "how long before that end nothing new is scheduled; halfway from there pods are evicted; at most half of "
        "Walltime",
        600.0,
        "",
        VK,
    )
    node_type: str = setting("NodeType", "label jiriaf.nodetype of the nodes", "", "JIRIAF_NODETYPE", VK)
    node_site: str = setting("Site", "label jiriaf.site of the nodes", "", "JIRIAF_SITE", VK)
    provider_config: Path | None = setting(
        "ProviderConfig",
        "knoc-cfg.json of earlier generations, which counts before Resources for the nodes that it names: "
        '`{"NODENAME": {"cpu": "4", "memory": "32Gi", "pods": "128"}}`',
        None,
        "VK_CONFIG_PATH",
        VK,
    )
    startup_timeout: float = setting(
        "StartupTimeout",
        "seconds after which the process gives up where its nodes are not registered and their pods not known by then; "
        "0: never",
        0.0,
        "",
        VK,
    )
