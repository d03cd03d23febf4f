"""Brings parts up in parallel along what they need, and shows that it lives.

Called by lifecycle.py. A part that is healthy already is left alone; when one fails, whatever else goes on is given
up, and the failure carries the health check's words and the end of the part's log.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import StoppedError, TestbedError, UnhealthyError, tail
from .part import Part, Step

if TYPE_CHECKING:
    from .bed import Bed

PROGRESS_EVERY = 10.0
# What came up may fall back once: a node that was ready before a power cut is so until its kubelet says otherwise.
SETTLE = 60.0


class PartError(TestbedError):
    """A part did not come up."""

    def __init__(self, part: str, cause: Exception, logs: str) -> None:
        self.part = part
        super().__init__(f"{part} did not come up: {cause}\n{logs}".rstrip())


def ordered(parts: Sequence[Part]) -> list[Part]:
    """Return the parts with each after what it needs; raises TestbedError for a circle or an unknown name."""
    known = {part.name: part for part in parts}
    done: dict[str, Part] = {}

    def visit(part: Part, path: tuple[str, ...]) -> None:
        if part.name in path:
            raise TestbedError(f"parts need each other in a circle: {' → '.join((*path, part.name))}")
        if part.name in done:
            return
        for name in part.needs:
            if name not in known:
                raise TestbedError(f"{part.name} needs {name}, which is no part")
            visit(known[name], (*path, part.name))
        done[part.name] = part

    for part in parts:
        visit(part, ())
    return list(done.values())


def closure(parts: Sequence[Part], names: Iterable[str]) -> list[Part]:
    """Return the named parts and whatever they need, in order; raises TestbedError for an unknown name."""
    known = {part.name: part for part in parts}
    wanted: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in known:
            raise TestbedError(f"{name}: no such part (there are {', '.join(known)})")
        if name not in wanted:
            wanted.add(name)
            todo += known[name].needs
    return [part for part in ordered(parts) if part.name in wanted]


class Graph:
    """One bringing up of a list of parts."""

    def __init__(self, bed: Bed, parts: Sequence[Part], say: Callable[[str], None] | None = None) -> None:
        self.bed = bed
        self.parts = ordered(parts)
        self.stop = threading.Event()
        self.say = say or (lambda line: print(line, file=sys.stderr, flush=True))
        self.began = time.monotonic()
        self.shown = self.began
        self.steps: dict[str, Step] = {}

    def up(self) -> None:
        """Bring everything up; raises PartError for the first part that fails."""
        waiting = {part.name: part for part in self.parts}
        running: dict[Future[None], str] = {}
        done: set[str] = set()
        failure: PartError | None = None
        with ThreadPoolExecutor(max_workers=max(1, len(self.parts))) as pool:
            try:
                while running or (waiting and failure is None):
                    for part in [p for p in waiting.values() if failure is None and done.issuperset(p.needs)]:
                        running[pool.submit(self._bring_up, waiting.pop(part.name))] = part.name
                    finished, _ = wait(running, timeout=1, return_when=FIRST_COMPLETED)
                    self._show_progress(running.values())
                    for future in finished:
                        name = running.pop(future)
                        failure = failure or self._failure(name, future)
                        done.add(name)
            except BaseException:
                self.stop.set()
                raise
        if failure:
            raise failure

    def _bring_up(self, part: Part) -> None:
        step = Step(part.name, log_of(self.bed, part), self.stop)
        self.steps[part.name] = step
        try:
            part.health(self.bed)
        except UnhealthyError as error:
            self._line(f"{part.name}: {part.what} …")
            step.say(f"not there: {error}")
            part.up(self.bed, step)
            words = step.wait(lambda: part.health(self.bed), within=SETTLE)
            self._line(f"{part.name}: up after {time.monotonic() - step.began:.1f} s ({words})")

    def _failure(self, name: str, future: Future[None]) -> PartError | None:
        cause = future.exception()
        if cause is None or isinstance(cause, StoppedError):
            return None
        self.stop.set()
        if not isinstance(cause, TestbedError | OSError):
            raise cause
        part = next(part for part in self.parts if part.name == name)
        return PartError(name, cause, last_words(self.bed, part))

    def _show_progress(self, names: Iterable[str]) -> None:
        now = time.monotonic()
        if now - self.shown < PROGRESS_EVERY:
            return
        self.shown = now
        for name in names:
            if step := self.steps.get(name):
                self._line(f"{name}: {now - step.began:.0f} s, {step.words or 'goes on'}")

    def _line(self, text: str) -> None:
        self.say(f"[{time.monotonic() - self.began:6.1f} s] {text}")


def log_of(bed: Bed, part: Part) -> Path:
    """Return the log of what brought a part up."""
    return bed.paths.logs / f"{part.name}.log"


def log_files(bed: Bed, part: Part) -> list[Path]:
    """Return all log files of a part that exist."""
    logs = bed.paths.logs
    found = [log_of(bed, part), *(path for pattern in part.log_files for path in sorted(logs.glob(pattern)))]
    return [path for path in found if path.exists()]


def last_words(bed: Bed, part: Part) -> str:
    """Return the end of each log of a part, with the file's name above it."""
    pieces = [f"--- {path}\n{tail(path.read_text(errors='replace'))}" for path in log_files(bed, part)]
    if part.journal_of:
        pieces.append(f"--- journal of {part.journal_of}\n{bed.journal(part.journal_of, 30)}")
    return "\n".join(pieces)
