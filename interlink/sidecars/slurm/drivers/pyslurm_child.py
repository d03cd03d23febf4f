"""The child process that owns pyslurm: reads calls from stdin, answers on stdout, dies with its parent.

Started by ``child_process`` as ``python -m interlink.sidecars.slurm.drivers.pyslurm_child PARENT_PID``. The only module
of the project that imports pyslurm. Invariant: exactly one answer per call, and nothing else on stdout.
"""

import ctypes
import os
import pwd
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

import msgspec

from interlink import memory
from interlink.sidecars.slurm.drivers import messages, pyslurm_facts
from interlink.sidecars.slurm.drivers.pyslurm_job import NotPossible, description
from interlink.sidecars.slurm.drivers.slurm_errors import ALREADY_OVER, JOB_PENDING, failure, submit_failure

_PR_SET_PDEATHSIG = 1
#: How libslurm writes an error to stderr: with the program's name, and with a time where slurm.conf wants one.
_ERROR = re.compile(r"^(?:\[[^]]*\] )?[^: ]+: error: (.+)$", re.MULTILINE)


def main() -> int:
    """Serve calls until stdin ends."""
    _die_with_parent(int(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever libslurm prints must not get between the frames
    slurm = _load_pyslurm()
    memory.settle()
    answers.write(messages.pack(0, messages.HELLO))
    answers.flush()
    decoder: msgspec.json.Decoder[messages.Call] = msgspec.json.Decoder(messages.Call)
    while (frame := messages.read_frame(sys.stdin.buffer)) is not None:
        number, body = frame
        answers.write(messages.pack(number, msgspec.json.encode(_answer(slurm, decoder.decode(body)))))
        answers.flush()
    return 0


def _die_with_parent(parent: int) -> None:
    """Ask the kernel to kill us with our parent, even in the middle of an RPC; it may be gone already."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit("the sidecar is gone")


def _load_pyslurm() -> Any:
    """Import pyslurm without its own start, which would end the process after a minute where slurm.conf is missing."""
    os.environ["PYSLURM_DISABLE_AUTO_INIT"] = "1"
    for name in [name for name in os.environ if name.startswith("SLURM_") and name not in ("SLURM_CONF",)]:
        del os.environ[name]  # pyslurm copies them into every job
    import pyslurm  # noqa: PLC0415 - only after the switch above

    pyslurm.slurm_init(os.environ.get("SLURM_CONF") or None)
    return pyslurm


def _answer(slurm: Any, call: messages.Call) -> messages.Answer:
    """Carry out the call; what Slurm or pyslurm raises becomes an answer."""
    handler: Callable[[Any, Any], messages.Answer] = _HANDLERS[type(call)]
    try:
        return handler(slurm, call)
    except slurm.RPCError as error:
        return failure(error.errno, error.msg)
    except Exception as error:
        return messages.Failure(f"{type(error).__name__}: {error}", refused=False)


def _submit(slurm: Any, call: messages.Submit) -> messages.Answer:
    """Submit; what cannot even be written down as a job is refused before Slurm hears of it."""
    request = call.request
    job = None
    with _stderr_kept() as kept:
        try:
            job = slurm.JobSubmitDescription(**description(request))
            return messages.JobId(int(job.submit()))
        except NotPossible as error:
            return messages.Failure(str(error), refused=True)
        except slurm.RPCError as error:
            return submit_failure(error.errno, _with_errors(error.msg or f"Slurm error {error.errno}", kept))
        except (OverflowError, TypeError, ValueError) as error:
            if job is not None and _can_be_described(job):
                raise  # after the request went out, then
            size = f"{request.cpus} CPUs, {request.memory_mib} MiB"
            return messages.Failure(f"such a job cannot be described to Slurm ({size}): {error}", refused=True)


def _can_be_described(job: Any) -> bool:
    """Whether pyslurm's own checks pass, which submit() makes before it asks Slurm; asked only after it failed."""
    try:
        job._create_job_submit_desc()
    except (OverflowError, TypeError, ValueError):
        return False
    return True


@contextmanager
def _stderr_kept() -> Iterator[IO[bytes]]:
    """Let what libslurm prints go into a file in memory, and from there to our stderr: a limit's name is only there."""
    own = os.dup(2)
    try:
        with os.fdopen(os.memfd_create("stderr"), "w+b", buffering=0) as kept:
            os.dup2(kept.fileno(), 2)
            try:
                yield kept
            finally:
                os.dup2(own, 2)
                kept.seek(0)
                os.write(2, kept.read())
    finally:
        os.close(own)


def _with_errors(words: str, kept: IO[bytes]) -> str:
    """Return the words with the errors behind them that libslurm printed, as sbatch's user sees both."""
    kept.seek(0)
    errors = dict.fromkeys(_ERROR.findall(kept.read().decode(errors="replace")))
    others = "; ".join(error for error in errors if words not in error)
    return f"{words} ({others})"[:1000] if others else words


def _jobs(slurm: Any, call: messages.ListJobs) -> messages.Answer:
    users = {os.getuid(), *(pwd.getpwnam(user).pw_uid for user in call.users)}
    found = []
    jobs = slurm.Jobs.load(frozen=True)
    for job_id in list(jobs):  # what pyslurm has of each is let go at once
        job = jobs.pop(job_id)
        if job.user_id in users:
            found.append(pyslurm_facts.of_job(job))
    return messages.JobList(found)


def _history(slurm: Any, call: messages.History) -> messages.Answer:
    """Ask accounting; a site without it has nothing to say, one whose accounting is away has not said it yet."""
    try:
        jobs = slurm.db.Jobs.load(slurm.db.JobFilter(ids=call.job_ids)).values()
    except slurm.RPCError as error:  # pyslurm gives it no number
        if _has_accounting(slurm):
            return messages.Failure(f"slurmdbd does not answer: {error.msg}", refused=False)
        return messages.JobList([])
    return messages.JobList([pyslurm_facts.of_record(job) for job in jobs])


def _has_accounting(slurm: Any) -> bool:
    """Whether slurm.conf names an accounting storage."""
    storage = slurm.slurmctld.Config.load().accounting_storage_type or ""
    return storage.rpartition("/")[2] not in ("", "none", "(null)")


def _signal(slurm: Any, call: messages.Signal) -> messages.Answer:
    try:
        slurm.Job(call.job_id).send_signal(f"SIG{call.name}", steps="batch")
    except slurm.RPCError as error:
        if error.errno in JOB_PENDING:
            return messages.Done(delivered=False)
        if error.errno not in ALREADY_OVER:
            raise
    return messages.Done()


def _cancel(slurm: Any, call: messages.Cancel) -> messages.Answer:
    try:
        slurm.Job(call.job_id).cancel()
    except slurm.RPCError as error:
        if error.errno not in ALREADY_OVER:
            raise
    return messages.Done()


def _totals(slurm: Any, call: messages.Totals) -> messages.Answer:
    partitions = {partition.name: partition for partition in slurm.Partitions.load().values()}
    default = next((name for name, found in partitions.items() if found.is_default), "")
    names = {name or default for name in call.partition.split(",")}
    for name in names - partitions.keys():
        missing = f"no partition {name}" if name else "no default partition"
        return messages.Failure(f"{missing}; there are: {', '.join(sorted(partitions))}", refused=True)
    return messages.Partition(pyslurm_facts.capacity(names, slurm.Nodes.load().values()))


_HANDLERS: dict[type, Callable[[Any, Any], messages.Answer]] = {
    messages.Submit: _submit,
    messages.ListJobs: _jobs,
    messages.History: _history,
    messages.Signal: _signal,
    messages.Cancel: _cancel,
    messages.Totals: _totals,
}

if __name__ == "__main__":
    sys.exit(main())
