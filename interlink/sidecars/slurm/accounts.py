"""The users of the host where jobs are submitted, for the policy of whose job a pod becomes (``core/job/identity.py``).

Used by ``submit``. On a login node's site they are the login node's, which need not be the edge host's.
"""

from interlink.core.job.identity import Account
from interlink.sidecars.slurm.transport.host import Host, LocalHost


class HostAccounts:
    """``Accounts`` of a host: its passwd and group databases, whatever they come from. Calls raise OSError."""

    def __init__(self, host: Host | None = None) -> None:
        self._host = host or LocalHost()
        self._own: Account | None = None

    def own(self) -> Account:
        """See Accounts; a user whose number has no name is told by that number."""
        if self._own is None:
            uid = self._host.user_id()
            self._own = self.by_uid(uid) or Account(str(uid), uid, uid)
        return self._own

    def by_name(self, name: str) -> Account | None:
        """See Accounts."""
        return self._account(name=name)

    def by_uid(self, uid: int) -> Account | None:
        """See Accounts."""
        return self._account(uid=uid)

    def _account(self, *, name: str = "", uid: int = -1) -> Account | None:
        found, _ = self._host.call("account", {"name": name, "uid": uid})
        return found and Account(found["name"], found["uid"], found["gid"], frozenset(found["groups"]))
