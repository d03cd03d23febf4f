"""The part of the benchmark that runs on the edge host, as the service's user; prints the figures as JSON.

``python -m benchmarks.slurm.measure STATE DATA``. Of the partitions that ``__main__`` has made, jobs run in the one and
wait in the other, which is down.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from benchmarks.figures import CannotMeasureError, Figure
from benchmarks.slurm import RUNNING, WAITING, bare
from benchmarks.slurm.client import Connection, create_pods
from benchmarks.slurm.instance import Sidecar
from benchmarks.slurm.latency import latency

#: Turns of the rate, and pods of each: enough that what slurmdbd writes of them goes on beside most of a turn, and is
#: not left for the time behind it.
ROUNDS, ROUND = 3, 1500
MANY, MOST = 5_000, 10_000
#: The sidecar's pace while ticks are counted, so that nothing else of note happens between two, and how many.
TICK_SECONDS, TICKS = 4.0, 4
#: Looks at the memory, and the pause between two.
LOOKS, LOOK_SECONDS = 20, 0.5
#: How long slurmdbd may take for the jobs of a turn, and slurmctld, which purges once a minute, to forget ended jobs.
SETTLE_SECONDS, FORGET_SECONDS = 60, 150


class Measure:
    """One run."""

    def __init__(self, state: Path, data: Path) -> None:
        self._state = state
        self._data = data
        self._created = 0

    def figures(self) -> Iterator[Figure]:
        """Measure one thing after another."""
        with self._sidecar(RUNNING) as sidecar:
            yield from latency(sidecar, "")
        with self._sidecar(WAITING) as sidecar:
            yield self._rate(sidecar)
            self._fill(sidecar, MANY)
        with self._sidecar(WAITING, SlurmPollSeconds=TICK_SECONDS) as sidecar:
            yield from self._tick(sidecar)
        with self._sidecar(RUNNING) as sidecar:
            yield from latency(sidecar, f" beside {MANY} waiting ones")
        with self._sidecar(WAITING) as sidecar:
            self._fill(sidecar, MOST)
            yield self._memory(sidecar)

    @contextmanager
    def _sidecar(self, partition: str, **settings: object) -> Iterator[Sidecar]:
        sidecar = Sidecar(self._state, self._data, partition, **settings)
        try:
            yield sidecar
        finally:
            sidecar.stop()

    def _rate(self, sidecar: Sidecar) -> Figure:
        """Compare pods through the API with the bare loop, by turns, so that both see the same machine and queue."""
        alone = ours = 0.0
        for number in range(ROUNDS):
            settle()
            alone += bare.submit(ROUND, str(self._data), WAITING)
            command("scancel", f"--name={bare.NAME}")
            # Or the end of the loop's jobs and what slurmdbd still writes of them would be taken from our turn.
            settle()
            ours += create_pods(sidecar.socket, ROUND)
            self._created += ROUND
            done = (number + 1) * ROUND
            say(f"round {number + 1}: bare loop {done / alone:.0f}/s, through the API {done / ours:.0f}/s so far")
        baseline = ROUNDS * ROUND / alone
        return Figure(
            figure="pods created through the sidecar's API", unit="pods/s", target=0.7 * baseline, baseline=baseline,
            measured=ROUNDS * ROUND / ours, at_least=True,
        )  # fmt: skip

    def _fill(self, sidecar: Sidecar, count: int) -> None:
        """Create pods until there are so many."""
        more = count - self._created
        taken = create_pods(sidecar.socket, more)
        say(f"{more} more pods: {more / taken:.0f}/s")
        self._created = count

    def _tick(self, sidecar: Sidecar) -> Iterator[Figure]:
        """Count CPU and RPCs over several ticks, and over one tick in which every job has changed."""
        changes = Connection(sidecar.socket)
        time.sleep(2 * TICK_SECONDS)
        asked, began = job_requests(), sidecar.cpu_seconds()
        time.sleep(TICKS * TICK_SECONDS)
        asked, used = job_requests() - asked, sidecar.cpu_seconds() - began
        say(f"{asked} RPCs: {used:.2f} s")
        if not asked:
            raise CannotMeasureError("sdiag counts no RPC of the sidecar")
        # The ticks' time and ours are not of one clock: one more or less of them may fall into the count.
        yield Figure(figure=f"RPCs of a tick, {MANY} jobs", unit="RPCs", target=1, measured=round(asked / TICKS))
        yield Figure(figure=f"CPU of a tick, {MANY} jobs as they were", unit="ms", target=300,
                     measured=used / asked * 1000)  # fmt: skip
        cursor = changes.ask("/changes")["cursor"]
        news: set[str] = set()
        waiting = command("squeue", f"--partition={WAITING}", "-ho", "%A").split()
        asked, began = job_requests(), sidecar.cpu_seconds()
        command("scontrol", "hold", ",".join(waiting))
        while len(news) < MANY:
            answer = changes.ask(f"/changes?after={cursor}&wait=20")
            if not answer["statuses"]:
                raise CannotMeasureError(f"only {len(news)} of {MANY} changes came")
            cursor, news = answer["cursor"], news | {status["UID"] for status in answer["statuses"]}
        asked, used = job_requests() - asked, sidecar.cpu_seconds() - began
        say(f"{MANY} changes with {asked} RPCs: {used:.2f} s")
        yield Figure(figure=f"CPU of a tick, {MANY} jobs, all changed", unit="ms", target=300,
                     measured=used / max(1, asked) * 1000)  # fmt: skip

    def _memory(self, sidecar: Sidecar) -> Figure:
        """Take the most of several looks, so that a poll under way is seen; of these jobs and no others."""
        until("slurmctld to forget the other jobs", lambda: job_count() <= MOST, FORGET_SECONDS)
        looks = []
        for _ in range(LOOKS):
            looks.append(sidecar.memory_mib())
            time.sleep(LOOK_SECONDS)
        return Figure(figure=f"memory with {MOST} jobs", unit="MiB", target=150, measured=max(looks))


def job_requests() -> int:
    """Return how many requests for all jobs slurmctld has had. Raises CannotMeasureError."""
    match = re.search(r"REQUEST_JOB_INFO\s.*?count:(\d+)", command("sdiag"))
    return int(match[1]) if match else 0


def job_count() -> int:
    """Return how many jobs slurmctld remembers. Raises CannotMeasureError."""
    return len(command("squeue", "--noheader", "--states=all", "--format=%A").split())


def settle() -> None:
    """Wait until slurmdbd has written what slurmctld has for it. Raises CannotMeasureError."""
    until("slurmdbd to catch up", lambda: "DBD Agent queue size: 0" in command("sdiag"), SETTLE_SECONDS)


def until(what: str, done: Callable[[], bool], within: float) -> None:
    """Wait for something that can only be asked for. Raises CannotMeasureError when it takes longer, in seconds."""
    deadline = time.monotonic() + within
    while not done():
        if time.monotonic() > deadline:
            raise CannotMeasureError(f"waited {within:.0f} s in vain for {what}")
        time.sleep(LOOK_SECONDS)


def command(*words: str) -> str:
    """Run one of Slurm's commands. Raises CannotMeasureError."""
    try:
        return subprocess.run(words, check=True, capture_output=True, text=True, timeout=120).stdout
    except (subprocess.SubprocessError, OSError) as error:
        raise CannotMeasureError(f"{words[0]}: {getattr(error, 'stderr', '') or error}") from error


def say(text: str) -> None:
    """Tell how far it is."""
    print(f"bench-slurm: {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Measure; return the exit status."""
    try:
        figures = []
        for figure in Measure(Path(sys.argv[1]), Path(sys.argv[2])).figures():
            say(f"{figure.figure}: {figure.measured:.3g} {figure.unit}")
            figures.append(asdict(figure))
    except CannotMeasureError as error:
        say(str(error))
        return 1
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
