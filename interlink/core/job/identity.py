"""Whose job a pod becomes: the site's policy, and what securityContext may say of it.

Called by ``sidecars/slurm/submit``. Pure: accounts come from whoever can look them up. Invariant: never root, and every
container of a pod runs as the job's one user; what a pod asks of another user or group is refused by name, not ignored.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from interlink.core.errors import UnsupportedPod
from interlink.wire.pod import Pod, SecurityContext

_ASK = "remove it, or ask the site's administrator"


@dataclass(frozen=True)
class Account:
    """One user of the site: name, number, primary group and all groups."""

    name: str
    uid: int
    gid: int
    groups: frozenset[int] = frozenset()


class Accounts(Protocol):
    """The site's users, as the edge host knows them."""

    def own(self) -> Account:
        """Return the service's own user."""

    def by_name(self, name: str) -> Account | None:
        """Return the user of that name, None where there is none."""

    def by_uid(self, uid: int) -> Account | None:
        """Return the user of that number, None where there is none."""


@dataclass(frozen=True)
class IdentityPolicy:
    """``user`` owns every job that nothing else says an owner of; empty is the service's own user.

    ``run_as_user`` are the ranges of numbers, both ends within, that a pod may name by runAsUser; never 0.
    """

    user: str = ""
    run_as_user: tuple[tuple[int, int], ...] = ()

    def lets_choose(self, uid: int) -> bool:
        """Whether a pod may say that its job is this user's."""
        return uid > 0 and any(low <= uid <= high for low, high in self.run_as_user)


def job_account(
    pod: Pod, policy: IdentityPolicy, accounts: Accounts, *, of_namespace: str = "", of_flavor: int | None = None
) -> Account:
    """Return the user whose job the pod becomes.

    The order: the namespace's user; runAsUser where the policy lets pods choose it; the flavor's; the site's; our own.
    Raises UnsupportedPod for root, for a user that the site does not have, and for a pod whose securityContext asks for
    another user or group than the job has.
    """
    wanted = _wanted(pod)
    if of_namespace:
        account = _known(of_namespace, accounts.by_name(of_namespace))
    elif wanted is not None and policy.lets_choose(wanted):
        account = _known(f"with the number {wanted} (runAsUser)", accounts.by_uid(wanted))
    elif of_flavor is not None:
        account = _known(f"with the number {of_flavor} (the flavor's)", accounts.by_uid(of_flavor))
    elif policy.user:
        account = _known(policy.user, _by_name_or_number(policy.user, accounts))
    else:
        account = accounts.own()
    if account.uid == 0 and (of_namespace or of_flavor is not None or policy.user or wanted is not None):
        raise UnsupportedPod("the job would be root's, which no pod's can be")
    for where, context in _contexts(pod):
        _refuse_others(where, context, account)
    return account


def _wanted(pod: Pod) -> int | None:
    """Return the one user that the containers' runAsUser name, None where they name none.

    Raises UnsupportedPod where they name different ones.
    """
    of_pod = pod.spec.securityContext.runAsUser if pod.spec.securityContext else None
    wanted = {
        of_pod if context is None or context.runAsUser is None else context.runAsUser
        for context in (item.securityContext for item in pod.all_containers)
    } - {None}
    if len(wanted) > 1:
        shown = ", ".join(str(uid) for uid in sorted(uid for uid in wanted if uid is not None))
        raise UnsupportedPod(f"the containers' runAsUser differ ({shown}): a job has one user")
    return next(iter(wanted), of_pod)


def _contexts(pod: Pod) -> Iterator[tuple[str, SecurityContext]]:
    if pod.spec.securityContext:
        yield "the pod", pod.spec.securityContext
    for container in pod.all_containers:
        if container.securityContext:
            yield f'container "{container.name}"', container.securityContext


def _refuse_others(where: str, context: SecurityContext, account: Account) -> None:
    """Raise UnsupportedPod for a user or group that the job does not have."""
    if context.runAsNonRoot and account.uid == 0:
        raise UnsupportedPod(f"{where}: runAsNonRoot is not possible: the job runs as {account.name} (0)")
    if context.runAsUser is not None and context.runAsUser != account.uid:
        raise UnsupportedPod(
            f"{where}: runAsUser {context.runAsUser} is not possible: the job runs as {account.name} "
            f"({account.uid}); {_ASK}"
        )
    groups = account.groups | {account.gid}
    if context.runAsGroup is not None and context.runAsGroup != account.gid:
        raise UnsupportedPod(
            f"{where}: runAsGroup {context.runAsGroup} is not possible: the job's group is that of {account.name} "
            f"({account.gid}); {_ASK}"
        )
    for group in context.supplementalGroups or ():
        if group not in groups:
            raise UnsupportedPod(f"{where}: supplementalGroups {group}: {account.name} is not in that group; {_ASK}")


def _by_name_or_number(user: str, accounts: Accounts) -> Account | None:
    return accounts.by_uid(int(user)) if user.isdecimal() else accounts.by_name(user)


def _known(what: str, account: Account | None) -> Account:
    if account is None:
        raise UnsupportedPod(f"the job's user {what} is not known on the edge host; ask the site's administrator")
    return account
