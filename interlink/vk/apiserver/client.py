"""Requests to kube-apiserver as raw JSON: get, paged list, patch, put, post, delete with preconditions.

Used by every part of the virtual kubelet; the lease has an instance (and so connections) of its own. Foreign
exceptions are translated here and nowhere else: callers see ``errors.py`` only.
"""

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec

from interlink.vk.apiserver.access import Access
from interlink.vk.apiserver.errors import RetryError, api_error
from interlink.vk.leader.fence import Fence, always_open

PAGE = 500
#: Requests under way at once, watches apart. More make kube-apiserver no quicker, and each has a connection of its own,
#: for which Python's TLS keeps 256 KiB beside OpenSSL's 50: with 64 they were a tenth of what 10,000 pods may take.
AT_ONCE = 32
#: So many requests under way, a quarter of what there may be, say that pods wait for kube-apiserver, and for so many
#: seconds afterwards, too, for news of pods come in bursts.
BUSY, BUSY_SECONDS = 8, 1.0
STRATEGIC = "application/strategic-merge-patch+json"
JSON = "application/json"
#: Have kube-apiserver leave out all but the metadata, of an object or of a list; every version of it can.
METADATA = f"{JSON};as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

#: TCP asks a silent peer after 30 s, every 10 s, and gives it up after three questions without an answer; what was
#: sent waits as long for its acknowledgement (milliseconds). client-go asks by HTTP/2 pings after 30 s.
_KEEPALIVE = {
    socket.TCP_KEEPIDLE: 30, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 3, socket.TCP_USER_TIMEOUT: 60_000
}  # fmt: skip

Json = dict[str, Any]
Params = dict[str, str]


class ApiServer:
    """One session with kube-apiserver; made inside the running loop, closed at its end.

    Whatever is more than a GET passes the fence first: where it is closed, that is a RetryError. ``traces`` are told of
    each request.
    """

    def __init__(
        self,
        access: Access,
        timeout: float = 30.0,
        fence: Fence | None = None,
        traces: Sequence[aiohttp.TraceConfig] = (),
    ) -> None:
        self.access = access
        self.fence = fence or always_open()
        self._at_once = asyncio.Semaphore(AT_ONCE)
        #: Requests under way and those that wait for their turn; when they were BUSY last.
        self._asked, self._busy = 0, float("-inf")
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=10)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=128, keepalive_timeout=60, socket_factory=_socket),
            headers={"User-Agent": "interlink-vk", "Accept": JSON, "Accept-Encoding": "identity"},
            auto_decompress=False,
            trace_configs=list(traces),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def get(self, path: str, params: Params | None = None, accept: str = JSON) -> Json:
        """Return one object."""
        return await self._request("GET", path, params=params, headers={"Accept": accept})

    async def pages(self, path: str, params: Params) -> AsyncIterator[tuple[list[Json], str]]:
        """Yield (items, resourceVersion) for each page of one consistent list. Raises GoneError between pages."""
        token = ""
        while True:
            query = {**params, "limit": str(PAGE), **({"continue": token} if token else {})}
            page = await self._request("GET", path, params=query)
            metadata = page.get("metadata") or {}
            yield page.get("items") or [], str(metadata.get("resourceVersion") or "")
            token = str(metadata.get("continue") or "")
            if not token:
                return

    async def post(self, path: str, body: Json) -> Json:
        """Create an object. ConflictError where it is there already."""
        return await self._request("POST", path, body=body)

    async def put(self, path: str, body: Json) -> Json:
        """Replace an object; ConflictError where its resourceVersion is not the newest."""
        return await self._request("PUT", path, body=body)

    async def patch(self, path: str, body: Json) -> Json:
        """Patch by strategic merge; a ``metadata.uid`` in the body is a precondition (ConflictError)."""
        return await self._request("PATCH", path, body=body, headers={"Content-Type": STRATEGIC})

    async def delete(self, path: str, *, uid: str, grace_seconds: int) -> Json:
        """Delete the object if it still has this UID, else ConflictError."""
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "gracePeriodSeconds": grace_seconds,
            "preconditions": {"uid": uid},
        }
        return await self._request("DELETE", path, body=options)

    @property
    def busy(self) -> bool:
        """Whether pods wait for kube-apiserver, and what is not urgent should."""
        return time.monotonic() - self._busy < BUSY_SECONDS

    async def stream(self, path: str, params: Params, silence: float) -> AsyncGenerator[bytes, None]:
        """Yield the raw lines of a streamed answer; ``silence`` seconds without a byte are a RetryError."""
        what = f"GET {path}"
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=silence)
        try:
            async with self._session.get(
                self.access.server + path,
                params=params,
                headers=self.access.headers(),
                ssl=self.access.tls or False,
                timeout=timeout,
            ) as response:
                if response.status != 200:
                    raise api_error(what, response.status, await response.read(), response.headers.get("Retry-After"))
                rest = b""
                async for chunk in response.content.iter_any():
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        if line:
                            yield line
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, OSError) as error:
            raise RetryError(f"{what}: {_words(error)}") from error

    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Json | None = None,
        headers: dict[str, str] | None = None,
    ) -> Json:
        self._asked += 1
        if self._asked >= BUSY:
            self._busy = time.monotonic()
        try:
            async with self._at_once:
                return await self._send(method, path, params, body, headers or {})
        finally:
            self._asked -= 1

    async def _send(
        self, method: str, path: str, params: Params | None, body: Json | None, headers: dict[str, str]
    ) -> Json:
        what = f"{method} {path}"
        if method != "GET" and (refusal := self.fence.refusal()):
            raise RetryError(f"{what}: {refusal}")
        sent = {**self.access.headers(), **({"Content-Type": JSON} if body is not None else {}), **headers}
        try:
            async with self._session.request(
                method,
                self.access.server + path,
                params=params,
                data=msgspec.json.encode(body) if body is not None else None,
                headers=sent,
                ssl=self.access.tls or False,
                timeout=self._timeout,
            ) as response:
                content = await response.read()
                if response.status >= 300:
                    raise api_error(what, response.status, content, response.headers.get("Retry-After"))
            answer: Json = msgspec.json.decode(content, type=dict)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RetryError(f"{what}: {_words(error)}") from error
        except msgspec.MsgspecError as error:
            raise RetryError(f"{what}: the answer is no JSON object: {error}") from error
        return answer


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Return a socket that notices within a minute that its peer has gone without a word: a watch only listens."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE.items():
        made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
