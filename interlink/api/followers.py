"""Logs that are being read: how many at once, and an end for those whose reader has gone.

A followed log of a quiet container holds a thread that waits for the sidecar's next word, and cannot look at its own
client meanwhile. One watcher for all looks instead, and breaks the connection to the sidecar where nobody reads any
more.
Used by ``app``; the WSGI server closes each stream, whichever way it ends.
"""

import threading
from collections.abc import Callable, Iterator

from interlink.http.client import ByteStream, PeerUnreachableError

#: How often the watcher looks for readers that have gone, in seconds.
LOOK_EVERY = 2.0


class TooManyFollowersError(Exception):
    """As many logs are read as may be; the rest of the threads is for creating, deleting and asking."""


class Followers:
    """The log streams under way."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._places = threading.Semaphore(limit)
        self._open: dict[LogStream, Callable[[], bool]] = {}
        self._lock = threading.Lock()
        self._watcher: threading.Thread | None = None

    def admit(self) -> None:
        """Take a place for one more, for ``follow`` or ``leave`` to give back. Raises TooManyFollowersError."""
        if not self._places.acquire(blocking=False):
            raise TooManyFollowersError(
                f"{self.limit} logs are being read; try again later, or raise RequestThreads on the edge host"
            )

    def leave(self) -> None:
        """Give back a place that was taken."""
        self._places.release()

    def follow(self, chunks: ByteStream, gone: Callable[[], bool]) -> "LogStream":
        """Return the stream for the WSGI server, which holds the place; ``gone`` tells whether its client has left."""
        stream = LogStream(chunks, self._forget)
        with self._lock:
            self._open[stream] = gone
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, name="log-watcher", daemon=True)
                self._watcher.start()
        return stream

    def _forget(self, stream: "LogStream") -> None:
        with self._lock:
            known = self._open.pop(stream, None)
        if known is not None:
            self.leave()

    def _watch(self) -> None:
        pause = threading.Event()
        while not pause.wait(LOOK_EVERY):
            with self._lock:
                left = [stream for stream, gone in self._open.items() if gone()]
            for stream in left:
                stream.chunks.abort()


class LogStream:
    """One log on its way; an iterator that the WSGI server closes."""

    def __init__(self, chunks: ByteStream, on_close: Callable[["LogStream"], None]) -> None:
        self.chunks = chunks
        self._on_close = on_close
        self._broken = False

    def __iter__(self) -> Iterator[bytes]:
        """Return itself."""
        return self

    def __next__(self) -> bytes:
        """Return the next piece; a source that breaks off says so in the text, as the headers are out long ago."""
        if self._broken:
            raise StopIteration
        try:
            return next(self.chunks)
        except PeerUnreachableError as error:
            self._broken = True
            return f"\ninterlink: the log broke off: {error}\n".encode()

    def close(self) -> None:
        """Drop the connection to the sidecar, which lets go of the file."""
        self._on_close(self)
        self.chunks.close()
