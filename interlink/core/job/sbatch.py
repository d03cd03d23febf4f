"""sbatch's options: their long and short names and whether they take a value. Slurm 26.05's sbatch(1), and older ones.

Read by ``flags`` (which parses them) and ``policy`` (which lets them through). One table, no code.
"""

from typing import Literal

Takes = Literal["value", "maybe", "nothing"]

_VALUE = (
    "account", "acctg-freq", "array", "batch", "bb", "bbf", "begin", "chdir", "cluster-constraint", "clusters",
    "comment", "constraint", "container", "container-id", "container-type", "core-spec", "cores-per-socket", "cpu-freq",
    "cpus-per-gpu", "cpus-per-task", "deadline", "delay-boot", "dependency", "distribution", "error", "exclude",
    "export", "export-file", "extra", "extra-node-info", "gid", "gpu-bind", "gpu-freq", "gpus", "gpus-per-node",
    "gpus-per-socket", "gpus-per-task", "gres", "gres-flags", "hint", "input", "job-name", "kill-on-invalid-dep",
    "licenses", "mail-type", "mail-user", "mcs-label", "mem", "mem-bind", "mem-per-cpu", "mem-per-gpu", "mem-update",
    "mincpus", "network", "nodefile", "nodelist", "nodes", "ntasks", "ntasks-per-core", "ntasks-per-gpu",
    "ntasks-per-node", "ntasks-per-socket", "open-mode", "output", "partition", "power", "prefer", "priority",
    "profile", "qos", "reservation", "resources", "segment", "signal", "sockets-per-node", "switches", "thread-spec",
    "threads-per-core", "time", "time-min", "tmp", "tres-bind", "tres-per-task", "uid", "wait-all-nodes", "wckey",
)  # fmt: skip
#: Their value can only follow an equals sign.
_MAYBE = (
    "exclusive", "get-user-env", "nice", "no-kill", "oom-kill-step", "propagate", "requeue", "resv-ports", "wrap",
)  # fmt: skip
_NOTHING = (
    "consolidate-segments", "contiguous", "help", "hold", "ignore-pbs", "no-requeue", "overcommit", "oversubscribe",
    "parsable", "quiet", "reboot", "spread-job", "spread-segments", "stepmgr", "test-only", "usage", "use-min-nodes",
    "verbose", "version", "wait",
)  # fmt: skip

OPTIONS: dict[str, Takes] = {
    **dict.fromkeys(_VALUE, "value"),
    **dict.fromkeys(_MAYBE, "maybe"),
    **dict.fromkeys(_NOTHING, "nothing"),
}

SHORT = {
    "A": "account", "B": "extra-node-info", "C": "constraint", "D": "chdir", "F": "nodefile", "G": "gpus", "H": "hold",
    "J": "job-name", "L": "licenses", "M": "clusters", "N": "nodes", "O": "overcommit", "Q": "quiet", "S": "core-spec",
    "V": "version", "W": "wait", "a": "array", "b": "begin", "c": "cpus-per-task", "d": "dependency", "e": "error",
    "h": "help", "i": "input", "k": "no-kill", "m": "distribution", "n": "ntasks", "o": "output", "p": "partition",
    "q": "qos", "s": "oversubscribe", "t": "time", "v": "verbose", "w": "nodelist", "x": "exclude",
}  # fmt: skip

#: Other long names of the same option, as sbatch takes them.
ALIASES = {"tasks": "ntasks", "tasks-per-node": "ntasks-per-node", "workdir": "chdir", "share": "oversubscribe"}

#: Of these sbatch does what the last one says: one that is given takes the others' place.
INSTEAD_OF_EACH_OTHER = (
    frozenset({"requeue", "no-requeue"}),
    frozenset({"exclusive", "oversubscribe"}),
    frozenset({"mem", "mem-per-cpu", "mem-per-gpu"}),
    frozenset({"core-spec", "thread-spec"}),
)
