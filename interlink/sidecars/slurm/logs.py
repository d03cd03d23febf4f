"""``/getLogs``: one container's log file, from the folder that the compute node writes to, as it grows.

Called by ``backend``. Invariants: the path comes from the pod's known containers only; a follow ends once the container
has ended and everything was read, and says every few seconds that it lives.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, BinaryIO

from interlink.sidecars.backend import NotFound, NotStarted, Unavailable
from interlink.sidecars.crilog import LogFormatter, LogQuery, tail_offset
from interlink.sidecars.slurm.folders import JobFolders
from interlink.sidecars.slurm.pods import PodTable
from interlink.wire.messages import LogRequest, PodStatus

_POLL_SECONDS, _KEEP_ALIVE_SECONDS = 0.2, 5.0
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
        try:
            file = self._folders.open_log(request.PodUID, request.ContainerName, previous=request.Opts.Previous)
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
        return _stream(file, query, (lambda: self._is_over(request, restarts)) if follow else None)

    def _is_over(self, request: LogRequest, restarts: int) -> bool:
        """Whether the run of the container whose log was opened has ended."""
        status = self._table.status(request.PodUID)
        container = _container(status, request.ContainerName)
        if status is None or container is None or status.ended:
            return True
        return "running" not in (container.get("state") or {}) or container.get("restartCount", 0) != restarts


def _container(status: PodStatus | None, name: str) -> dict[str, Any] | None:
    """Return the container's status by its name, exactly."""
    everyone = (*status.containers, *status.initContainers) if status else ()
    return next((container for container in everyone if container.get("name") == name), None)


def _stream(file: BinaryIO, query: LogQuery, is_over: Callable[[], bool] | None) -> Iterator[bytes]:
    """Yield the log; with ``is_over``, go on until that is so and the file was read to its end once more."""
    with file:
        file.seek(tail_offset(file, query.tail) if query.tail else 0)
        formatter = LogFormatter(query)
        rest, last, last_round = b"", time.monotonic(), is_over is None
        while not formatter.full:
            data = file.read(_CHUNK)
            if data:
                *lines, rest = (rest + data).split(b"\n")
                if output := formatter.feed(lines):
                    last = time.monotonic()
                    yield output
                continue
            if last_round:
                break
            last_round = is_over is not None and is_over()
            if time.monotonic() - last >= _KEEP_ALIVE_SECONDS:
                last = time.monotonic()
                yield b""
            time.sleep(_POLL_SECONDS)
        if rest and not formatter.full:
            yield formatter.feed([rest])
