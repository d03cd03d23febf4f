"""What a container's process reads from and writes to: an open input, pipes or a terminal. Called by ``process.py``.

``stdin: true`` is a FIFO in the job's folder, held open here so that it has no end; who attaches to the container
writes into it, on the same node. With ``stdinOnce`` the writer removes the FIFO when its input is over, and that is the
container's end of input.
"""

import fcntl
import os
import pty
import stat
import struct
import termios
from typing import Any, Dict, List, Optional

INPUT_FOLDER = "stdin"
#: A terminal that nobody has sized yet: rows and columns.
WINDOW = struct.pack("HHHH", 24, 80, 0, 0)

#: What a terminal takes for the end of input (termios(3), VEOF).
END_OF_INPUT = b"\x04"


class Streams:
    """The streams of one run of a container. Close what ``child`` returned once the process has been started."""

    def __init__(self, folder: str, spec: Dict[str, Any]) -> None:
        self.tty, self.once = bool(spec.get("tty")), bool(spec.get("stdinOnce"))
        self.path = os.path.join(folder, INPUT_FOLDER, spec["name"])
        #: The FIFO, read and write, so that it never ends; -1 without one, and once the input is over.
        self.input = -1
        #: Open files that the container's output comes from, by the name of its stream.
        self.outputs: Dict[int, str] = {}
        self.terminal = -1
        self.unwritten = b""
        self._given: List[int] = []
        if spec.get("stdin"):
            self._open_input()

    def _open_input(self) -> None:
        os.makedirs(os.path.dirname(self.path), 0o700, exist_ok=True)
        if os.path.lexists(self.path) and not stat.S_ISFIFO(os.lstat(self.path).st_mode):
            os.unlink(self.path)
        if not os.path.lexists(self.path):
            os.mkfifo(self.path, 0o600)
        self.input = os.open(self.path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)

    def child(self) -> List[int]:
        """Return the process's descriptors 0, 1 and 2. Raises OSError."""
        if self.tty:
            self.terminal, slave = pty.openpty()
            fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, WINDOW)
            os.set_blocking(self.terminal, False)
            self.outputs[self.terminal] = "stdout"
            self._given = [slave]
            return [slave, slave, slave]
        source = os.open(self.path if self.input >= 0 else os.devnull, os.O_RDONLY)
        self._given = [source]
        for name in ("stdout", "stderr"):
            reading, writing = os.pipe()
            self.outputs[reading] = name
            self._given.append(writing)
        return list(self._given)

    def started(self) -> None:
        """Close what only the process needs."""
        for descriptor in self._given:
            os.close(descriptor)
        self._given = []

    def sources(self) -> List[int]:
        """Return what to wait for: the outputs, and the input where it goes through the terminal."""
        typed = [self.input] if self.tty and self.input >= 0 and not self.unwritten else []
        return [*self.outputs, *typed]

    def read(self, descriptor: int) -> Optional[bytes]:
        """Return what came, b"" at the end of a stream (which is forgotten), None for what is no output."""
        if descriptor == self.input:
            self.unwritten += os.read(descriptor, 4096)
            self.step()
            return None
        try:
            data = os.read(descriptor, 65536)
        except OSError:  # a terminal whose last user is gone
            data = b""
        if not data:
            self._forget(descriptor)
        return data

    def step(self) -> None:
        """Pass on what was typed, and see whether whoever wrote the input has ended it."""
        if self.once and self.input >= 0 and not self.unwritten and not os.path.lexists(self.path):
            self._close_input()
            self.unwritten = END_OF_INPUT if self.tty else b""
        if self.unwritten and self.terminal >= 0:
            try:
                self.unwritten = self.unwritten[os.write(self.terminal, self.unwritten) :]
            except BlockingIOError:
                pass  # the container does not read: what was typed waits

    def close(self) -> None:
        """Close everything."""
        self.started()
        for descriptor in list(self.outputs):
            self._forget(descriptor)
        if self.input >= 0:
            self._close_input()

    def _close_input(self) -> None:
        os.close(self.input)
        self.input = -1

    def _forget(self, descriptor: int) -> None:
        del self.outputs[descriptor]
        os.close(descriptor)
        if descriptor == self.terminal:
            self.terminal = -1
