"""One agent process behind pipes: questions from any thread, answers by number, a deadline for each.

Used by ``remote`` only. The agent's source goes over the pipe first, so the other side needs nothing but a Python.
Invariant: a channel that failed once answers nothing any more; whoever waited is told.
"""

import collections
import json
import logging
import queue
import subprocess
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from importlib import resources
from typing import IO, Any

from interlink.sidecars.slurm.transport.agent import LENGTHS, MAGIC
from interlink.sidecars.slurm.transport.host import HostTimedOut, HostUnavailable

log = logging.getLogger(__name__)
#: What Python runs first: the agent's source, whose length stands in the first line.
BOOTSTRAP = "import sys; i = sys.stdin.buffer; exec(i.read(int(i.readline())))"
#: What a login shell may print before the agent speaks.
_MOST_BANNER = 64 * 1024
_END_SECONDS = 3.0


class Channel:
    """A started agent. Thread-safe."""

    def __init__(self, command: Sequence[str], name: str, timeout: float) -> None:
        """Start it and wait until it speaks. Raises HostUnavailable in the words of what was in the way."""
        self._name = name
        self._errors: collections.deque[str] = collections.deque(maxlen=20)
        self._waiting: dict[int, Future[tuple[Any, bytes]]] = {}
        self._lock = threading.Lock()
        self._number = 0
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._stderr_done = threading.Event()
        self.broken = ""
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                cwd="/",
            )
        except OSError as error:
            raise HostUnavailable(f"{name}: {error}") from error
        source = resources.files("interlink.sidecars.slurm.transport").joinpath("agent.py").read_bytes()
        self._outgoing.put(b"%d\n" % len(source) + source)
        ready: Future[None] = Future()
        for work in (self._write, lambda: self._read(ready), self._read_errors):
            threading.Thread(target=work, name=f"agent {name}", daemon=True).start()
        try:
            ready.result(timeout)
        except TimeoutError:
            self.end(f"no answer within {timeout:g} s")
            raise HostUnavailable(f"{name}: no answer within {timeout:g} s{self._last_words()}") from None
        except OSError as error:
            raise HostUnavailable(f"{name}: {error}") from error

    def ask(self, operation: str, arguments: Mapping[str, Any], body: bytes, timeout: float) -> tuple[Any, bytes]:
        """Return the answer's value and body. Raises OSError: the far one's, HostTimedOut or HostUnavailable."""
        answer: Future[tuple[Any, bytes]] = Future()
        with self._lock:
            if self.broken:
                raise HostUnavailable(f"{self._name}: {self.broken}")
            self._number += 1
            self._waiting[self._number] = answer
            head = {"number": self._number, "operation": operation, "arguments": arguments}
            data = json.dumps(head).encode()
            self._outgoing.put(LENGTHS.pack(len(data), len(body)) + data + body)
        try:
            return answer.result(timeout)
        except TimeoutError:
            self.end(f"no answer within {timeout:g} s")
            raise HostTimedOut(f"{self._name}: no answer within {timeout:g} s") from None

    def end(self, why: str) -> None:
        """Break the channel: the agent ends with its input, and whoever waits is told."""
        with self._lock:
            if self.broken:
                return
            self.broken = why
            waiting, self._waiting = self._waiting, {}
        self._outgoing.put(None)
        threading.Thread(target=self._finish, name=f"agent {self._name}", daemon=True).start()
        for answer in waiting.values():
            answer.set_exception(HostTimedOut(f"{self._name}: {why}"))

    def _finish(self) -> None:
        """Let the agent end what it runs and then itself, now that its input has; kill it where it does not."""
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(PermissionError):  # sudo runs as root, and ends with its pipes
                self._process.kill()

    def _write(self) -> None:
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101 - asked for above
        try:
            while (data := self._outgoing.get()) is not None:
                stdin.write(data)
                stdin.flush()
        except OSError as error:
            self.end(f"the connection broke: {error}{self._last_words()}")
        with suppress(OSError):  # what could not be written is of no use any more
            stdin.close()

    def _read(self, ready: "Future[None]") -> None:
        """Read answers until the output ends, then reap the process."""
        stdout = self._process.stdout
        assert stdout is not None  # noqa: S101 - asked for above
        with stdout:
            if not _skip_banner(stdout):
                status = self._process.wait()
                self._stderr_done.wait(2)
                words = f"it ended with status {status}{self._last_words()}"
                self.end(words)
                ready.set_exception(OSError(words))
                return
            ready.set_result(None)
            while len(lengths := stdout.read(LENGTHS.size)) == LENGTHS.size:
                head, body = LENGTHS.unpack(lengths)
                self._deliver(json.loads(stdout.read(head)), stdout.read(body))
        self._process.wait()
        self.end(f"the connection ended{self._last_words()}")

    def _deliver(self, head: dict[str, Any], body: bytes) -> None:
        with self._lock:
            answer = self._waiting.pop(head["number"], None)
        if answer is None:
            return
        if "value" in head:
            answer.set_result((head["value"], body))
        elif head["errno"] is None:
            answer.set_exception(HostUnavailable(f"{self._name}: {head['words']}"))
        else:
            answer.set_exception(OSError(head["errno"], head["words"], head["path"]))

    def _read_errors(self) -> None:
        errors: IO[bytes] | None = self._process.stderr
        assert errors is not None  # noqa: S101 - asked for above
        with errors:
            for line in errors:
                text = line.decode(errors="replace").strip()[:500]
                self._errors.append(text)
                log.info("%s: %s", self._name, text)
        self._stderr_done.set()

    def _last_words(self) -> str:
        return f" ({' / '.join(list(self._errors)[-3:])})" if self._errors else ""


def _skip_banner(stdout: IO[bytes]) -> bool:
    """Read up to the agent's first word; False where it does not come."""
    seen = b""
    while not seen.endswith(MAGIC):
        byte = stdout.read(1)
        seen = (seen + byte)[-_MOST_BANNER:]
        if not byte:
            return False
    return True
