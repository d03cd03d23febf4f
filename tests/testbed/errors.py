"""What can go wrong in the test bed, typed by what its caller can say about it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

TAIL_LINES = 30


def tail(text: str, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a text, without the blank ones at its end."""
    return "\n".join(text.rstrip().splitlines()[-lines:])


class TestbedError(Exception):
    """Any failure of the test bed; its message says what failed and what to look at."""

    __test__ = False  # not a test class, whatever pytest makes of its name


class CommandError(TestbedError):
    """A command ended with a status other than 0."""

    def __init__(self, command: Sequence[str], status: int, output: str) -> None:
        self.command = tuple(command)
        self.status = status
        self.output = output
        super().__init__(f"{shlex.join(self.command)}\nexit status {status}\n{tail(output)}".rstrip())


class UnhealthyError(TestbedError):
    """A health check's own words for what is not there yet."""


class StoppedError(TestbedError):
    """The work was given up because another part failed or the user interrupted it."""
