"""Waiting for a thing itself, with the words of what was last seen when it does not come."""

import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")


def wait_for(what: str, look: Callable[[], Seen], good: Callable[[Seen], bool] = bool, within: float = 90) -> Seen:
    """Look until it is good and return what was seen; fail with what was last seen after ``within`` seconds."""
    deadline = time.monotonic() + within
    while True:
        seen = look()
        if good(seen):
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {within:.0f} s; last seen: {seen!r}")
        time.sleep(0.2)
