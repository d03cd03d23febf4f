"""The InterLink API as the virtual kubelet calls it: one method a call, errors translated, token read again.

Used by the pod controller (create, delete, statuses), the volumes' updates, the change feed, the node (ping) and the
kubelet port (logs).
Every call but logs has a deadline; every call is idempotent, so that AwayError always means "again later".
"""

import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec

from interlink.vk.edge.batcher import Batcher
from interlink.vk.edge.errors import (
    AwayError,
    BusyError,
    CursorExpiredError,
    DeletedError,
    LogsError,
    RefusedError,
    UnknownPodError,
)
from interlink.vk.edge.transport import Answer, Transport, document, words
from interlink.wire.messages import Changes, CreateReply, LogRequest, PingReply, PodStatus

Json = dict[str, Any]
T = TypeVar("T")
#: Answers to a create or update that the same request will always get: malformed, too large, refused by the site.
_REFUSALS = (400, 413, 422)
#: A refusal's title that is a reason as Kubernetes writes them.
_REASON = re.compile(r"[A-Z][A-Za-z0-9]{2,60}")


class EdgeClient:
    """One InterLink; ``takes_batches`` says whether its plugin takes several calls in one request.

    ``busy`` says whether kube-apiserver has all it can do: then calls wait longer for each other.
    """

    def __init__(
        self,
        transport: Transport,
        takes_batches: Callable[[], bool] = lambda: False,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        self._transport = transport
        self._batcher = Batcher(transport, takes_batches, busy)
        self.name = transport.name

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def create(self, request: Json) -> CreateReply:
        """Start the pod, once for all calls with its UID. Raises RefusedError, DeletedError, BusyError or AwayError."""
        status, content = await self._change("/create", request)
        if status in _REFUSALS:
            raise RefusedError(words(content), _reason(content))
        if status == 409:
            raise DeletedError(words(content))
        return self._decode("/create", status, content, CreateReply)

    async def update(self, request: Json) -> None:
        """Bring newer contents to the volumes that the request's pod names; the others keep theirs.

        Raises RefusedError, UnknownPodError or AwayError.
        """
        status, content = await self._change("/update", request)
        if status in _REFUSALS:
            raise RefusedError(words(content), _reason(content))
        if status == 404:
            raise UnknownPodError(words(content))
        if status != 200:
            raise self._transport.away("/update", Answer(status, content))

    async def delete(self, pod: Json) -> None:
        """Ask for the pod's end; returns once that is noted, not once it has ended. Raises AwayError."""
        status, content = await self._change("/delete", pod)
        if status not in (200, 404, 410):
            raise self._transport.away("/delete", Answer(status, content))

    async def statuses(self, pods: list[Json]) -> list[PodStatus]:
        """Return the statuses of those of the pods that the plugin knows. Raises AwayError."""
        status, content = await self._call("GET", "/status", msgspec.json.encode(pods))
        if content.strip() == b"null":
            content = b"[]"
        return self._decode("/status", status, content, list[PodStatus])

    async def changes(self, cursor: str | None, wait: float) -> Changes:
        """Wait for changes after the cursor; None asks for everything at once. CursorExpiredError, AwayError."""
        query = f"?{urlencode({'after': cursor, 'wait': f'{wait:g}'})}" if cursor else ""
        status, content = await self._call("GET", f"/changes{query}", None, timeout=wait + 15)
        if status == 410:
            raise CursorExpiredError(words(content))
        return self._decode("/changes", status, content, Changes)

    async def ping(self, partitions: Iterable[str] = (), flavors: Iterable[str] = ()) -> PingReply:
        """Return what the plugin says of itself and of these parts of its site. Raises AwayError.

        Words instead of JSON count as a reply too.
        """
        asked = [("partition", name) for name in partitions] + [("flavor", name) for name in flavors]
        query = f"?{urlencode(asked)}" if asked else ""
        status, content = await self._call("POST", f"/pinglink{query}", None, timeout=10)
        if status != 200:
            raise self._transport.away("/pinglink", Answer(status, content))
        try:
            return msgspec.json.decode(content, type=PingReply)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return PingReply(status=words(content))

    @asynccontextmanager
    async def logs(self, request: LogRequest) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give the log as it comes; leaving the block drops the connection, so that the source is freed.

        Raises LogsError or AwayError before the first byte, and AwayError where the log breaks off.
        """
        async with self._transport.stream("/getLogs", msgspec.json.encode(request)) as (status, pieces):
            if status != 200:
                content = b"".join([piece async for piece in pieces])
                if status in (400, 404):
                    raise LogsError(words(content), status)
                raise self._transport.away("/getLogs", Answer(status, content))
            yield pieces

    async def _change(self, path: str, message: Json) -> tuple[int, bytes]:
        """Send what changes a pod; BusyError or AwayError where it is to be sent again."""
        answer = await self._batcher.call(path, msgspec.json.encode(message))
        if answer.status == 429 and path == "/create" and (reason := _reason(answer.content, "")):
            raise BusyError(words(answer.content), reason, self._transport.away(path, answer).retry_after)
        return self._taken(path, answer)

    async def _call(self, method: str, target: str, body: bytes | None, *, timeout: float = 30.0) -> tuple[int, bytes]:
        return self._taken(target, await self._transport.send(method, target, body, timeout=timeout))

    def _taken(self, target: str, answer: Answer) -> tuple[int, bytes]:
        if answer.status in (429, 503):
            raise self._transport.away(target.partition("?")[0], answer)
        return answer.status, answer.content

    def _decode(self, path: str, status: int, content: bytes, kind: type[T]) -> T:
        if status != 200:
            raise self._transport.away(path, Answer(status, content))
        try:
            return msgspec.json.decode(content, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise AwayError(f"{self.name}{path} answered what is no InterLink reply: {error}") from error


def _reason(content: bytes, default: str = "Refused") -> str:
    """Return the reason that an error body's title is, the default where it is none."""
    title = document(content).get("title")
    return title if isinstance(title, str) and _REASON.fullmatch(title) else default
