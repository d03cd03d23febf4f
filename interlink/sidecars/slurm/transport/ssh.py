"""The ssh command to a login node: one connection for all agents, no questions asked, no unknown host believed.

Pure but for its private folder. Called by ``hosts``. Options: ssh_config(5). Invariant: the remote shell sees fixed
words only, each quoted once; what a pod says travels inside the agent's frames.
"""

import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class SshTarget:
    """A login node, and how to get in; empty texts leave ssh's own default."""

    host: str
    user: str = ""
    port: int = 22
    key_file: Path | None = None
    known_hosts: Path | None = None
    #: The administrator's own words for ssh, as ``-o`` and ``ProxyJump=gate``.
    options: tuple[str, ...] = ()

    def words(self, user: str = "") -> list[str]:
        """Return ssh and its options, up to where the remote command's words go."""
        settings = {
            "BatchMode": "yes",
            "StrictHostKeyChecking": "yes",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "ConnectTimeout": "10",
            "ServerAliveInterval": "5",
            "ServerAliveCountMax": "3",
            "ForwardAgent": "no",
            "ForwardX11": "no",
            "ClearAllForwardings": "yes",
            "PermitLocalCommand": "no",
            "EscapeChar": "none",
            "LogLevel": "ERROR",
        }
        if self.known_hosts:
            settings |= {"UserKnownHostsFile": str(self.known_hosts), "GlobalKnownHostsFile": "none"}
        if self.key_file:
            settings |= {"IdentityFile": str(self.key_file), "IdentitiesOnly": "yes", "IdentityAgent": "none"}
        words = ["ssh", "-F", "none", "-T", "-x", "-p", str(self.port), *self.options]
        for name, value in settings.items():
            words += ["-o", f"{name}={value}"]
        login = user or self.user
        return words + (["-l", login] if login else [])


class SshConnection:
    """A shared connection (ControlMaster) to one login node as one user; thread-safe."""

    def __init__(self, target: SshTarget, user: str = "") -> None:
        self._target = target
        self._user = user
        self._lock = threading.Lock()
        #: Short, because the path of a unix socket is; private, because whoever can use the socket is logged in.
        self._folder = Path(tempfile.mkdtemp(prefix="interlink-ssh-"))
        self._generation = 0

    def command(self, words: Sequence[str]) -> list[str]:
        """Return the local command that runs the words on the login node."""
        shared = ["-o", "ControlMaster=auto", "-o", f"ControlPath={self._socket()}", "-o", "ControlPersist=60"]
        remote = " ".join(shlex.quote(word) for word in words)
        return [*self._target.words(self._user), *shared, "--", self._target.host, remote]

    def replace(self) -> None:
        """Give the connection up; the next command makes a new one, whatever state the old one is in."""
        with self._lock:
            old = self._socket()
            self._generation += 1
        if old.exists():
            words = [*self._target.words(self._user), "-o", f"ControlPath={old}", "-O", "exit", "--", self._target.host]
            with suppress(subprocess.TimeoutExpired):  # a master that hangs ends by itself, with ServerAlive
                subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False)
            old.unlink(missing_ok=True)

    def close(self) -> None:
        """End the connection."""
        self.replace()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _socket(self) -> Path:
        return self._folder / str(self._generation)
