"""The baseline: pyslurm alone, in a process of its own, because it holds the GIL.

``submit`` is the loop that the sidecar is measured against; ``Watch`` sees a job's state as soon as Slurm shows it.
"""

import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from interlink.core.job.script import ScriptSettings, batch_script

#: The name of the loop's jobs.
NAME = "bench-bare"
_WATCH_SECONDS = 0.01


def submit(count: int, folder: str, partition: str) -> float:
    """Submit jobs like the sidecar's in a bare loop; return the seconds that it took."""
    taken: float = _in_process(_submit, count, folder, partition)
    return taken


def _submit(count: int, folder: str, partition: str) -> float:
    slurm = _pyslurm()
    script = batch_script(
        ScriptSettings(python="/usr/bin/python3", runner=f"{folder}/runner.pyz"), plan=f"{folder}/plan.json"
    )
    began = time.monotonic()
    for number in range(count):
        slurm.JobSubmitDescription(
            name=NAME, comment=f"{NAME}-{number:025d}", script=script, working_directory=folder,
            standard_output="/dev/null", standard_error="/dev/null", standard_in="/dev/null", cpus_per_task=1,
            ntasks=1, nodes=1, memory_per_node="16M", environment={"PATH": "/usr/bin:/bin"}, partitions=[partition],
            is_requeueable=False,
        ).submit()  # fmt: skip
    return time.monotonic() - began


class Watch:
    """Notes when Slurm first showed each state of each job, until it is asked for it."""

    def __init__(self) -> None:
        self._ours, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.Process(target=_watch, args=(theirs,))
        self._process.start()
        self._ours.recv()

    def stop(self) -> dict[tuple[str, str], float]:
        """Return the monotonic times by comment and state, and end."""
        self._ours.send(None)
        seen: dict[tuple[str, str], float] = self._ours.recv()
        self._process.join()
        return seen


def _watch(pipe: Connection) -> None:
    slurm = _pyslurm()
    seen: dict[tuple[str, str], float] = {}
    pipe.send(None)
    while not pipe.poll(_WATCH_SECONDS):
        jobs = slurm.Jobs.load().values()
        now = time.monotonic()
        for job in jobs:
            seen.setdefault((job.comment or "", str(job.state)), now)
    pipe.send(seen)


def _pyslurm() -> Any:
    os.environ["PYSLURM_DISABLE_AUTO_INIT"] = "1"
    import pyslurm  # noqa: PLC0415 - only after the switch above, and in a child process

    pyslurm.slurm_init(None)
    return pyslurm


def _in_process(function: Callable[..., Any], *arguments: object) -> Any:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(function, arguments)
