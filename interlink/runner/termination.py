"""A container's last words: the file that it may write them to, else the end of its log. Called by ``container.py``.

v1.Container.terminationMessagePath and terminationMessagePolicy. The file is bound into the container; on the host it
appears below $INTERLINK_MOUNTS.
"""

import os
import stat
from typing import Any, Dict

from interlink.runner.runtimes import Bind

#: Kubernetes' limits, in bytes: a file's message, a log's, and all messages of one pod together.
FROM_FILE, FROM_LOG, OF_A_POD = 4096, 2048, 12 * 1024
LOG_LINES = 80


class LastWords:
    """The termination message of one container."""

    def __init__(self, plan: Dict[str, Any], spec: Dict[str, Any]) -> None:
        everyone = len(plan["containers"]) + len(plan.get("initContainers", ()))
        self.limit = min(FROM_FILE, OF_A_POD // everyone)
        self.folder = os.path.join(plan["folder"], "termination")
        self.path = os.path.join(self.folder, spec["name"])
        self.inside = spec.get("terminationMessagePath") or "/dev/termination-log"
        self.from_log = spec.get("terminationMessagePolicy") == "FallbackToLogsOnError"

    def begin(self) -> Bind:
        """Make the file anew, and return how the container sees it. Raises OSError."""
        os.makedirs(self.folder, 0o700, exist_ok=True)
        if os.path.lexists(self.path):
            os.unlink(self.path)
        os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        # A container may be another user than the job inside; the folder keeps everybody else out.
        os.chmod(self.path, 0o666)  # noqa: S103
        return Bind(self.path, self.inside)

    def read(self, exit_code: int, log: bytes) -> str:
        """Return the message of a container that ended so; ``log`` is the end of what it printed."""
        words = self._from_file()
        if not words and self.from_log and exit_code != 0:
            words = b"".join(log[-FROM_LOG:].splitlines(True)[-LOG_LINES:])
        # Half a character at the cut would become more bytes than it was.
        return os.fsdecode(words[: self.limit].decode("utf-8", "ignore").encode("utf-8"))

    def _from_file(self) -> bytes:
        """Return the file's beginning; what a container on the host made something else of says nothing."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return b""
        with open(descriptor, "rb") as file:
            return file.read(FROM_FILE) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
