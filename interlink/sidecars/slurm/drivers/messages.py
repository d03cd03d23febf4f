"""What the sidecar and its pyslurm child say to each other: length-prefixed JSON over two pipes.

Shared by ``pyslurm_process``, ``child_process`` (parent) and ``pyslurm_child``. A frame is a number (8 bytes), a length
(4) and JSON; a call's number comes back with its answer. The child's first frame, 0, says that it is ready.
"""

import struct
from typing import BinaryIO

import msgspec

from interlink.core.job.facts import JobFacts
from interlink.sidecars.slurm.driver import (
    Capacity,
    JobRequest,
    SlurmFull,
    SlurmRefused,
    SlurmTimedOut,
    SlurmUnavailable,
)

_HEAD = struct.Struct(">QI")
_LONGEST = 256 * 1024**2
HELLO = b"ready"


class Submit(msgspec.Struct, tag="submit"):
    """Submit a job; answered by JobId."""

    request: JobRequest


class ListJobs(msgspec.Struct, tag="jobs"):
    """Every job of our user and of these others; answered by JobList."""

    users: list[str] = []


class History(msgspec.Struct, tag="history"):
    """Accounting's word on these jobs; answered by JobList."""

    job_ids: list[int]


class Signal(msgspec.Struct, tag="signal"):
    """Signal the batch step; answered by Done."""

    job_id: int
    name: str


class Cancel(msgspec.Struct, tag="cancel"):
    """End the job; answered by Done."""

    job_id: int


class Totals(msgspec.Struct, tag="totals"):
    """A partition's capacity; answered by Partition."""

    partition: str


class JobId(msgspec.Struct, tag="jobId"):
    """The id of the job that was submitted."""

    job_id: int


class JobList(msgspec.Struct, tag="jobList"):
    """Jobs, in no order."""

    jobs: list[JobFacts]


class Done(msgspec.Struct, tag="done"):
    """Done; ``delivered`` False where a signal found no batch step."""

    delivered: bool = True


class Partition(msgspec.Struct, tag="partition"):
    """A partition's capacity."""

    capacity: Capacity


class Failure(msgspec.Struct, tag="failure"):
    """Slurm's own words; which of a driver's errors it is: refused, unanswered (asked, and no answer came), full."""

    words: str
    refused: bool
    unanswered: bool = False
    #: Answered: not taken, because the queue is as full as it may be.
    full: bool = False

    def error(self) -> SlurmRefused | SlurmUnavailable:
        """Return the driver's error that this is."""
        if self.refused:
            return SlurmRefused(self.words)
        return (SlurmTimedOut if self.unanswered else SlurmFull if self.full else SlurmUnavailable)(self.words)


Call = Submit | ListJobs | History | Signal | Cancel | Totals
Answer = JobId | JobList | Done | Partition | Failure


def pack(number: int, body: bytes) -> bytes:
    """Return the frame's bytes on the pipe."""
    return _HEAD.pack(number, len(body)) + body


def read_frame(source: BinaryIO) -> tuple[int, bytes] | None:
    """Return the next frame's number and JSON from a buffered pipe, None at its end. Raises OSError."""
    head = source.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    number, length = _HEAD.unpack(head)
    if length > _LONGEST:
        raise OSError(f"it announced a frame of {length} bytes")
    body = source.read(length)
    return (number, body) if len(body) == length else None
