"""HTTP client of the threaded services: TCP and unix sockets behind one class, errors translated once.

Used by the InterLink API towards its sidecar and by the commands towards InterLink.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from interlink.http.address import Address


class PeerUnreachableError(Exception):
    """Nobody answered, or the answer broke off: whether the request was carried out is unknown."""


class _UnixConnection(HTTPConnection):
    """An HTTP connection whose socket is a unix one; the host name is only the Host header."""

    def __init__(self, socket_path: Path, **options: object) -> None:
        super().__init__("localhost", **options)  # type: ignore[arg-type]
        self.socket_path = socket_path

    def _new_conn(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        if isinstance(self.timeout, (int, float)):
            connection.settimeout(self.timeout)
        try:
            connection.connect(str(self.socket_path))
        except OSError as error:
            connection.close()
            raise urllib3.exceptions.NewConnectionError(self, f"{self.socket_path}: {error.strerror}") from error
        return connection


class _UnixPool(HTTPConnectionPool):
    """A pool of connections to one unix socket."""

    def __init__(self, socket_path: Path, **options: object) -> None:
        super().__init__("localhost", **options)  # type: ignore[arg-type]
        self.socket_path = socket_path

    def _new_conn(self) -> HTTPConnection:
        self.num_connections += 1
        return _UnixConnection(self.socket_path, timeout=self.timeout.connect_timeout)


class HttpClient:
    """Requests to one service; safe for several threads."""

    def __init__(self, address: Address, connections: int = 64) -> None:
        self.address = address
        options: dict[str, object] = {"maxsize": connections, "block": False, "retries": False}
        self._pool = (
            _UnixPool(address.path, **options)
            if address.path is not None
            else urllib3.connection_from_url(str(address), **options)
        )

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout: float = 30.0,
    ) -> BaseHTTPResponse:
        """Return the whole answer, whatever its status. Raises PeerUnreachableError."""
        with self._translated():
            return self._pool.urlopen(method, path, body=body, headers=headers, timeout=timeout)

    def stream(
        self, method: str, path: str, body: bytes, headers: dict[str, str], timeout: float = 60.0
    ) -> "ByteStream":
        """Return the answer with its body as chunks that come when the peer sends them.

        ``timeout`` is the longest silence in seconds. Raises PeerUnreachableError, from the stream as well.
        """
        with self._translated():
            response = self._pool.urlopen(
                method, path, body=body, headers=headers, timeout=timeout, preload_content=False
            )
        return ByteStream(response, str(self.address))

    def _translated(self) -> AbstractContextManager[None]:
        return translated(str(self.address))


class ByteStream:
    """An answer whose body is still coming: iterate over it, and close it."""

    def __init__(self, response: BaseHTTPResponse, peer: str) -> None:
        self.status = response.status
        self.headers = response.headers
        self._response = response
        self._peer = peer
        # A descriptor of our own: the connection forgets its socket when the answer is its last.
        self._socket: socket.socket | None = None
        with suppress(OSError, ValueError, AttributeError):  # an answer without a body is closed already
            self._socket = socket.socket(fileno=os.dup(response.fileno()))

    def __iter__(self) -> Iterator[bytes]:
        """Return itself."""
        return self

    def __next__(self) -> bytes:
        """Return the next chunk. Raises PeerUnreachableError where the peer breaks off."""
        with translated(self._peer):
            if chunk := self._response.read1(65536):
                return chunk
        raise StopIteration

    def abort(self) -> None:
        """Break the connection from another thread: who waits for the next chunk gets the end, or an error."""
        if self._socket is not None:
            with suppress(OSError):  # it may have ended by itself
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Drop the connection: half read it cannot be used again, and this is what tells the peer."""
        self._response.close()
        if self._socket is not None:
            self._socket.close()


@contextmanager
def translated(peer: str) -> Iterator[None]:
    """Turn what urllib3 and the socket raise into PeerUnreachableError."""
    try:
        yield
    except (HTTPError, OSError) as error:
        raise PeerUnreachableError(f"{peer} does not answer: {_words(error)}") from error


def _words(error: BaseException) -> str:
    return str(error).split(": ", 1)[-1] or type(error).__name__
