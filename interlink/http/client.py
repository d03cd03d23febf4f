"""HTTP client of the threaded services: TCP and unix sockets behind one class, errors translated once.

Used by the InterLink API towards its sidecar and by the commands towards InterLink.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
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
    ) -> tuple[BaseHTTPResponse, Iterator[bytes]]:
        """Return the answer and its body as chunks that come when the peer sends them.

        ``timeout`` is the longest silence in seconds. Closing the iterator drops the connection, so that the peer
        notices. Raises PeerUnreachableError, from the iterator as well.
        """
        with self._translated():
            response = self._pool.urlopen(
                method, path, body=body, headers=headers, timeout=timeout, preload_content=False
            )
        return response, self._chunks(response)

    def _chunks(self, response: BaseHTTPResponse) -> Iterator[bytes]:
        try:
            with self._translated():
                while chunk := response.read1(65536):
                    yield chunk
        finally:
            # A half-read connection cannot be used again, and its closing is what tells the peer.
            response.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (HTTPError, OSError) as error:
            raise PeerUnreachableError(f"{self.address} does not answer: {_words(error)}") from error


def _words(error: BaseException) -> str:
    return str(error).split(": ", 1)[-1] or type(error).__name__
