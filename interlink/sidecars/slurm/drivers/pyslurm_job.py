"""A JobRequest → the attributes of pyslurm's JobSubmitDescription; imports no pyslurm.

Called by ``pyslurm_child``. What pyslurm 25.11 was seen to do decides the form. Invariant: an option that has no
attribute there, or one that pyslurm gets wrong (--distribution, --switches), is refused by name, never left out.
"""

from collections.abc import Callable
from typing import Any

from interlink.core.errors import UnsupportedPod
from interlink.core.job.numbers import MOST, MOST_CPUS, MOST_MEMORY, bounded, minutes
from interlink.sidecars.slurm.driver import JobRequest

#: sbatch's default for --nice without a number.
_NICE = "100"


class NotPossible(Exception):
    """The job cannot be described to Slurm through pyslurm; the text names what to change."""


def _yes(_: str) -> bool:
    return True


def _text(value: str) -> str:
    return value


def _clock(value: str) -> str:
    """Return a time as the only form that pyslurm takes everywhere: D-HH:MM:SS."""
    total = minutes("--time-min", value)
    if total is None:
        raise UnsupportedPod("--time-min cannot be without limit")
    return f"{total // 1440}-{total // 60 % 24:02}:{total % 60:02}:00"


_OPTIONS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "acctg-freq": ("accounting_gather_frequency", _text),
    "batch": ("batch_constraints", _text),
    "begin": ("begin_time", _text),
    "cluster-constraint": ("cluster_constraints", _text),
    "contiguous": ("requires_contiguous_nodes", _yes),
    "core-spec": ("cores_reserved_for_system", int),
    "cores-per-socket": ("cores_per_socket", int),
    "cpu-freq": ("cpu_frequency", _text),
    "deadline": ("deadline", _text),
    "delay-boot": ("delay_boot_time", _text),
    "dependency": ("dependencies", _text),
    "exclude": ("excluded_nodes", _text),
    "exclusive": ("resource_sharing", lambda value: value or "exclusive"),
    "gpu-bind": ("gpu_binding", _text),
    "gpus": ("gpus", _text),
    "gpus-per-socket": ("gpus_per_socket", _text),
    "gpus-per-task": ("gpus_per_task", _text),
    "gres-flags": ("gres_binding", _text),
    "hold": ("priority", lambda _: 0),
    "kill-on-invalid-dep": ("kill_on_invalid_dependency", lambda value: value == "yes"),
    "licenses": ("licenses", _text),
    "mail-type": ("mail_types", _text),
    "mail-user": ("mail_user", _text),
    "mcs-label": ("mcs_label", _text),
    "mincpus": ("min_cpus_per_node", int),
    "network": ("network", _text),
    "nice": ("nice", lambda value: int(value or _NICE)),
    "no-kill": ("kill_on_node_fail", lambda value: value == "off"),
    "nodelist": ("required_nodes", _text),
    "ntasks-per-core": ("ntasks_per_core", int),
    "ntasks-per-gpu": ("ntasks_per_gpu", int),
    "ntasks-per-node": ("ntasks_per_node", int),
    "ntasks-per-socket": ("ntasks_per_socket", int),
    "overcommit": ("overcommit", _yes),
    "oversubscribe": ("resource_sharing", lambda _: "yes"),
    "priority": ("priority", int),
    "reboot": ("requires_node_reboot", _yes),
    "resv-ports": ("reserved_ports", lambda value: int(value or "1")),
    "segment": ("segment_size", int),
    "sockets-per-node": ("sockets_per_node", int),
    "spread-job": ("spreads_over_nodes", _yes),
    "thread-spec": ("threads_reserved_for_system", int),
    "threads-per-core": ("threads_per_core", int),
    "time-min": ("time_limit_min", _clock),
    "use-min-nodes": ("use_min_nodes", _yes),
    "wait-all-nodes": ("wait_all_nodes", lambda value: value != "0"),
    "wckey": ("wckey", _text),
}


def description(request: JobRequest) -> dict[str, Any]:
    """Return pyslurm's attributes of a job. Everything that pyslurm would otherwise take from us is said.

    Raises NotPossible.
    """
    if request.user:  # of a job that root submits for somebody, pyslurm 25.11.2 leaves the group to be root's
        words = f"the job cannot be user {request.user}'s: pyslurm submits for its own user only"
        raise NotPossible(f"{words}; SlurmDriver: cli and ssh become that user (docs/identity.md)")
    try:
        return {**_fields(request), **_options(request)}
    except UnsupportedPod as error:
        raise NotPossible(f"such a job cannot be described to Slurm: {error}") from error


def _fields(request: JobRequest) -> dict[str, Any]:
    environment = {name: value for name, value in request.environment.items() if not name.startswith("SLURM_")}
    found: dict[str, Any] = {
        "name": request.name,
        "comment": request.comment,
        "script": request.script,
        "working_directory": request.working_directory,
        "standard_output": request.output,
        "standard_error": request.output,
        "standard_in": "/dev/null",
        # Above their bounds Slurm's fields say "not set" (65534: one CPU a task, seen with 26.05) or "no limit".
        "cpus_per_task": bounded("CPUs of a task", request.cpus, least=1, most=MOST_CPUS),
        "ntasks": bounded("tasks", request.tasks, least=1),
        "nodes": bounded("nodes", request.nodes, least=1),
        "memory_per_node": f"{bounded('memory in MiB', request.memory_mib, least=1, most=MOST_MEMORY)}M",
        "environment": environment or {"PATH": "/usr/bin:/bin"},
        "log_files_open_mode": "append",
        # A pod runs once unless it says so: a new one after a lost node is its controller's business, in Kubernetes.
        "is_requeueable": request.requeue,
    }
    if request.time_limit_minutes is not None:
        found["time_limit"] = bounded("minutes", request.time_limit_minutes, least=1)
    if request.partition:
        found["partitions"] = request.partition.split(",")
    if request.reservation:
        found["reservations"] = request.reservation.split(",")
    if request.gres:
        found["gres_per_node"] = ",".join(request.gres)
    if request.tmp_mib:
        found["temporary_disk_per_node"] = f"{bounded('temporary disk in MiB', request.tmp_mib, most=MOST)}M"
    if request.signal:
        # pyslurm knows signals by their whole names only.
        found["signal"] = request.signal.replace(":", ":SIG", 1) if ":SIG" not in request.signal else request.signal
    words = {"account": request.account, "qos": request.qos, "constraints": request.constraint}
    return {**found, **{name: value for name, value in words.items() if value}}


def _options(request: JobRequest) -> dict[str, Any]:
    found = {}
    for name, value in request.options.items():
        if name not in _OPTIONS:
            raise NotPossible(f"--{name} is not possible with SlurmDriver: pyslurm; SlurmDriver: cli can")
        attribute, convert = _OPTIONS[name]
        try:
            found[attribute] = convert(value)
        except ValueError:
            raise NotPossible(f"--{name}: {value[:60]!r} is no number") from None
    return found
