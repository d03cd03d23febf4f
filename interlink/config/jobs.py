"""The keys about jobs → ``core.job.rules``, checked: flags are parsed, flavors exist, users are none of root's.

Called by ``interlink slurm`` and ``interlink config check``. Every fault is a ConfigError that names the key.
"""

import ipaddress
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, cast

from interlink.config.entries import FlavorConfig, NamespaceConfig
from interlink.config.load import ConfigError
from interlink.config.model import Config
from interlink.core.errors import UnsupportedPod
from interlink.core.job.flags import Flags, merge, parse_words, split_words
from interlink.core.job.flavors import Flavor
from interlink.core.job.gres import GresTable
from interlink.core.job.identity import IdentityPolicy
from interlink.core.job.mpi import MpiSettings
from interlink.core.job.policy import FlagPolicy, refuse_never
from interlink.core.job.rules import JobRules, NamespaceRules
from interlink.core.job.sbatch import OPTIONS
from interlink.core.plan import PlanEgress
from interlink.core.pod.runtime import RUNTIME_KINDS, Runtimes, RuntimeSettings
from interlink.core.quantity import parse_quantity

_ROOT = ("0", "root")
_RANGE = re.compile(r"(?P<low>[0-9]{1,10})(?:-(?P<high>[0-9]{1,10}))?")
_MEMORY = re.compile(r"(?P<number>[0-9]{1,15})\s*(?P<unit>[KMGT]?)(?:i?B?)", re.IGNORECASE)
_LEAST_MEMORY = 1024**2


def check_jobs(config: Config) -> None:
    """Raise ConfigError for the first key about jobs that cannot be used."""
    job_rules(config)
    runtimes(config, image_cache="")
    job_egress(config)


def job_rules(config: Config) -> JobRules:
    """Return the site's rules. Raises ConfigError."""
    flavors = {name: _flavor(name, flavor) for name, flavor in config.flavors.items()}
    _known_flavor("key DefaultFlavor", config.default_flavor, flavors)
    namespaces = {name: _namespace(name, each, flavors) for name, each in config.namespaces.items()}
    for key, quantity in (("DefaultCPU", config.default_cpu), ("DefaultMemory", config.default_memory)):
        with _named(f"key {key}"):
            if parse_quantity(quantity) <= 0:
                raise ConfigError(f"key {key}: must be more than 0, and is {quantity}")
    with _named("key GresMap or GresTypes"):
        gres = GresTable(config.gres_map, config.gres_types)
    if config.mpi_launcher not in ("srun", "mpiexec"):
        raise ConfigError(f"key MpiLauncher: must be srun or mpiexec, not {config.mpi_launcher!r}")
    return JobRules(
        flags=_flags("keys SlurmPartition and SlurmAccount", [], _places(config.slurm_partition, config.slurm_account)),
        policy=FlagPolicy(
            allowed=_names("FlagsAllowed", config.flags_allowed),
            refused=_names("FlagsRefused", config.flags_refused),
            forced=_flags("key FlagsForced", config.flags_forced, {}),
        ),
        flavors=flavors,
        default_flavor=config.default_flavor,
        namespaces=namespaces,
        default_cpu=config.default_cpu,
        default_memory=config.default_memory,
        runner_memory_mib=_mebibytes("key RunnerMemory", config.runner_memory),
        gres=gres,
        disk_as_tmp=config.ephemeral_storage_as_tmp,
        mpi=MpiSettings(cast(Literal["srun", "mpiexec"], config.mpi_launcher), config.mpi_path),
        identity=_identity(config),
        runtime_options=frozenset(config.runtime_options_allowed),
        pre_exec=frozenset(config.pre_exec_namespaces),
    )


def runtimes(config: Config, *, image_cache: str) -> Runtimes:
    """Return the site's container runtimes. Raises ConfigError."""
    default = RUNTIME_KINDS.get(config.container_runtime)
    if default is None:
        raise ConfigError(f"key ContainerRuntime: {config.container_runtime!r} is none of {', '.join(RUNTIME_KINDS)}")
    if default == "none" and not config.allow_host_runtime:
        raise ConfigError("key ContainerRuntime: none needs AllowHostRuntime: true")
    paths = {
        "apptainer": (config.singularity_path, config.singularity_default_options),
        "enroot": (config.enroot_path, config.enroot_default_options),
        "podman-hpc": (config.podman_hpc_path, []),
        "charliecloud": (config.charliecloud_path, []),
    }
    programs = {"charliecloud": "ch-run"}
    for registry in config.insecure_registries:
        if "/" in registry or not registry:
            raise ConfigError(f"key InsecureRegistries: {registry!r} must be a host, maybe with a port: HOST:PORT")
    known = {
        kind: RuntimeSettings(executable=path or programs.get(kind, kind), options=tuple(options))
        for kind, (path, options) in paths.items()
        if path or kind == default
    }
    return Runtimes(
        default=default,
        known=known,
        allow_host=config.allow_host_runtime,
        image_cache=image_cache,
        insecure_registries=tuple(config.insecure_registries),
    )


def job_egress(config: Config) -> PlanEgress | None:
    """Return the jobs' way out through the login node, None where the site needs none. Raises ConfigError."""
    if not config.tsocks:
        return None
    if not config.tsocks_login_node or config.tsocks_login_node.startswith("-"):
        raise ConfigError("key TsocksLoginNode: must name the login node where Tsocks is true")
    if config.tsocks_path and not config.tsocks_path.startswith("/"):
        raise ConfigError(
            f"key TsocksPath: {config.tsocks_path!r} must be an absolute path on the compute nodes; no shell is there "
            "that could replace a variable in it"
        )
    for network in config.tsocks_local_networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise ConfigError(f"key TsocksLocalNetworks: {error}") from error
    return PlanEgress(
        login_node=config.tsocks_login_node,
        library=config.tsocks_path,
        local_networks=config.tsocks_local_networks,
        ssh_options=config.tsocks_ssh_options,
    )


def _flavor(name: str, config: FlavorConfig) -> Flavor:
    where = f"key Flavors.{name}"
    if config.uid == 0:
        raise ConfigError(f"{where}: UID cannot be 0 (root)")
    return Flavor(
        name=name,
        flags=_flags(where, config.slurm_flags, _places(config.partition, config.account, config.qos)),
        cpus=config.cpu_default or None,
        memory_mib=_memory(f"{where}.MemoryDefault", config.memory_default),
        gres_type=config.gres_type,
        uid=config.uid,
        node_selector=config.node_selector,
        namespaces=frozenset(config.namespaces),
    )


def _namespace(name: str, config: NamespaceConfig, flavors: dict[str, Flavor]) -> NamespaceRules:
    where = f"key Namespaces.{name}"
    _known_flavor(f"{where}.Flavor", config.flavor, flavors)
    if config.user in _ROOT:
        raise ConfigError(f"{where}: User cannot be root")
    return NamespaceRules(
        flags=_flags(where, config.slurm_flags, _places(config.partition, config.account, config.qos)),
        forced=_flags(f"{where}.Forced", config.forced, {}),
        flavor=config.flavor,
        user=config.user,
    )


def _identity(config: Config) -> IdentityPolicy:
    if config.job_user and config.default_uid is not None:
        raise ConfigError("keys JobUser and DefaultUID say the same thing; set one of them")
    user = config.job_user or ("" if config.default_uid is None else str(config.default_uid))
    if user in _ROOT:
        raise ConfigError("keys JobUser and DefaultUID: no job can be root's")
    ranges = []
    for text in config.run_as_user_ranges:
        match = _RANGE.fullmatch(text)
        low, high = (int(match["low"]), int(match["high"] or match["low"])) if match else (0, 0)
        if not 0 < low <= high:
            raise ConfigError(f"key RunAsUserRanges: {text!r} is no range of users: write LOW-HIGH, LOW above 0")
        ranges.append((low, high))
    return IdentityPolicy(user, tuple(ranges))


def _mebibytes(where: str, quantity: str) -> int:
    """Return a Kubernetes quantity in whole MiB."""
    with _named(where):
        amount = parse_quantity(quantity)
    if amount < 0:
        raise ConfigError(f"{where}: must not be less than 0, and is {quantity}")
    return math.ceil(amount / _LEAST_MEMORY)


def _flags(where: str, words: list[str], places: Flags) -> Flags:
    """Return the administrator's flags; an entry of a list may hold several, or one option and its value."""
    with _named(where):
        flags = merge(places, parse_words(where, [each for word in words for each in split_words(where, word)]))
        refuse_never(where, flags)
    return flags


def _places(partition: str, account: str, qos: str = "") -> Flags:
    return {name: value for name, value in (("partition", partition), ("account", account), ("qos", qos)) if value}


def _names(key: str, names: list[str]) -> frozenset[str]:
    """Return names of options, with or without their dashes."""
    plain = [name.lstrip("-") for name in names]
    for name in plain:
        if name not in OPTIONS:
            raise ConfigError(f"key {key}: {name!r} is no long option of sbatch")
    return frozenset(plain)


def _memory(where: str, text: str) -> int | None:
    """Return a flavor's memory in MiB, None where it says nothing."""
    if not text:
        return None
    match = _MEMORY.fullmatch(text.strip())
    amount = int(match["number"]) * 1024 ** " KMGT".index(match["unit"].upper() or " ") if match else 0
    if amount < _LEAST_MEMORY:
        raise ConfigError(f"{where}: {text!r} is no memory of 1 MiB or more; write a number and K, M, G or T")
    return -(-amount // _LEAST_MEMORY)


def _known_flavor(where: str, name: str, flavors: dict[str, Flavor]) -> None:
    if name and name not in flavors:
        raise ConfigError(f"{where}: there is no flavor {name!r} in Flavors")


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Let what the core refuses be the configuration's fault, with the key in its words."""
    try:
        yield
    except UnsupportedPod as error:
        text = str(error)
        raise ConfigError(text if text.startswith(where) else f"{where}: {text}") from error
