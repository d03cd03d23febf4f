"""Which way leads to a user's files, and to Slurm's commands: what the configuration says, as hosts.

Constructed by ``backend`` and ``interlink doctor``. Invariant: another user is reached by the administrator's command
alone (sudo, or a login of that user's), and each way is one agent, however many ask.
"""

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from interlink.sidecars.slurm.transport.host import Host, LocalHost
from interlink.sidecars.slurm.transport.remote import RemoteHost, agent_words
from interlink.sidecars.slurm.transport.ssh import SshConnection, SshTarget


@dataclass(frozen=True, kw_only=True)
class Ways:
    """How hosts and users are reached."""

    #: The login node, where there is one.
    login_node: SshTarget | None = None
    #: Whether Slurm's commands run there, and whether the job folders are there, too.
    ssh_commands: bool = False
    ssh_files: bool = False
    #: What runs a command as another user, with ``{user}`` in it; empty with ssh: that user logs in.
    user_command: tuple[str, ...] = ()
    #: Python on the login node.
    python: str = "/usr/bin/python3"


class SiteHosts:
    """The hosts of one site. Thread-safe."""

    def __init__(self, ways: Ways) -> None:
        self._ways = ways
        self.local = LocalHost()
        self._lock = threading.Lock()
        self._remote: dict[tuple[bool, str], RemoteHost] = {}
        self._connections: dict[str, SshConnection] = {}

    def files(self, user: str = "") -> Host:
        """Return where the user's job folders are; "" is our own user."""
        return self._host(user, over_ssh=self._ways.ssh_files)

    def commands(self, user: str = "") -> Host:
        """Return where the user runs Slurm's commands."""
        return self._host(user, over_ssh=self._ways.ssh_commands)

    @property
    def login(self) -> Host:
        """The login node, whether it is the chosen way or not. Raises ValueError where none is configured."""
        return self._host("", over_ssh=True)

    def close(self) -> None:
        """Let go of all of them."""
        with self._lock:
            for host in self._remote.values():
                host.close()
            for connection in self._connections.values():
                connection.close()
        self.local.close()

    def _host(self, user: str, *, over_ssh: bool) -> Host:
        if not user and not over_ssh:
            return self.local
        with self._lock:
            host = self._remote.get((over_ssh, user))
            if host is None:
                host = self._remote[over_ssh, user] = self._over_ssh(user) if over_ssh else self._as_user(user)
            return host

    def _as_user(self, user: str) -> RemoteHost:
        words = (*self._switch(user), *agent_words(sys.executable))
        return RemoteHost(f"user {user}", lambda: words)

    def _over_ssh(self, user: str) -> RemoteHost:
        target = self._ways.login_node
        if target is None:
            raise ValueError("no login node is configured")
        login = user if user and not self._ways.user_command else ""
        connection = self._connections.get(login)
        if connection is None:
            connection = self._connections[login] = SshConnection(target, login)
        words = (*(() if login or not user else self._switch(user)), *agent_words(self._ways.python))
        name = f"{user}@{target.host}" if user else target.host
        return RemoteHost(name, _command(connection, words), connection.replace)

    def _switch(self, user: str) -> tuple[str, ...]:
        return tuple(word.replace("{user}", user) for word in self._ways.user_command)


def _command(connection: SshConnection, words: Sequence[str]) -> Callable[[], Sequence[str]]:
    return lambda: connection.command(words)
