"""``/getLogs``: one container's log, from the files that the compute node writes, as they grow.

Called by ``backend``. Invariants: the path comes from the pod's known containers only; a follow ends once the container
has ended and everything was read, and says every few seconds that it lives.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, BinaryIO

from interlink.core.rerun import has_begun
from interlink.sidecars.backend import NotFound, NotStarted, Unavailable
from interlink.sidecars.crilog import LogFormatter, LogQuery, end_offset, find_tail
from interlink.sidecars.slurm.folders import JobFolders
from interlink.sidecars.slurm.pods import PodTable
from interlink.wire.messages import LogRequest, PodStatus

_POLL_SECONDS, _KEEP_ALIVE_SECONDS = 0.2, 5.0
#: How often a follow looks whether its log goes on in another file.
_NEXT_FILE_SECONDS = 1.0
_CHUNK = 256 * 1024


class Logs:
    """Reads the logs of this site's pods."""

    def __init__(self, table: PodTable, folders: JobFolders) -> None:
        self._table = table
        self._folders = folders

    def read(self, request: LogRequest) -> Iterator[bytes]:
        """Return the log's chunks. Raises NotFound, NotStarted, Unavailable, ValueError before the first one."""
        status = self._table.status(request.PodUID)
        container = _container(status, request.ContainerName)
        if status is None or container is None:
            raise NotFound(f'container "{request.ContainerName}" of pod "{request.PodName}" is not known here')
        query = LogQuery.of(request.Opts, datetime.now(UTC))
        files = _Files(self._folders, request)
        try:
            file = files.open_first(query)
        except OSError as error:
            raise Unavailable(f"the log cannot be read now: {error}") from error
        if file is None:
            if request.Opts.Previous:
                raise NotFound(
                    f'previous terminated container "{request.ContainerName}" in pod "{request.PodName}" not found'
                )
            state = container.get("state") or {}
            if "waiting" in state or not state:
                reason = (state.get("waiting") or {}).get("reason") or "ContainerCreating"
                raise NotStarted(
                    f'container "{request.ContainerName}" in pod "{request.PodName}" is waiting to start: {reason}'
                )
            return iter(())
        follow = request.Opts.Follow and not request.Opts.Previous
        restarts = container.get("restartCount", 0)
        return _stream(files, file, query, (lambda: self._is_over(request, restarts)) if follow else None)

    def _is_over(self, request: LogRequest, restarts: int) -> bool:
        """Whether the run of the container whose log was opened has ended."""
        status = self._table.status(request.PodUID)
        container = _container(status, request.ContainerName)
        if status is None or container is None or status.ended:
            return True
        return not _is_under_way(container) or container.get("restartCount", 0) != restarts


class _Files:
    """The files of one run's log: the runner begins a new one when one is full, and removes the oldest."""

    def __init__(self, folders: JobFolders, request: LogRequest) -> None:
        self._folders = folders
        self._of = (request.PodUID, request.ContainerName)
        self._previous = request.Opts.Previous
        self._number = 0

    def open_first(self, query: LogQuery) -> BinaryIO | None:
        """Open the file that the output begins in, at the place; None where there is no log. Raises OSError."""
        numbers = self._folders.log_numbers(*self._of, previous=self._previous)
        if query.from_end:
            newest = self._open(numbers[::-1])
            if newest is not None:
                newest.seek(end_offset(newest))
            return newest
        return self._open_tail(numbers, query.tail) if query.tail else self._open(numbers)

    def _open_tail(self, numbers: list[int], tail: int) -> BinaryIO | None:
        """Open the file that the last so many lines begin in, at the place. Raises OSError."""
        opened: BinaryIO | None = None
        for number in reversed(numbers):
            older = self._open([number])
            if older is None:
                continue
            if opened is not None:
                opened.close()
            opened = older
            offset, found = find_tail(opened, tail)
            opened.seek(offset)
            tail -= found
            if not tail:
                break
        return opened

    def open_next(self) -> BinaryIO | None:
        """Open the file after the one that was opened last; None where there is none yet. Raises OSError."""
        numbers = self._folders.log_numbers(*self._of, previous=self._previous)
        return self._open([number for number in numbers if number > self._number])

    def _open(self, numbers: list[int]) -> BinaryIO | None:
        """Open the first of the files that is still there."""
        for number in numbers:
            file = self._folders.open_log(*self._of, previous=self._previous, number=number)
            if file is not None:
                self._number = number
                return file
        return None


def _container(status: PodStatus | None, name: str) -> dict[str, Any] | None:
    """Return the container's status by its name, exactly."""
    everyone = (*status.containers, *status.initContainers) if status else ()
    return next((container for container in everyone if container.get("name") == name), None)


def _is_under_way(container: dict[str, Any]) -> bool:
    """Whether the newest run of a container that has a log goes on."""
    if "waiting" in container["state"] and not container.get("lastState"):
        return True  # its log says that its first run has begun: the report of that is on its way, or its hook runs
    return "running" in container["state"] or has_begun(container)


def _stream(files: _Files, file: BinaryIO, query: LogQuery, is_over: Callable[[], bool] | None) -> Iterator[bytes]:
    """Yield the log; with ``is_over``, go on until that is so and everything was read once more."""
    lines = _Lines(query)
    try:
        last, looked, last_round = time.monotonic(), 0.0, is_over is None
        while not lines.full:
            data = file.read(_CHUNK)
            if data:
                if output := lines.feed(data):
                    last = time.monotonic()
                    yield output
                continue
            now = time.monotonic()
            if last_round or now - looked >= _NEXT_FILE_SECONDS:
                looked = now
                if (following := files.open_next()) is not None:
                    # It was begun after the last word went into this one.
                    yield lines.feed(file.read())
                    file.close()
                    file = following
                    continue
            if last_round:
                break
            last_round = is_over is not None and is_over()
            if now - last >= _KEEP_ALIVE_SECONDS:
                last = now
                yield b""
            time.sleep(_POLL_SECONDS)
        if rest := lines.end():
            yield rest
    finally:
        file.close()


class _Lines:
    """Bytes as they come → the output of whole lines."""

    def __init__(self, query: LogQuery) -> None:
        self._formatter = LogFormatter(query)
        self._rest = b""

    @property
    def full(self) -> bool:
        return self._formatter.full

    def feed(self, data: bytes) -> bytes:
        *lines, self._rest = (self._rest + data).split(b"\n")
        return self._formatter.feed(lines)

    def end(self) -> bytes:
        """Return the output of a last line without its end."""
        return self._formatter.feed([self._rest]) if self._rest and not self.full else b""
