"""How much an emptyDir holds, counted a little at a time: the runner's one thread has containers to look after.

A limit is found to be exceeded within a pause that grows with the number of files, so that counting takes a fiftieth of
the runner's time at most.
"""

import os
import time
from typing import Iterator, Set, Tuple

#: Bytes of a block in st_blocks, whatever the file system's own are (stat(2)).
BLOCK = 512
#: Seconds at a time, and the shortest pause after a whole count.
SLICE, PAUSE = 0.01, 1.0
#: A pause is this many times what the count took.
SHARE = 50


class Usage:
    """The disk usage of one folder against its limit in bytes."""

    def __init__(self, folder: str, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self._count: Iterator[int] = iter(())
        self._due, self._spent = 0.0, 0.0

    def exceeded(self, clock: float) -> bool:
        """Count on for a moment; return whether more than the limit was found."""
        if clock < self._due:
            return False
        began = time.monotonic()
        for total in self._count:
            if total > self.limit:
                return True
            if time.monotonic() - began > SLICE:
                self._spent += time.monotonic() - began
                return False
        self._spent += time.monotonic() - began
        self._due = clock + max(PAUSE, self._spent * SHARE)
        self._count, self._spent = disk_usage(self.folder), 0.0
        return False


def disk_usage(folder: str) -> Iterator[int]:
    """Yield the bytes counted so far, after each file; one with several names counts once."""
    total = 0
    seen: Set[Tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    if found.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                        if (found.st_dev, found.st_ino) in seen:
                            continue
                        seen.add((found.st_dev, found.st_ino))
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    total += found.st_blocks * BLOCK
                    yield total
        except OSError:
            continue  # removed meanwhile, or closed to its own user by the container
