"""The pyslurm driver: a supervised child process owns libslurm, and every call to it has a deadline.

pyslurm holds the GIL during an RPC, and a controller that hangs would freeze every thread; so the RPC hangs in a
process of its own, which is killed at the deadline and started again for the next call. Called from any thread. The
child takes calls one after another (600 submits a second), because pyslurm does; a few more lie in its pipe meanwhile,
so that it never waits until our interpreter has got round to the next one.
Invariant: a call that failed leaves no child behind, and every other call that was under way there has failed, too.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

import msgspec

from interlink.core.job.facts import JobFacts
from interlink.sidecars.slurm.driver import Capacity, JobRequest, SlurmTimedOut, SlurmUnavailable
from interlink.sidecars.slurm.drivers import messages
from interlink.sidecars.slurm.drivers.child_process import ChildProcess
from interlink.wire.decoding import decode_json

log = logging.getLogger(__name__)
_CHILD = (sys.executable, "-m", "interlink.sidecars.slurm.drivers.pyslurm_child")
#: Importing pyslurm and reading slurm.conf, on a busy machine.
_START_SECONDS = 15.0
#: Calls that the child has or that lie in its pipe. Few: if it is killed, the outcome of all of them is unknown.
_UNDER_WAY = 4
AnswerType = TypeVar("AnswerType", messages.JobId, messages.JobList, messages.Done, messages.Partition)


class PyslurmDriver:
    """``SlurmDriver`` by way of a child process that speaks to libslurm."""

    def __init__(
        self,
        call_timeout: float = 15.0,
        command: tuple[str, ...] = _CHILD,
        users: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """``users`` are the other users of the site who own jobs of ours."""
        self._users = users
        self._timeout = call_timeout
        self._command = command
        self._turns = threading.BoundedSemaphore(_UNDER_WAY)
        #: Held for a look at the child and for its start, not during a call.
        self._lock = threading.Lock()
        self._child: ChildProcess | None = None
        self._number = 0
        self._closed = False
        self._failing = False

    def start(self) -> None:
        """Start the child, which loads pyslurm; no controller is asked. Raises SlurmUnavailable."""
        with self._lock:
            self._running()

    def submit(self, request: JobRequest) -> int:
        """See SlurmDriver."""
        return self._ask(messages.Submit(request), messages.JobId).job_id

    def jobs(self) -> dict[int, JobFacts]:
        """See SlurmDriver."""
        return {job.job_id: job for job in self._ask(messages.ListJobs(sorted(self._users())), messages.JobList).jobs}

    def history(self, job_ids: Iterable[int]) -> dict[int, JobFacts]:
        """See SlurmDriver."""
        return {job.job_id: job for job in self._ask(messages.History(list(job_ids)), messages.JobList).jobs}

    def signal(self, job_id: int, name: str) -> bool:
        """See SlurmDriver."""
        return self._ask(messages.Signal(job_id, name), messages.Done).delivered

    def cancel(self, job_id: int) -> None:
        """See SlurmDriver."""
        self._ask(messages.Cancel(job_id), messages.Done)

    def totals(self, partition: str) -> Capacity:
        """See SlurmDriver."""
        return self._ask(messages.Totals(partition), messages.Partition).capacity

    def close(self) -> None:
        """End the child; a call under way fails with SlurmUnavailable."""
        self._closed = True
        child = self._child
        if child:
            child.kill()
        with self._lock:
            child, self._child = self._child, None
        if child:
            child.close()

    def _ask(self, call: messages.Call, kind: type[AnswerType]) -> AnswerType:
        """Pass one call to the child and return its answer, by the deadline, which includes the wait for our turn."""
        deadline = time.monotonic() + self._timeout
        if not self._turns.acquire(timeout=self._timeout):
            raise SlurmUnavailable(f"Slurm gave no answer within {self._timeout:g} s (earlier calls still wait)")
        try:
            answer = self._exchange(call, deadline)
        finally:
            self._turns.release()
        if isinstance(answer, messages.Failure):
            raise answer.error()
        if not isinstance(answer, kind):
            raise SlurmUnavailable(f"the pyslurm process answered {type(answer).__name__} to {type(call).__name__}")
        return answer

    def _exchange(self, call: messages.Call, deadline: float) -> messages.Answer:
        if not self._lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise SlurmUnavailable(f"the pyslurm process has not started within {self._timeout:g} s")
        try:
            child = self._running()
            self._number += 1
            number = self._number
            # Behind slow calls it gets half as long again, so that they do not use up its time. Behind one that
            # hangs it does not wait for that: the first of them ends all of them at its own deadline.
            spare = self._timeout / 2 if child.busy else 0.0
        finally:
            self._lock.release()
        try:
            timeout = max(deadline - time.monotonic(), self._timeout / 2) + spare
            answer: messages.Answer = decode_json(
                child.exchange(number, msgspec.json.encode(call), timeout), messages.Answer
            )
        except (TimeoutError, OSError, msgspec.MsgspecError) as error:
            self._end(child, error if isinstance(error, OSError) else OSError(str(error)))
            if isinstance(error, TimeoutError):
                raise SlurmTimedOut(f"Slurm gave no answer within {self._timeout:g} s") from error
            raise SlurmTimedOut(f"the pyslurm process ended: {child.last_words() or error}") from error
        self._failing = False
        return answer

    def _running(self) -> ChildProcess:
        """Return the child, started if there is none. A new one says a word when it has loaded Slurm's library."""
        if self._closed:
            raise SlurmUnavailable("this sidecar is stopping")
        if self._child is None:
            self._child = child = self._start()
            log.log(logging.DEBUG if self._failing else logging.INFO, "pyslurm process %d started", child.pid)
        return self._child

    def _start(self) -> ChildProcess:
        try:
            child = ChildProcess(self._command)
        except OSError as error:
            raise SlurmUnavailable(f"the pyslurm process does not start: {error}") from error
        try:
            child.hello(max(self._timeout, _START_SECONDS))
        except OSError as error:  # TimeoutError is one
            child.close()
            raise SlurmUnavailable(f"the pyslurm process does not start: {child.last_words() or error}") from error
        return child

    def _end(self, child: ChildProcess, reason: OSError) -> None:
        """End the child, if none of the calls that were under way with this one has done so."""
        with self._lock:
            if self._child is not child:
                return
            self._child = None
            level = logging.DEBUG if self._failing else logging.WARNING  # once per outage, not with every poll of it
            self._failing = True
        child.close(reason)
        log.log(level, "pyslurm process %d ended; the next call starts a new one", child.pid)
