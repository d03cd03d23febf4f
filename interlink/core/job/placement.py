"""Where and how large a pod's job is: everything that the site and the pod say of it, laid over each other.

Called by ``sidecars/slurm/submit``. Every source speaks sbatch's options, so that the order is one line (docs/jobs.md):
the site's, the namespace's, the flavor's, the virtual node's, the node selector's, the flags', the annotations', and
what is forced.
Raises UnsupportedPod, by name, for all that the policy does not let through or that no job can have.
"""

from dataclasses import dataclass, field

from interlink.core.job.annotations import FLAGS, PLACES, PREFIX, annotation, refuse_unknown_annotations
from interlink.core.job.flags import Flags, check_value, merge, parse_flags
from interlink.core.job.flavors import Flavor, choose_flavor
from interlink.core.job.gres import gres_items, maker, parse_gres
from interlink.core.job.numbers import MOST_CPUS, MOST_MEMORY, bounded, count, mebibytes, minutes
from interlink.core.job.resources import JobResources, job_resources
from interlink.core.job.rules import JobRules
from interlink.core.job.walltime import Walltime, walltime
from interlink.wire.messages import NODE_PARTITION_ANNOTATION
from interlink.wire.pod import Pod

_PLACED = ("partition", "account", "qos", "reservation", "constraint")
_GPU_OPTIONS = ("gpus", "gpus-per-task", "gpus-per-socket")
#: Options that become fields of the job; the rest stays an option.
_FIELDS = frozenset(
    {*_PLACED, "nodes", "ntasks", "cpus-per-task", "mem", "mem-per-cpu", "gres", "gpus-per-node", "tmp", "time"}
    | {"signal", "requeue", "no-requeue", "job-name"}
)


@dataclass(frozen=True, kw_only=True)
class Placement:
    """One job's place and size. Empty texts leave Slurm's default; ``cpus`` is per task, sizes are per node."""

    name: str = ""
    partition: str = ""
    account: str = ""
    qos: str = ""
    reservation: str = ""
    constraint: str = ""
    nodes: int = 1
    tasks: int = 1
    cpus: int = 1
    memory_mib: int = 1
    tmp_mib: int = 0
    gres: tuple[str, ...] = ()
    time: Walltime
    requeue: bool = False
    options: Flags = field(default_factory=dict)
    flavor: Flavor | None = None
    #: Whether flags or flavor ask for GPUs that no container asks for: then all of them see them.
    gpus_for_all: bool = False


def place(pod: Pod, rules: JobRules, *, grace: int) -> Placement:
    """Return the pod's placement; ``grace`` is its termination grace period in seconds."""
    refuse_unknown_annotations(pod)
    resources = job_resources(
        pod,
        default_cpu=rules.default_cpu,
        default_memory=rules.default_memory,
        extended=frozenset(rules.gres.names),
    )
    namespace = rules.of_namespace(pod.metadata.namespace)
    flavor = choose_flavor(
        pod,
        rules.flavors,
        default=rules.default_flavor,
        of_namespace=namespace.flavor,
        gpus=sum(pieces for name, pieces in resources.extended.items() if maker(name)),
    )
    forced = merge(namespace.forced, rules.policy.forced)
    own = merge(*_own_flags(pod, rules, namespace.forced))
    flags = merge(rules.flags, namespace.flags, flavor.flags if flavor else {}, own, forced)
    nodes = count("--nodes", flags["nodes"]) if "nodes" in flags else 1
    tasks = _tasks(flags, nodes)
    cpus = _cpus(flags, flavor, resources)
    gres = _gres(pod, rules, flavor, resources, _gres_of_flags(flags, nodes))
    options = {
        name: value for name, value in flags.items() if name not in _FIELDS and not (name == "gpus" and nodes == 1)
    }
    return Placement(
        name=flags.get("job-name", ""),
        **{name: flags.get(name, "") for name in _PLACED},
        nodes=nodes,
        tasks=tasks,
        cpus=cpus,
        memory_mib=_memory(flags, flavor, resources, cpus * -(-tasks // nodes), beside=rules.runner_memory_mib),
        tmp_mib=max(
            resources.disk_mib if rules.disk_as_tmp else 0, mebibytes("--tmp", flags["tmp"]) if "tmp" in flags else 0
        ),
        gres=gres_items(gres),
        time=walltime(
            deadline=pod.spec.activeDeadlineSeconds,
            grace=grace,
            limit_minutes=minutes("--time", flags["time"]) if "time" in flags else None,
            warning=flags.get("signal", ""),
        ),
        requeue=_requeue(pod, flags),
        options=options,
        flavor=flavor,
        gpus_for_all=not resources.extended and _has_gpus(rules, gres, options),
    )


def _requeue(pod: Pod, flags: Flags) -> bool:
    """Return whether Slurm may run the job again; with restartPolicy Never a pod runs once, unless a flag says more."""
    return "requeue" in flags or ("no-requeue" not in flags and pod.spec.restartPolicy != "Never")


def _own_flags(pod: Pod, rules: JobRules, forced: Flags) -> list[Flags]:
    """Return what comes with the pod, weakest first: its node's partition, node selector, flags and annotations.

    The node's is held to the policy as the pod's own words are: another virtual kubelet than ours lets a pod say it.
    """
    selector = pod.spec.nodeSelector or {}
    of_node = pod.annotation(NODE_PARTITION_ANNOTATION)
    layers: list[tuple[str, Flags]] = [("the virtual node", {"partition": of_node})] if of_node else []
    layers += [
        (f"nodeSelector {PREFIX}{name}", {option: selector[PREFIX + name]})
        for name, option in PLACES.items()
        if selector.get(PREFIX + name)
    ]
    where = f"the annotation {PREFIX}{FLAGS}"
    layers.append((where, parse_flags(where, annotation(pod, FLAGS) or "")))
    layers += [
        (f"the annotation {PREFIX}{name}", {option: value})
        for name, option in PLACES.items()
        if (value := annotation(pod, name)) is not None
    ]
    policy = rules.policy.within(forced)
    for source, flags in layers:
        for name, value in flags.items():
            check_value(source, name, value)
        policy.check(source, flags)
    return [flags for _, flags in layers]


def _tasks(flags: Flags, nodes: int) -> int:
    """Return the number of tasks: at least one on each node."""
    if "ntasks" in flags:
        return count("--ntasks", flags["ntasks"])
    per_node = count("--ntasks-per-node", flags["ntasks-per-node"]) if "ntasks-per-node" in flags else 1
    return bounded("the job's tasks", nodes * per_node)


def _cpus(flags: Flags, flavor: Flavor | None, resources: JobResources) -> int:
    """Return the cores of one task: the containers' own, else the flags', else the flavor's, else the default."""
    if resources.cpus_said:
        return resources.cpus
    if "cpus-per-task" in flags:
        return count("--cpus-per-task", flags["cpus-per-task"], most=MOST_CPUS)
    return (flavor.cpus if flavor else None) or resources.cpus


def _memory(flags: Flags, flavor: Flavor | None, resources: JobResources, cpus_per_node: int, *, beside: int) -> int:
    """Return the memory of one node in MiB, from the same sources in the same order.

    ``beside`` is what the runner gets over the containers' own; flags and flavors name the size of the whole job.
    """
    of_pod = bounded("the pod's memory", resources.memory_mib + beside, most=MOST_MEMORY)
    if resources.memory_said:
        return of_pod
    if "mem" in flags:
        return mebibytes("--mem", flags["mem"])
    if "mem-per-cpu" in flags:
        amount = mebibytes("--mem-per-cpu", flags["mem-per-cpu"]) * cpus_per_node
        return bounded("--mem-per-cpu of all its cores", amount, most=MOST_MEMORY)
    return (flavor.memory_mib if flavor else None) or of_pod


def _gres_of_flags(flags: Flags, nodes: int) -> dict[str, int]:
    """Return the GRES of each node that the flags ask for; all GPUs of a job on one node are that node's."""
    gres = parse_gres("--gres", flags["gres"]) if "gres" in flags else {}
    for option in ("gpus-per-node", *(("gpus",) if nodes == 1 else ())):
        if option in flags:
            gres |= parse_gres(f"--{option}", ",".join(f"gpu:{item}" for item in flags[option].split(",")))
    return gres


def _gres(
    pod: Pod, rules: JobRules, flavor: Flavor | None, resources: JobResources, of_flags: dict[str, int]
) -> dict[str, int]:
    """Return the GRES of each node: the flags', and in place of those of the same name what the containers ask for."""
    wanted: dict[str, int] = {}
    selected = rules.gres.selected_type(pod)
    for resource, pieces in resources.extended.items():
        name, _, kind = rules.gres.names[resource].partition(":")
        kinds = [key.partition(":")[2] for key in of_flags if key.partition(":")[0] == name]
        kind = selected or (flavor.gres_type if flavor else "") or kind or (kinds[0] if len(kinds) == 1 else "")
        key = f"{name}:{kind}" if kind else name
        wanted[key] = wanted.get(key, 0) + pieces
    names = {key.partition(":")[0] for key in wanted}
    return {key: pieces for key, pieces in of_flags.items() if key.partition(":")[0] not in names} | wanted


def _has_gpus(rules: JobRules, gres: dict[str, int], options: Flags) -> bool:
    """Whether the job has GPUs of a maker that we know."""
    known = {gres_name.partition(":")[0] for name, gres_name in rules.gres.names.items() if maker(name)}
    return any(key.partition(":")[0] in known for key in gres) or any(option in options for option in _GPU_OPTIONS)
