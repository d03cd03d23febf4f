"""One child process with a pipe in, a pipe out and a deadline for each exchange; its stderr goes to our log.

Called by ``pyslurm_process`` only. Several exchanges may be under way: while the child is at one, the next lies in its
pipe already. Invariants: an answer goes to the call of its number; whatever ends the child fails every call under way;
the thread that starts the child lives until the child has ended, because the kernel's parent-death signal, which the
child asks for, is bound to that thread and not to our process.
"""

import collections
import io
import logging
import os
import queue
import select
import subprocess
import threading
import time

from interlink.sidecars.slurm.drivers import messages

log = logging.getLogger(__name__)
Waiter = queue.SimpleQueue["bytes | OSError"]


class ChildProcess:
    """A started child. Thread-safe."""

    def __init__(self, command: tuple[str, ...]) -> None:
        """Raises OSError where it cannot be started."""
        self._command = command
        self._errors: collections.deque[str] = collections.deque(maxlen=20)
        self._process: subprocess.Popen[bytes] | None = None
        self._failure: OSError | None = None
        self._started = threading.Event()
        self._writing = threading.Lock()
        #: The calls under way by number, and why there cannot be any more of them.
        self._waiting: dict[int, Waiter] = {0: queue.SimpleQueue()}
        self._hello = self._waiting[0]
        self._over: OSError | None = None
        self._guard = threading.Lock()
        self._thread = threading.Thread(target=self._tend, name="pyslurm-child", daemon=True)
        self._listener = threading.Thread(target=self._listen, name="pyslurm-answers", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._process is None:
            raise self._failure or OSError("the child process did not start")
        self._listener.start()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The child."""
        assert self._process is not None  # noqa: S101 - set before the constructor returns
        return self._process

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self.process.pid

    @property
    def busy(self) -> bool:
        """Whether calls are under way."""
        return bool(self._waiting)

    def hello(self, timeout: float) -> None:
        """Wait for the child's first frame. Raises OSError (TimeoutError among them)."""
        if self._answer(self._hello, time.monotonic() + timeout) != messages.HELLO:
            raise OSError("it said something else than hello")

    def exchange(self, number: int, body: bytes, timeout: float) -> bytes:
        """Write one call, under a number of its own, and return its answer. Raises OSError (TimeoutError among them).

        After an error the child is of no use any more.
        """
        deadline = time.monotonic() + timeout
        waiter: Waiter = queue.SimpleQueue()
        with self._guard:
            if self._over:
                raise _again(self._over)
            self._waiting[number] = waiter
        if not self._writing.acquire(timeout=timeout):
            raise TimeoutError("no answer by the deadline")
        try:
            self._write(messages.pack(number, body), deadline)
        finally:
            self._writing.release()
        return self._answer(waiter, deadline)

    def kill(self) -> None:
        """End the child now."""
        self.process.kill()

    def close(self, reason: OSError | None = None) -> None:
        """Fail the calls under way with the reason, end the child, reap it and close its pipes."""
        self._fail(reason or OSError("it was ended"))
        self.kill()
        self._thread.join(5)
        self._listener.join(5)
        with self._writing:
            if self.process.stdin:
                self.process.stdin.close()

    def last_words(self) -> str:
        """Return the end of what the child wrote to stderr, as one line."""
        return " / ".join(list(self._errors)[-3:])

    def _write(self, data: bytes, deadline: float) -> None:
        pipe = self.process.stdin
        if pipe is None or pipe.closed:
            raise OSError("it has ended")
        poller = select.poll()
        poller.register(pipe, select.POLLOUT)
        view = memoryview(data)
        while view:
            if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise TimeoutError("no answer by the deadline")
            view = view[os.write(pipe.fileno(), view[: select.PIPE_BUF]) :]

    @staticmethod
    def _answer(waiter: Waiter, deadline: float) -> bytes:
        try:
            found = waiter.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise TimeoutError("no answer by the deadline") from None
        if isinstance(found, OSError):
            raise _again(found)
        return found

    def _fail(self, reason: OSError) -> None:
        """Give every call under way, and every later one, the first reason that there was."""
        with self._guard:
            self._over = self._over or reason
            waiting, self._waiting = self._waiting, {}
        for waiter in waiting.values():
            waiter.put(self._over)

    def _listen(self) -> None:
        """Hand each answer to the call of its number, until the child's output ends."""
        assert self.process.stdout is not None  # noqa: S101 - a pipe
        reason = OSError("it closed its output")
        with io.BufferedReader(self.process.stdout) as answers:  # type: ignore[type-var]
            try:
                while frame := messages.read_frame(answers):
                    number, body = frame
                    with self._guard:
                        waiter = self._waiting.pop(number, None)
                    if waiter is None:
                        reason = OSError(f"it answered a call, {number}, that nobody waits for")
                        break
                    waiter.put(body)
            except OSError as error:
                reason = error
            self._fail(reason)

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


def _again(error: OSError) -> OSError:
    """Return an error of the same kind and words: one exception is not for several threads to raise."""
    return type(error)(*error.args)
