"""One InterLink's address as HTTP: requests with the token and a session, failures in the system's words.

Used by ``client.py`` and ``batcher.py``. What changes pods passes the fence first; foreign exceptions are translated
here and nowhere else.
"""

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
import msgspec

from interlink.vk.edge.errors import AwayError
from interlink.vk.leader.fence import Fence, always_open
from interlink.vk.tokenfile import TokenFile
from interlink.wire import batch

Json = dict[str, Any]
_LONGEST_WORDS = 2000
_FOREIGN = (aiohttp.ClientError, TimeoutError, OSError)
#: What changes pods: it passes the fence first.
_WRITES = (*batch.CALLS, batch.PATH)
#: What the InterLink-Http-Session header calls each path.
_OPERATIONS = {
    "/create": "CreatePod",
    "/update": "UpdatePod",
    "/delete": "DeletePod",
    "/status": "GetStatus",
    "/changes": "GetStatus",
    "/pinglink": "PingInterLink",
    "/getLogs": "GetLogs",
    batch.PATH: "Batch",
}


class Answer(NamedTuple):
    """What a request was answered: HTTP status, body and Retry-After, empty where there is none."""

    status: int
    content: bytes
    retry_after: str = ""


class Transport:
    """Connections to one InterLink; ``url`` is http(s)://HOST[:PORT] or unix:///PATH."""

    def __init__(
        self,
        url: str,
        port: int,
        token: TokenFile,
        fence: Fence | None = None,
        traces: Sequence[aiohttp.TraceConfig] = (),
    ) -> None:
        self.token = token
        self.fence = fence or always_open()
        socket = url.removeprefix("unix://") if url.startswith("unix://") else ""
        self.base = "http://interlink" if socket else _with_port(url, port)
        self.name = url if socket else self.base
        connector = aiohttp.UnixConnector(socket, limit=0) if socket else aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(
            connector=connector, headers={"User-Agent": "interlink-vk"}, trace_configs=list(traces)
        )
        self._numbers = itertools.count(1)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    def session(self, path: str) -> str:
        """Return a new InterLink-Http-Session for a request of this path."""
        return f"{_OPERATIONS[path]}#{next(self._numbers)}"

    async def send(
        self, method: str, target: str, body: bytes | None, *, session: str = "", timeout: float = 30.0
    ) -> Answer:
        """Return the answer, whatever its status; ``target`` is a path and its query. Raises AwayError without one."""
        path = target.partition("?")[0]
        if path in _WRITES and (refusal := self.fence.refusal()):
            raise AwayError(f"{path}: {refusal}")
        headers = self._headers(session or self.session(path))
        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=10)
        try:
            async with self._session.request(
                method, self.base + target, data=body, headers=headers, timeout=limits
            ) as response:
                return Answer(response.status, await response.read(), response.headers.get("Retry-After", ""))
        except _FOREIGN as error:
            raise self._unreachable(error) from error

    @asynccontextmanager
    async def stream(self, path: str, body: bytes) -> AsyncIterator[tuple[int, AsyncIterator[bytes]]]:
        """Give an answer's status, and its body as it comes; leaving the block drops the connection.

        Raises AwayError, from the body too.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        headers = {**self._headers(self.session(path)), "Connection": "close"}
        try:
            response = await self._session.get(self.base + path, data=body, headers=headers, timeout=timeout)
        except _FOREIGN as error:
            raise self._unreachable(error) from error
        try:
            yield response.status, self._pieces(response.content)
        finally:
            response.close()

    async def _pieces(self, content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
        try:
            async for piece in content.iter_any():
                yield piece
        except _FOREIGN as error:
            raise self._unreachable(error) from error

    def _headers(self, session: str) -> dict[str, str]:
        return {"InterLink-Http-Session": session, "Content-Type": "application/json", **self.token.headers()}

    def _unreachable(self, error: BaseException) -> AwayError:
        return AwayError(f"InterLink at {self.name} cannot be reached: {words(_plain(error).encode())}")

    def away(self, path: str, answer: Answer) -> AwayError:
        """Return what it means that a request was answered so."""
        status, said = answer.status, words(answer.content)
        if status in (401, 403):
            return AwayError(
                f"InterLink at {self.name} does not accept the virtual kubelet's token ({status}: {said}); "
                "check the file that VKTokenFile names"
            )
        after = float(answer.retry_after) if answer.retry_after.isdigit() else 0.0
        return AwayError(f"InterLink at {self.name} answered {path} with {status}: {said}", after)


def words(content: bytes) -> str:
    """Return what an error body says: the description, else the title, else the text itself."""
    text = content[:_LONGEST_WORDS].decode("utf-8", "replace").strip()
    told = document(content)
    said = told.get("description") or told.get("title") or told.get("message")
    return str(said)[:_LONGEST_WORDS] if said else text or "no words"


def document(content: bytes) -> Json:
    """Return an error body's JSON object, an empty one where it is none."""
    try:
        decoded = msgspec.json.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return decoded if isinstance(decoded, dict) else {}


def _plain(error: BaseException) -> str:
    """Return a connection's failure in the system's words, without the client library's own."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or str(error.os_error)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__


def _with_port(url: str, port: int) -> str:
    scheme, _, rest = url.rstrip("/").partition("://")
    host, slash, path = rest.partition("/")
    if ":" not in host.rpartition("]")[2]:
        host = f"{host}:{port}"
    return f"{scheme}://{host}{slash}{path}"
