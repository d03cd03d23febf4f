"""The docker client, one small method for each command that the bed needs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import CommandError, TestbedError
from .process import run

CLIENT = "/usr/bin/docker"  # Debian's: a machine may have another client in its PATH


class Docker:
    """Docker behind one address."""

    def __init__(self, host: str) -> None:
        self.host = host

    @property
    def environment(self) -> dict[str, str]:
        """The environment that lets the client find the daemon."""
        return {"DOCKER_HOST": self.host, "DOCKER_BUILDKIT": "0"}

    def __call__(self, *words: str | Path, stdin: str | bytes | None = None, timeout: float = 120) -> str:
        """Run a docker command and return its stdout; raises CommandError."""
        return run([CLIENT, *words], stdin=stdin, env=self.environment, timeout=timeout)

    def answers(self) -> bool:
        """Return whether a daemon answers at the address."""
        try:
            self("version", "--format", "{{.Server.Version}}", timeout=10)
        except TestbedError:
            return False
        return True

    def inspect(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return what docker knows about an object, None if there is no such object."""
        try:
            found: list[dict[str, Any]] = json.loads(self(kind, "inspect", name))
        except CommandError as error:
            if "no such" in error.output.lower() or "not found" in error.output.lower():
                return None
            raise
        return found[0]

    def exec(self, container: str, command: Sequence[str], *, user: str | None = None,
             stdin: str | bytes | None = None, timeout: float = 120) -> str:  # fmt: skip
        """Run a command in a container and return its stdout; raises CommandError."""
        options = [*(["--user", user] if user else []), *(["--interactive"] if stdin is not None else [])]
        return self("exec", *options, container, *command, stdin=stdin, timeout=timeout)

    def remove_container(self, name: str) -> None:
        """Remove a container whatever its state, if it is there."""
        if self.inspect("container", name) is not None:
            self("container", "rm", "--force", "--volumes", name)

    def remove_volumes(self, label: str) -> None:
        """Remove all volumes that carry a label."""
        if volumes := self("volume", "ls", "--quiet", "--filter", f"label={label}").split():
            self("volume", "rm", "--force", *volumes)

    def containers(self, label: str) -> list[str]:
        """Return the names of all containers, running or not, that carry a label."""
        return self("container", "ls", "--all", "--filter", f"label={label}", "--format", "{{.Names}}").split()
