"""The InterLink API as the virtual kubelet calls it: one method a call, errors translated, token read again.

Used by the pod controller (create, delete, statuses), the volumes' updates, the change feed, the node (ping) and the
kubelet port (logs).
Every call but logs has a deadline; every call is idempotent, so that AwayError always means "again later".
"""

import itertools
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
import msgspec

from interlink.vk.edge.errors import (
    AwayError,
    BusyError,
    CursorExpiredError,
    DeletedError,
    LogsError,
    RefusedError,
    UnknownPodError,
)
from interlink.vk.leader.fence import Fence, always_open
from interlink.vk.tokenfile import TokenFile
from interlink.wire.messages import Changes, CreateReply, LogRequest, PingReply, PodStatus

Json = dict[str, Any]
T = TypeVar("T")
_LONGEST = 2000
_FOREIGN = (aiohttp.ClientError, TimeoutError, OSError)
#: Answers to a create or update that the same request will always get: malformed, too large, refused by the site.
_REFUSALS = (400, 413, 422)
#: A refusal's title that is a reason as Kubernetes writes them.
_REASON = re.compile(r"[A-Z][A-Za-z0-9]{2,60}")
#: What changes pods: it passes the fence first.
_WRITES = ("/create", "/update", "/delete")
#: What the InterLink-Http-Session header calls each path.
_OPERATIONS = {
    "/create": "CreatePod",
    "/update": "UpdatePod",
    "/delete": "DeletePod",
    "/status": "GetStatus",
    "/changes": "GetStatus",
    "/pinglink": "PingInterLink",
    "/getLogs": "GetLogs",
}


class EdgeClient:
    """One InterLink; ``url`` is http(s)://HOST[:PORT] or unix:///PATH. ``traces`` are told of each request."""

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

    async def create(self, request: Json) -> CreateReply:
        """Start the pod, once for all calls with its UID. Raises RefusedError, DeletedError, BusyError or AwayError."""
        body = msgspec.json.encode(request)
        status, content = await self._call("POST", "/create", body, timeout=60)
        if status in _REFUSALS:
            raise RefusedError(words(content), _reason(content))
        if status == 409:
            raise DeletedError(words(content))
        return self._decode("/create", status, content, CreateReply)

    async def update(self, request: Json) -> None:
        """Bring newer contents to the volumes that the request's pod names; the others keep theirs.

        Raises RefusedError, UnknownPodError or AwayError.
        """
        status, content = await self._call("POST", "/update", msgspec.json.encode(request))
        if status in _REFUSALS:
            raise RefusedError(words(content), _reason(content))
        if status == 404:
            raise UnknownPodError(words(content))
        if status != 200:
            raise self._away("/update", status, content)

    async def delete(self, pod: Json) -> None:
        """Ask for the pod's end; returns once that is noted, not once it has ended. Raises AwayError."""
        status, content = await self._call("DELETE", "/delete", msgspec.json.encode(pod))
        if status not in (200, 404, 410):
            raise self._away("/delete", status, content)

    async def statuses(self, pods: list[Json]) -> list[PodStatus]:
        """Return the statuses of those of the pods that the plugin knows. Raises AwayError."""
        status, content = await self._call("GET", "/status", msgspec.json.encode(pods))
        if content.strip() == b"null":
            content = b"[]"
        return self._decode("/status", status, content, list[PodStatus])

    async def changes(self, cursor: str | None, wait: float) -> Changes:
        """Wait for changes after the cursor; None asks for everything at once. CursorExpiredError, AwayError."""
        params = {"after": cursor, "wait": f"{wait:g}"} if cursor else {}
        status, content = await self._call("GET", "/changes", None, timeout=wait + 15, params=params)
        if status == 410:
            raise CursorExpiredError(words(content))
        return self._decode("/changes", status, content, Changes)

    async def ping(self, partitions: Iterable[str] = (), flavors: Iterable[str] = ()) -> PingReply:
        """Return what the plugin says of itself and of these parts of its site. Raises AwayError.

        Words instead of JSON count as a reply too.
        """
        asked = [("partition", name) for name in partitions] + [("flavor", name) for name in flavors]
        status, content = await self._call("POST", "/pinglink", None, timeout=10, params=asked)
        if status != 200:
            raise self._away("/pinglink", status, content)
        try:
            return msgspec.json.decode(content, type=PingReply)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return PingReply(status=words(content))

    @asynccontextmanager
    async def logs(self, request: LogRequest) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give the log as it comes; leaving the block drops the connection, so that the source is freed.

        Raises LogsError or AwayError before the first byte, and AwayError where the log breaks off.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        headers = {**self._headers("/getLogs"), "Connection": "close"}
        try:
            response = await self._session.get(
                self.base + "/getLogs", data=msgspec.json.encode(request), headers=headers, timeout=timeout
            )
        except _FOREIGN as error:
            raise self._away("/getLogs", 0, _plain(error).encode()) from error
        try:
            if response.status in (400, 404):
                raise LogsError(words(await response.read()), response.status)
            if response.status != 200:
                raise self._away("/getLogs", response.status, await response.read())
            yield self._pieces(response.content)
        finally:
            response.close()

    async def _pieces(self, content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
        try:
            async for piece in content.iter_any():
                yield piece
        except _FOREIGN as error:
            raise self._away("/getLogs", 0, _plain(error).encode()) from error

    async def _call(
        self,
        method: str,
        path: str,
        body: bytes | None,
        *,
        timeout: float = 30.0,
        params: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    ) -> tuple[int, bytes]:
        if path in _WRITES and (refusal := self.fence.refusal()):
            raise AwayError(f"{path}: {refusal}")
        headers = self._headers(path)
        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=10)
        try:
            async with self._session.request(
                method, self.base + path, data=body, headers=headers, timeout=limits, params=params
            ) as response:
                content = await response.read()
                if response.status in (429, 503):
                    away = self._away(path, response.status, content, response.headers.get("Retry-After", ""))
                    if response.status == 429 and path == "/create" and (reason := _reason(content, "")):
                        raise BusyError(words(content), reason, away.retry_after)
                    raise away
                return response.status, content
        except _FOREIGN as error:
            raise self._away(path, 0, _plain(error).encode()) from error

    def _headers(self, path: str) -> dict[str, str]:
        headers = {
            "InterLink-Http-Session": f"{_OPERATIONS[path]}#{next(self._numbers)}",
            "Content-Type": "application/json",
        }
        return {**headers, **self.token.headers()}

    def _decode(self, path: str, status: int, content: bytes, kind: type[T]) -> T:
        if status != 200:
            raise self._away(path, status, content)
        try:
            return msgspec.json.decode(content, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise AwayError(f"{self.name}{path} answered what is no InterLink reply: {error}") from error

    def _away(self, path: str, status: int, content: bytes, retry_after: str = "") -> AwayError:
        said = words(content)
        if status == 0:
            return AwayError(f"InterLink at {self.name} cannot be reached: {said}")
        if status in (401, 403):
            return AwayError(
                f"InterLink at {self.name} does not accept the virtual kubelet's token ({status}: {said}); "
                "check the file that VKTokenFile names"
            )
        after = float(retry_after) if retry_after.isdigit() else 0.0
        return AwayError(f"InterLink at {self.name} answered {path} with {status}: {said}", after)


def words(content: bytes) -> str:
    """Return what an error body says: the description, else the title, else the text itself."""
    text = content[:_LONGEST].decode("utf-8", "replace").strip()
    document = _document(content)
    said = document.get("description") or document.get("title") or document.get("message")
    return str(said)[:_LONGEST] if said else text or "no words"


def _reason(content: bytes, default: str = "Refused") -> str:
    """Return the reason that an error body's title is, the default where it is none."""
    title = _document(content).get("title")
    return title if isinstance(title, str) and _REASON.fullmatch(title) else default


def _document(content: bytes) -> Json:
    """Return an error body's JSON object, an empty one where it is none."""
    try:
        document = msgspec.json.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


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
