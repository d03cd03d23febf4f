"""One wait for the disk for all threads that wrote before it.

Used by ``store`` for its write-ahead log. SQLite's own ``synchronous = FULL`` waits inside the transaction, so that
every other thread waits for the disk as well, one transaction after another; that halved the rate of creates.
"""

import os
import threading
from pathlib import Path


class DurableFile:
    """A file whose bytes are on the platter once ``wait`` has returned to whoever wrote them. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """The file must be there. Raises OSError."""
        self._file = path.open("rb")
        self._counting, self._syncing = threading.Lock(), threading.Lock()
        #: How many waits began, and how many of them the last sync covered.
        self._begun = self._covered = 0

    def wait(self) -> None:
        """Return when all that the caller wrote is on the disk. Raises OSError, and ValueError after ``close``."""
        with self._counting:
            self._begun += 1
            own = self._begun
        with self._syncing:
            if self._covered >= own:
                return
            with self._counting:
                begun = self._begun
            os.fdatasync(self._file)
            self._covered = begun

    def close(self) -> None:
        """Let go of the file; once more is no error."""
        with self._syncing:
            self._file.close()
