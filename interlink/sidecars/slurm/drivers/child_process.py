"""One child process with a pipe in, a pipe out and a deadline for each exchange; its stderr goes to our log.

Called by ``pyslurm_process`` only. Invariant: the thread that starts the child lives until the child has ended, because
the kernel's parent-death signal, which the child asks for, is bound to that thread and not to our process.
"""

import collections
import logging
import os
import select
import struct
import subprocess
import threading
import time
from typing import IO

log = logging.getLogger(__name__)
_LENGTH = struct.Struct(">I")
_HELLO = b"ready"
_MAX_ANSWER = 256 * 1024**2


class ChildProcess:
    """A started child. Not thread-safe but for ``kill``."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command
        self._errors: collections.deque[str] = collections.deque(maxlen=20)
        self._process: subprocess.Popen[bytes] | None = None
        self._failure: OSError | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._tend, name="pyslurm-child", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._process is None:
            raise self._failure or OSError("the child process did not start")

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The child."""
        assert self._process is not None  # noqa: S101 - set before the constructor returns
        return self._process

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self.process.pid

    def hello(self, timeout: float) -> None:
        """Wait for the child's first frame. Raises OSError (TimeoutError among them)."""
        if self._read_frame(time.monotonic() + timeout) != _HELLO:
            raise OSError("it said something else than hello")

    def exchange(self, data: bytes, timeout: float) -> bytes:
        """Write one frame and return the body of the next one. Raises OSError (TimeoutError among them)."""
        deadline = time.monotonic() + timeout
        view = memoryview(data)
        out = self._descriptor(self.process.stdin)
        while view:
            self._wait(out, deadline, write=True)
            view = view[os.write(out, view) :]
        return self._read_frame(deadline)

    def kill(self) -> None:
        """End the child now; from any thread."""
        self.process.kill()

    def close(self) -> None:
        """End the child, reap it and close its pipes; not during another thread's exchange."""
        self.kill()
        self._thread.join(5)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()

    def last_words(self) -> str:
        """Return the end of what the child wrote to stderr, as one line."""
        return " / ".join(list(self._errors)[-3:])

    def _read_frame(self, deadline: float) -> bytes:
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size, deadline))
        if length > _MAX_ANSWER:
            raise OSError(f"it announced an answer of {length} bytes")
        return self._read(length, deadline)

    def _read(self, size: int, deadline: float) -> bytes:
        source = self._descriptor(self.process.stdout)
        data = bytearray()
        while len(data) < size:
            self._wait(source, deadline, write=False)
            chunk = os.read(source, min(size - len(data), 1024**2))
            if not chunk:
                raise OSError("it closed its output")
            data += chunk
        return bytes(data)

    @staticmethod
    def _descriptor(pipe: IO[bytes] | None) -> int:
        if pipe is None or pipe.closed:
            raise OSError("it has ended")
        return pipe.fileno()

    @staticmethod
    def _wait(descriptor: int, deadline: float, *, write: bool) -> None:
        poller = select.poll()
        poller.register(descriptor, select.POLLOUT if write else select.POLLIN)
        if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError("no answer by the deadline")

    def _tend(self) -> None:
        """Start the child, read its stderr until its end, reap it: the life of one thread."""
        try:
            self._process = subprocess.Popen(
                [*self._command, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            self._failure = error
            return
        finally:
            self._started.set()
        assert self._process.stderr is not None  # noqa: S101 - asked for above
        with self._process.stderr as errors:
            for line in iter(errors.readline, b""):
                text = line.decode(errors="replace").strip()[:500]
                self._errors.append(text)
                log.info("pyslurm process %d: %s", self._process.pid, text)
        self._process.wait()
