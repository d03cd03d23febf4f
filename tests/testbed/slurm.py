"""The site's Slurm: its configuration from the layout, its daemons, and its accounting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import TestbedError, UnhealthyError
from .layout import Layout
from .paths import SOURCE

if TYPE_CHECKING:
    from .bed import Bed
    from .part import Step

FILES = ("slurm.conf", "gres.conf", "cgroup.conf", "slurmdbd.conf")
CPUS, MEMORY, DISK = 32, 64000, 20000
"""What every node claims to have: cores, MB of memory, MB below /tmp."""
UNITS = ("munge", "mariadb", "slurmdbd", "slurmctld", "slurmd")
"""What runs on the hosts, in the order in which it starts."""
GOOD_STATES = ("idle", "mixed", "allocated", "completing", "planned", "reserved")
ACCOUNT, USERS, QOS = "interlink", ("interlink", "user", "other"), "urgent"
ACCOUNTING = {"qos": (QOS,), "account": (ACCOUNT,), "user": USERS}
OPTIONS = {"qos": ["Priority=100"], "account": [], "user": [f"Account={ACCOUNT}", f"QOS=normal,{QOS}"]}
"""What slurmdbd must know, by sacctmgr's word for it, in the order in which it is made; and with which options."""


def settings(layout: Layout) -> dict[str, str]:
    """Return Slurm's configuration files by name."""
    nodes = layout.site_hosts("slurmd")
    words = {
        "{controller}": layout.site_host("slurmctld").name,
        "{accounting}": layout.site_host("slurmdbd").name,
        "{nodes}": ",".join(node.name for node in nodes),
        "{last}": nodes[-1].name,
        # The first host is filled first: a test that asks for no node finds its job there.
        "{members}": "\n".join(
            f"NodeName={node.name} CPUs={CPUS} RealMemory={MEMORY} TmpDisk={DISK} Weight={weight}"
            f"{f' Gres={node.gpus}' if node.gpus else ''} State=UNKNOWN"
            for weight, node in enumerate(nodes, 1)
        ),
    }
    found = {name: (SOURCE / "site" / name).read_text() for name in FILES}
    found["gres.conf"] += "".join(f"{_devices(node.name, node.gpus)}\n" for node in nodes if node.gpus)
    for word, value in words.items():
        found = {name: text.replace(word, value) for name, text in found.items()}
    return found


def _devices(node: str, gpus: str) -> str:
    """Return the line of gres.conf for GPUs such as gpu:2 or gpu:a100:2; entry.sh makes the files."""
    name, *kind, count = gpus.split(":")
    typed = "".join(f" Type={word}" for word in kind)
    return f"NodeName={node} Name={name}{typed} File=/var/lib/slurm/gpus/[0-{int(count) - 1}]"


def health(bed: Bed) -> str:
    """Say what slurmctld says of its nodes; raises UnhealthyError unless all of them take jobs."""
    controller = bed.layout.site_host("slurmctld").container
    try:
        ping = bed.docker.exec(controller, ["scontrol", "ping"], timeout=20)
        nodes = bed.docker.exec(controller, ["sinfo", "--noheader", "--Node", "--format=%N %T"], timeout=20)
    except TestbedError as error:
        raise UnhealthyError(str(error)) from error
    states = dict(line.split() for line in nodes.splitlines())
    bad = {name: state for name, state in states.items() if state not in GOOD_STATES}
    if " UP" not in ping or bad or len(states) != len(bed.layout.site_hosts("slurmd")):
        raise UnhealthyError(f"{ping.strip()}; nodes: {bad or states or 'none'}")
    return "slurmctld is up, " + ", ".join(f"{name} is {state}" for name, state in states.items())


def up(bed: Bed, step: Step) -> None:
    """Wait for Slurm; its units start with the hosts. A unit that has given up is started again."""
    try:
        step.wait(lambda: health(bed), within=20)
    except UnhealthyError as error:
        step.say(f"starting Slurm again: {error}")
        for unit in UNITS:
            for member in bed.layout.site:
                if unit in ("munge", *member.roles) or (unit == "mariadb" and "slurmdbd" in member.roles):
                    bed.docker.exec(member.container, ["systemctl", "restart", unit])
        step.wait(lambda: health(bed), within=40)


def accounting_health(bed: Bed) -> str:
    """Say that slurmdbd knows the account, its users and the QOS; raises UnhealthyError with what it does not know."""
    absent = [name for kind, names in ACCOUNTING.items() for name in names if name not in _listed(bed, kind)]
    if absent:
        raise UnhealthyError(f"slurmdbd does not know {', '.join(absent)}")
    return f"the account {ACCOUNT!r} has {', '.join(USERS)}, who may use the QOS {QOS!r}"


def accounting_up(bed: Bed, step: Step) -> None:
    """Make what is missing, as soon as slurmdbd answers and knows the cluster. Jobs of other users run all the same."""

    def cluster() -> str:
        if found := _listed(bed, "cluster"):
            return ", ".join(found)
        raise UnhealthyError("slurmctld has not come to slurmdbd yet")

    step.wait(cluster, within=30)
    for kind, names in ACCOUNTING.items():
        if absent := [name for name in names if name not in _listed(bed, kind)]:
            words = ["add", kind, ",".join(absent), *OPTIONS[kind]]
            step.say(f"sacctmgr {' '.join(words)}")
            bed.docker.exec(bed.layout.site_host("slurmdbd").container, ["sacctmgr", "--immediate", *words])


def _listed(bed: Bed, kind: str) -> list[str]:
    """Return the names that slurmdbd knows of a kind; raises UnhealthyError while it does not answer."""
    field = {"user": "user", "account": "account", "qos": "name", "cluster": "cluster"}[kind]
    command = ["sacctmgr", "--noheader", "--parsable2", "show", kind, f"format={field}"]
    try:
        return bed.docker.exec(bed.layout.site_host("slurmdbd").container, command, timeout=20).split()
    except TestbedError as error:
        raise UnhealthyError(str(error)) from error
