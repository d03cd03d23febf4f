"""The one interface to Slurm, its request types and its errors; no I/O.

Implemented by ``drivers.pyslurm_process``, ``drivers.cli``, ``drivers.pair`` and ``fake``, and held to one contract by
tests/unit/sidecars/slurm/driver_contract.py. Called by ``submit`` (one RPC per pod, which cannot be had for less) and
by the reconciler (one RPC for all pods). Invariant: an error says what to do next, by its type, in Slurm's own words.
"""

from collections.abc import Iterable
from typing import Protocol

import msgspec

from interlink.core.job.facts import JobFacts


class SlurmRefused(Exception):
    """Slurm answered, and says no: asking the same again is in vain.

    No job will run; slurmctld may still show a record of the attempt, FAILED and without nodes.
    """


class SlurmUnavailable(Exception):
    """Slurm gave no usable answer (away, hung, busy).

    What was asked may have been done all the same: a submit is looked up by its comment before it is repeated.
    """


class SlurmFull(SlurmUnavailable):
    """Slurm answered that the queue is as full as it may be (a limit of the moment): no job came of the submit."""


class SlurmTimedOut(SlurmUnavailable):
    """The question went out and no answer came: Slurm may still be at it, and do what was asked a good while later."""


class JobRequest(msgspec.Struct, kw_only=True, frozen=True):
    """One batch job as we submit it. ``comment`` is the pod's UID; ``environment`` is all that the job gets.

    Empty texts and zeros leave Slurm's own default.
    """

    name: str
    comment: str
    script: str
    working_directory: str
    output: str
    #: Per task.
    cpus: int
    #: Per node.
    memory_mib: int
    environment: dict[str, str]
    #: None leaves the partition's own limit.
    time_limit_minutes: int | None = None
    #: Empty leaves the site's default.
    partition: str = ""
    account: str = ""
    qos: str = ""
    reservation: str = ""
    constraint: str = ""
    nodes: int = 1
    tasks: int = 1
    #: sbatch's --gres for each node: ``gpu:2``, ``gpu:a100:1``.
    gres: tuple[str, ...] = ()
    #: --tmp: local disk of each node.
    tmp_mib: int = 0
    #: --signal, as ``B:TERM@60``: the walltime warning.
    signal: str = ""
    #: Whether Slurm may run the job again after a preemption or a lost node.
    requeue: bool = False
    #: The site's user who owns the job and its files; empty is the service's own user.
    user: str = ""
    #: What else the pod's annotations asked for and the policy let through: sbatch's long options without their
    #: dashes, each once (``exclusive``: "", ``nodelist``: "c1"). A driver that cannot say one refuses it by name.
    options: dict[str, str] = {}


class Capacity(msgspec.Struct, kw_only=True, frozen=True):
    """What a partition has in all, whatever of it is free."""

    cpus: int
    memory_mib: int
    nodes: int
    #: Pieces of each generic resource, by its name or, where slurm.conf gives it a type, name and type: ``gpu:a100``.
    gres: dict[str, int] = {}


class SlurmDriver(Protocol):
    """Slurm as the sidecar sees it. Thread-safe; every call ends within the driver's deadline.

    Every call raises SlurmUnavailable; those that say so also SlurmRefused.
    """

    def submit(self, request: JobRequest) -> int:
        """Submit the job and return its id. Raises SlurmRefused, and then no job will run."""

    def jobs(self) -> dict[int, JobFacts]:
        """Return every job of our own user that slurmctld remembers, by job id: one RPC."""

    def history(self, job_ids: Iterable[int]) -> dict[int, JobFacts]:
        """Return what accounting knows of the jobs that slurmctld has forgotten; empty on a site without it.

        While accounting is configured and does not answer, this raises: silence is not "nothing known".
        """

    def signal(self, job_id: int, name: str) -> bool:
        """Send the signal (``TERM``, ``KILL``) to the job's batch step; False where there is none to send it to yet.

        A job that has ended, or that is not known, is no error: there is nothing left to signal.
        """

    def cancel(self, job_id: int) -> None:
        """End the job for good, whatever its state. A job that has ended, or that is not known, is no error."""

    def totals(self, partition: str) -> Capacity:
        """Return the partition's total capacity; "" is the site's default one. Raises SlurmRefused for no such one.

        Of several partitions, with commas between them, each node counts once.
        """

    def close(self) -> None:
        """Let go of every process and file behind the driver."""
