"""The administrator's rules for every job, as the configuration says them; see docs/jobs.md for how they are laid out.

Made by ``config/jobs.py``; read by ``placement``, ``finish`` and ``identity``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from interlink.core.job.flags import Flags
from interlink.core.job.flavors import Flavor
from interlink.core.job.gres import GresTable
from interlink.core.job.identity import Account, IdentityPolicy
from interlink.core.job.mpi import MpiSettings
from interlink.core.job.policy import FlagPolicy


@dataclass(frozen=True, kw_only=True)
class NamespaceRules:
    """What a namespace's jobs are given: weak flags, flags that its pods cannot change, a flavor, a user."""

    flags: Flags = field(default_factory=dict)
    forced: Flags = field(default_factory=dict)
    flavor: str = ""
    user: str = ""


@dataclass(frozen=True, kw_only=True)
class JobRules:
    """Everything that the site says of jobs."""

    #: The weakest flags of all: the site's partition and account.
    flags: Flags = field(default_factory=dict)
    policy: FlagPolicy = field(default_factory=FlagPolicy)
    flavors: Mapping[str, Flavor] = field(default_factory=dict)
    default_flavor: str = ""
    namespaces: Mapping[str, NamespaceRules] = field(default_factory=dict)
    default_cpu: str = "1"
    default_memory: str = "1Gi"
    #: MiB of each job beside its containers' memory: for the pod runner, and for images that it pulls.
    runner_memory_mib: int = 0
    gres: GresTable = field(default_factory=GresTable)
    #: Whether ephemeral-storage becomes --tmp: only where slurm.conf gives its nodes a TmpDisk.
    disk_as_tmp: bool = True
    mpi: MpiSettings = field(default_factory=MpiSettings)
    identity: IdentityPolicy = field(default_factory=IdentityPolicy)
    #: Options of singularity-options and enroot-options that the site allows beside the harmless ones.
    runtime_options: frozenset[str] = frozenset()
    #: Namespaces whose pods may bring shell text of their own (pre-exec); "*" is every one.
    pre_exec: frozenset[str] = frozenset()

    def partitions(self) -> str:
        """Return the partitions that jobs may come to by these rules, with commas between them.

        The first is that of a job that nothing gives another one; "" is the site's default.
        """
        always = self.policy.forced.get("partition")
        if always:
            return always
        sources = [self.flags, *(each.flags for each in self.flavors.values())]
        for namespace in self.namespaces.values():
            sources += [namespace.flags, namespace.forced]
        first, *others = [flags.get("partition", "") for flags in sources]
        return ",".join(dict.fromkeys([first, *filter(None, others)]))

    def other_users(self, own: Account) -> list[str]:
        """Return where the configuration names users besides our own: ``Namespaces.physics.User: alice``."""
        named = {f"Namespaces.{name}.User": each.user for name, each in self.namespaces.items()}
        named |= {f"Flavors.{name}.UID": str(each.uid) for name, each in self.flavors.items() if each.uid is not None}
        named["JobUser or DefaultUID"] = self.identity.user
        found = [f"{key}: {user}" for key, user in named.items() if user not in ("", own.name, str(own.uid))]
        ranges = [each for each in self.identity.run_as_user if each != (own.uid, own.uid)]
        return found + [f"RunAsUserRanges: {low}-{high}" for low, high in ranges]

    def of_namespace(self, namespace: str) -> NamespaceRules:
        """Return the namespace's rules; "*" stands for those that have none of their own."""
        return self.namespaces.get(namespace) or self.namespaces.get("*") or NamespaceRules()
