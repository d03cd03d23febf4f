"""How long it takes until a client of ``changes`` knows that a job's state has changed.

The truth is Slurm's own word, asked for every few milliseconds by a process beside the sidecar (``bare.Watch``).
Jobs start, end and are cancelled at moments that have nothing to do with the sidecar's pace.
"""

import random
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.figures import CannotMeasureError, Figure
from benchmarks.slurm.bare import Watch
from benchmarks.slurm.client import Connection, create_request
from benchmarks.slurm.instance import Sidecar

#: Pods that run to their end, pods whose jobs are cancelled, and the longest pause between two, in seconds.
PODS, CANCELLED, PAUSE = 30, 10, 0.6
PATIENCE = 60.0
_OVER = ("COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL")


def latency(sidecar: Sidecar, beside: str) -> Iterator[Figure]:
    """Measure over some pods; ``beside`` says in the figure's name what else there is. Raises CannotMeasureError."""
    follower = Follower(sidecar.socket)
    watch = Watch()
    connection = Connection(sidecar.socket)
    chance = random.Random(1)
    uids = []
    for number in range(PODS + CANCELLED):
        uid = str(uuid.uuid4())
        uids.append(uid)
        cancelled = number >= PODS
        script = "sleep 1000" if cancelled else f"sleep {chance.uniform(0.2, 1.0):.2f}"
        job = connection.ask("/create", create_request(uid, script=script))["PodJID"]
        time.sleep(chance.uniform(0, PAUSE))
        if cancelled:
            follower.wait({uid}, "running")
            subprocess.run(["scancel", str(job)], check=True)
    follower.wait(set(uids), "over")
    seen = watch.stop()
    follower.stop()
    delays = []
    for uid in uids:
        over = [moment for (comment, state), moment in seen.items() if comment == uid and state in _OVER]
        for moment, told in ((seen.get((uid, "RUNNING")), "started"), (min(over, default=None), "over")):
            if moment is not None:
                delays.append(max(0.0, follower.told[uid, told] - moment))
    if len(delays) < PODS + CANCELLED:
        raise CannotMeasureError(f"only {len(delays)} changes were seen in Slurm")
    name = f"a job's change known to a changes client{beside}"
    yield Figure(figure=f"{name}, p50", unit="s", target=0.3, measured=median(delays))
    yield Figure(figure=f"{name}, longest of {len(delays)}", unit="s", target=1.0, measured=max(delays))


class Follower:
    """A client of the long poll that notes when it was told what of each pod."""

    def __init__(self, socket: Path) -> None:
        self.told: dict[tuple[str, str], float] = {}
        self._news = threading.Condition()
        self._connection = Connection(socket)
        self._cursor = self._connection.ask("/changes")["cursor"]
        self._stopping = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def wait(self, uids: set[str], what: str) -> None:
        """Wait until it was told of all of them. Raises CannotMeasureError."""
        with self._news:
            if not self._news.wait_for(lambda: all((uid, what) in self.told for uid in uids), PATIENCE):
                missing = sum((uid, what) not in self.told for uid in uids)
                raise CannotMeasureError(f"of {missing} pods nobody said within {PATIENCE:.0f} s that they are {what}")

    def stop(self) -> None:
        """End."""
        self._stopping = True
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping:
            answer = self._connection.ask(f"/changes?after={self._cursor}&wait=1")
            now = time.monotonic()
            self._cursor = answer["cursor"]
            with self._news:
                for status in answer["statuses"]:
                    state = status["containers"][0]["state"]
                    if state.get("waiting", {}).get("reason") != "SlurmPending":
                        self.told.setdefault((status["UID"], "started"), now)
                    if "running" in state:
                        self.told.setdefault((status["UID"], "running"), now)
                    if status["ended"]:
                        self.told.setdefault((status["UID"], "over"), now)
                self._news.notify_all()
