"""The edge host's users, for the policy of whose job a pod becomes (``core/job/identity.py``). Used by ``submit``."""

import os
import pwd

from interlink.core.job.identity import Account


class HostAccounts:
    """``Accounts`` of the host that the sidecar runs on: its passwd and group databases, whatever they come from."""

    def __init__(self) -> None:
        uid = os.getuid()
        self._own = self.by_uid(uid) or Account(str(uid), uid, os.getgid(), frozenset(os.getgroups()))

    def own(self) -> Account:
        """See Accounts; a service whose number has no name is told by its number."""
        return self._own

    def by_name(self, name: str) -> Account | None:
        """See Accounts."""
        try:
            return _account(pwd.getpwnam(name))
        except (KeyError, ValueError):
            return None

    def by_uid(self, uid: int) -> Account | None:
        """See Accounts."""
        try:
            return _account(pwd.getpwuid(uid))
        except (KeyError, OverflowError, ValueError):
            return None


def _account(entry: pwd.struct_passwd) -> Account:
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, frozenset(groups))
