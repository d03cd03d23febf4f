"""The interface to the host that has the site's files and commands, and the way of it that is this very host.

Called by ``folders`` and what reads through it, and by ``drivers.cli``. ``remote.RemoteHost`` is the other way; both
are held to tests/unit/sidecars/slurm/host_contract.py. Invariant: whatever goes wrong is an OSError; one that says
nothing about a file but about the way there is a HostUnavailable.
"""

import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from interlink.sidecars.slurm.transport.agent import Agent

#: Seconds that a file operation may take before the way there counts as broken.
FILE_SECONDS = 30.0
_MAX_READ = 1024**2


class HostUnavailable(OSError):
    """There is no way to the host or user now; nothing was carried out."""


class HostTimedOut(HostUnavailable):
    """The request went out and no answer came: it may have been carried out, or still be."""


@dataclass(frozen=True)
class Finished:
    """How a command ended; ``status`` None: it was killed at its deadline."""

    status: int | None
    output: str
    errors: str


class Entry(NamedTuple):
    """One name in a folder; ``changed`` in epoch seconds."""

    name: str
    is_folder: bool
    changed: float


class Gathered(NamedTuple):
    """One small file of a folder: its bytes, or None for what is none, or the file system's words about it."""

    name: str
    data: bytes | None
    trouble: str


class Host:
    """Files and commands of one user on one host. Thread-safe. Every call raises OSError."""

    def call(
        self, operation: str, arguments: Mapping[str, Any], body: bytes = b"", timeout: float = FILE_SECONDS
    ) -> tuple[Any, bytes]:
        """Carry out one operation of ``agent.Agent``."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of every process behind it."""

    def user_id(self) -> int:
        """Return the number of the user that everything is done as."""
        value, _ = self.call("hello", {})
        return int(value["uid"])

    def make_folder(self, path: Path, mode: int = 0o700, *, parents: bool = False) -> None:
        """Create the folder, if it is not there."""
        self.call("make_folder", {"path": str(path), "mode": mode, "parents": parents})

    def make_shared_folder(self, path: Path) -> None:
        """Create a folder in which everyone may make their own (mode 1733: no other lists it); its parent lets pass."""
        self.call("make_shared_folder", {"path": str(path)})

    def own_folder(self, path: Path) -> None:
        """Create a folder in one that others may write to; one that is there and not ours is a PermissionError."""
        self.call("own_folder", {"path": str(path)})

    def exists(self, path: Path) -> bool:
        """Whether there is something of that name."""
        value, _ = self.call("exists", {"path": str(path)})
        return bool(value)

    def mode(self, path: Path) -> int:
        """Return the permissions of a file or folder."""
        value, _ = self.call("mode", {"path": str(path)})
        return int(value)

    def read(self, path: Path, limit: int = _MAX_READ) -> bytes | None:
        """Return a regular file's bytes; None where it is none or larger than the limit."""
        value, body = self.call("read", {"path": str(path), "limit": limit})
        return None if value is None else body

    def write(self, path: Path, data: bytes, mode: int = 0o600, *, sync: bool = True) -> None:
        """Write the file so that its name never shows half of it; with ``sync`` it is on the disk, under that name."""
        self.call("write", {"path": str(path), "mode": mode, "sync": sync}, data)

    def entries(self, path: Path) -> list[Entry]:
        """Return what is in the folder."""
        value, _ = self.call("list", {"path": str(path)})
        return [Entry(*entry) for entry in value]

    def gather(  # noqa: PLR0913 - given by name
        self, path: Path, pattern: str, *, skip: Sequence[str] = (), after: str = "", most: int, limit: int = _MAX_READ
    ) -> list[Gathered]:
        """Return the folder's files by name, with the contents of those whose name fits: one round trip.

        ``most`` of them at once, of those whose names come behind ``after``.
        """
        arguments = {"path": str(path), "pattern": pattern, "skip": list(skip), "after": after, "most": most}
        arguments["limit"] = limit
        value, body = self.call("gather", arguments)
        found, offset = [], 0
        for name, size, trouble in value:
            found.append(Gathered(name, None if size is None else body[offset : offset + size], trouble))
            offset += size or 0
        return found

    def rename(self, path: Path, target: Path) -> None:
        """Give the file another name; a missing one is no error."""
        self.call("rename", {"path": str(path), "target": str(target)})

    def remove(self, folder: Path, names: Iterable[str]) -> None:
        """Remove files of the folder; missing ones are no error."""
        self.call("remove", {"path": str(folder), "names": list(names)})

    def remove_tree(self, path: Path) -> None:
        """Remove the folder with all in it; nothing there is no error."""
        self.call("remove_tree", {"path": str(path)}, timeout=10 * FILE_SECONDS)

    def open(self, path: Path) -> BinaryIO | None:
        """Open a regular file to read, as it grows; None where it is missing, a link or anything else."""
        handle, _ = self.call("open", {"path": str(path)})
        return None if handle is None else io.BufferedReader(_OpenFile(self, handle))

    def run(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        keep: Sequence[str] = (),
        stdin: str = "",
        timeout: float,
    ) -> Finished:
        """Run a command with exactly these variables, and those of the host's that are kept.

        Raises FileNotFoundError where there is no such command.
        """
        arguments = {"argv": list(argv), "environment": dict(environment), "keep": list(keep), "timeout": timeout}
        (status, size), body = self.call("run", arguments, stdin.encode(), timeout)
        return Finished(status, body[:size].decode(errors="replace"), body[size:].decode(errors="replace"))


class LocalHost(Host):
    """Our own host and user."""

    def __init__(self) -> None:
        self._agent = Agent()

    def call(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        body: bytes = b"",
        timeout: float = FILE_SECONDS,  # noqa: ARG002
    ) -> tuple[Any, bytes]:
        """See Host; a file operation takes as long as the file system does."""
        value, content = self._agent.perform(operation, arguments, body)
        return value, content

    def close(self) -> None:
        """End the commands that still run."""
        self._agent.end()


class _OpenFile(io.RawIOBase):
    """A file that is open on the host, at an offset of ours."""

    def __init__(self, host: Host, handle: int) -> None:
        super().__init__()
        self._host = host
        self._handle = handle
        self._offset = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            size, _ = self._host.call("size", {"handle": self._handle})
            offset += size
        elif whence == os.SEEK_CUR:
            offset += self._offset
        self._offset = offset
        return offset

    def readinto(self, buffer: Any) -> int:
        _, data = self._host.call("read_at", {"handle": self._handle, "offset": self._offset, "size": len(buffer)})
        buffer[: len(data)] = data
        self._offset += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._host.call("close", {"handle": self._handle})
