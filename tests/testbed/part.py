"""What a part of the test bed is: a declaration that the graph brings up and `status` and `logs` read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import StoppedError, UnhealthyError, tail
from .process import run_logged

if TYPE_CHECKING:
    from .bed import Bed


@dataclass
class Step:
    """One part while it is brought up: its log, the words that the progress line shows, and when it began."""

    part: str
    log: Path
    stop: threading.Event
    words: str = ""
    began: float = field(default_factory=time.monotonic)

    def say(self, words: str) -> None:
        """Put words into the progress line and the log."""
        self.words = words
        with self.log.open("a") as log:
            log.write(f"# {words}\n")

    def run(
        self, command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        """Run a command with its output in the part's log; raises CommandError or StoppedError."""
        run_logged(command, self.log, self.stop, env=env, cwd=cwd)

    def wait(self, check: Callable[[], str], within: float, every: float = 0.2) -> str:
        """Ask a health check until it is content and return its words.

        Raises UnhealthyError with the check's last words after `within` seconds, StoppedError when it was given up.
        """
        deadline = time.monotonic() + within
        while True:
            try:
                return check()
            except UnhealthyError as error:
                self.words = tail(str(error), 1)
                if time.monotonic() > deadline:
                    raise UnhealthyError(f"{error}\n(waited {within:.0f} s for it)") from error
            if self.stop.wait(every):
                raise StoppedError(f"{self.part} was given up")


@dataclass(frozen=True)
class Part:
    """One part of the bed, as data."""

    name: str
    what: str
    needs: tuple[str, ...]
    up: Callable[[Bed, Step], None]
    health: Callable[[Bed], str]
    """Returns a few words on what is there, raises UnhealthyError with what is not."""
    log_files: tuple[str, ...] = ()
    """Further log files of the part, as patterns below the log folder."""
    journal_of: str | None = None
    """The container whose systemd journal belongs to the part."""
