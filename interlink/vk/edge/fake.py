"""An InterLink with a plugin behind it for tests: a real HTTP server over a dictionary of statuses.

Pods start Pending; tests move them by ``say``. Deletions are noted at once and end when the test says so.
"""

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web

from interlink.wire.batch import Answer, BatchReply
from interlink.wire.messages import CLUSTER_ANNOTATION, Changes, CreateReply, PingReply, PodStatus, Resources

Json = dict[str, Any]


class FakeEdge:
    """What the plugin knows, by pod UID; ``requests`` is what was asked, as (path, UID)."""

    def __init__(self) -> None:
        self.statuses: dict[str, PodStatus] = {}
        self.created: dict[str, Json] = {}
        #: What came by /update, in order.
        self.updates: dict[str, list[Json]] = {}
        self.deleted: dict[str, list[Json]] = {}
        self.requests: list[tuple[str, str]] = []
        #: The sessions of each batch's calls.
        self.batches: list[list[str]] = []
        #: A status and body to answer every request, or those on one path, with: {"": (503, {...})}.
        self.failures: dict[str, tuple[int, Json]] = {}
        self.reply = PingReply(
            extensions=["changes", "update", "log-streams", "address", "batch"],
            resources=Resources(cpu="128", memory="512Gi", pods="1000"),
        )
        #: What the last ping asked about.
        self.asked = ""
        #: What every create is answered beside the job.
        self.warnings: list[str] = []
        self.log = [b"hello\n"]
        self.log_requests: list[Json] = []
        self.log_status = (200, b"")
        self.log_open = 0
        self.hold_log = False
        self.end_on_delete = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.run = int(time.time())
        self._sequence = 0
        self._order: dict[str, int] = {}
        self._news = asyncio.Condition()
        self.port = 0
        self._runner: web.AppRunner | None = None

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["FakeEdge"]:
        """Listen on a free loopback port for the time of the block."""
        await self.start()
        try:
            yield self
        finally:
            await self.stop()

    async def start(self) -> None:
        """Listen, on the same port as before where there was one."""
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the port: the edge is away."""
        if self._runner:
            await self._runner.cleanup()

    def restart(self, *, forget: bool = False) -> None:
        """Begin a new run: old cursors are worth nothing."""
        self.run += 1
        if forget:
            self.statuses.clear()
            self._order.clear()
        asyncio.ensure_future(self._notify())  # noqa: RUF006 - a test's server

    def say(self, uid: str, state: Json, *, ended: bool = False, **more: Any) -> None:
        """Put all containers of the pod into this state, and tell it."""
        status = self.statuses[uid]
        for container in status.containers:
            container["state"] = state
            container["ready"] = "running" in state
        status.ended = ended
        for key, value in more.items():
            setattr(status, key, value)
        self.tell(status)

    def tell(self, status: PodStatus) -> None:
        """Take a status as news."""
        self._sequence += 1
        self.statuses[status.UID] = status
        self._order[status.UID] = self._sequence
        asyncio.ensure_future(self._notify())  # noqa: RUF006 - a test's server

    def shown(self, uid: str, volume: str) -> dict[str, str]:
        """Return the text that a volume shows: what the create request held, and each update since."""
        contents: dict[str, str] = {}
        for document in [*([self.created[uid]] if uid in self.created else []), *self.updates.get(uid, [])]:
            for entry in document["pod"]["spec"].get("volumes") or []:
                if entry["name"] == volume:
                    contents = _text(entry, document)
        return contents

    def count(self, path: str, uid: str = "") -> int:
        """Return how many requests came on this path (for this pod)."""
        return sum(1 for asked, about in self.requests if asked == path and (not uid or about == uid))

    async def _notify(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        document: Any = msgspec.json.decode(body) if body else None
        return await self._answer(request, request.path, document)

    async def _answer(self, request: web.Request, path: str, document: Any) -> web.StreamResponse:
        self.requests.append((path, _uid_of(document)))
        failure = self.failures.get(path) or self.failures.get("")
        if failure:
            return _json(failure[1], failure[0])
        handler = {
            "/create": self._create,
            "/update": self._update,
            "/delete": self._delete,
            "/batch": self._batch,
            "/status": self._status,
            "/changes": self._changes,
            "/pinglink": self._ping,
            "/getLogs": self._logs,
        }.get(path)
        return await handler(request, document) if handler else _json({"title": "not found"}, 404)

    async def _batch(self, request: web.Request, document: Any) -> web.StreamResponse:
        calls = document["calls"]
        self.batches.append([call["session"] for call in calls])
        answers = await asyncio.gather(*(self._answer(request, call["path"], call["body"]) for call in calls))
        return _json(BatchReply(answers=[_as_answer(answer) for answer in answers]))

    async def _create(self, _request: web.Request, document: Any) -> web.StreamResponse:
        await self.gate.wait()
        pod = document["pod"]
        metadata, uid = pod["metadata"], pod["metadata"]["uid"]
        if uid in self.deleted:
            return _json({"title": "the pod was deleted"}, 409)
        if uid not in self.created:
            self.created[uid] = document
            waiting = {"waiting": {"reason": "SlurmPending", "message": "Priority"}}
            containers = [{"name": entry["name"], "state": waiting} for entry in pod["spec"]["containers"]]
            self.tell(
                PodStatus(
                    name=metadata["name"],
                    UID=uid,
                    namespace=metadata["namespace"],
                    JID="17",
                    containers=containers,
                    cluster=metadata["annotations"][CLUSTER_ANNOTATION],
                    node=pod["spec"].get("nodeName") or "",
                )
            )
        return _json(CreateReply(PodUID=uid, PodJID="17", warnings=self.warnings))

    async def _update(self, _request: web.Request, document: Any) -> web.StreamResponse:
        uid = document["pod"]["metadata"]["uid"]
        if uid not in self.statuses or self.statuses[uid].ended:
            return _json({"title": "not found", "description": f"pod {uid} has no job here"}, 404)
        self.updates.setdefault(uid, []).append(document)
        return web.Response(text="update noted")

    async def _delete(self, _request: web.Request, document: Any) -> web.StreamResponse:
        uid = document["metadata"]["uid"]
        self.deleted.setdefault(uid, []).append(document)
        if self.end_on_delete and uid in self.statuses:
            self.say(uid, {"terminated": {"exitCode": 143, "reason": "Error"}}, ended=True)
        return web.Response(text="deletion noted")

    async def _status(self, _request: web.Request, document: Any) -> web.StreamResponse:
        uids = [pod["metadata"]["uid"] for pod in document or []]
        return _json([self.statuses[uid] for uid in uids if uid in self.statuses])

    async def _ping(self, request: web.Request, _document: Any) -> web.StreamResponse:
        self.asked = request.query_string
        return _json(self.reply)

    async def _changes(self, request: web.Request, _document: Any) -> web.StreamResponse:
        after = request.query.get("after")
        if after is None:
            return _json(Changes(cursor=f"{self.run}-{self._sequence}", statuses=list(self.statuses.values())))
        run, _, number = after.partition("-")
        async with self._news:
            while int(run) == self.run and not self._after(int(number)):
                try:
                    async with asyncio.timeout(float(request.query.get("wait", "0"))):
                        await self._news.wait()
                except TimeoutError:
                    break
        if int(run) != self.run:
            return _json({"title": "cursor expired"}, 410)
        return _json(Changes(cursor=f"{self.run}-{self._sequence}", statuses=self._after(int(number))))

    def _after(self, number: int) -> list[PodStatus]:
        return [self.statuses[uid] for uid, order in self._order.items() if order > number]

    async def _logs(self, request: web.Request, document: Any) -> web.StreamResponse:
        self.log_requests.append(document)
        status, words = self.log_status
        if status != 200:
            return web.Response(status=status, body=words)
        response = web.StreamResponse()
        await response.prepare(request)
        self.log_open += 1
        try:
            for chunk in self.log:
                await response.write(chunk)
            while self.hold_log:
                await asyncio.sleep(0.02)
        finally:
            self.log_open -= 1
        return response


def _uid_of(document: Any) -> str:
    if isinstance(document, list) and document:
        document = document[0]
    if not isinstance(document, dict):
        return ""
    pod = document.get("pod") or document
    return str((pod.get("metadata") or {}).get("uid") or document.get("PodUID") or "")


def _as_answer(response: web.StreamResponse) -> Answer:
    """Return what a batch says of an answer that a call alone would have had."""
    body = response.body if isinstance(response, web.Response) and isinstance(response.body, bytes) else b""
    return Answer(status=response.status, body=body.decode())


def _text(volume: Json, document: Json) -> dict[str, str]:
    """Return a volume's text as a request has it; ``items`` is left to the sidecar."""
    for kind, objects, name in (("configMap", "configmaps", "name"), ("secret", "secrets", "secretName")):
        if kind in volume:
            found = [each for each in document[objects] if each["metadata"]["name"] == volume[kind][name]]
            data: dict[str, str] = found[0].get("data") or {} if found else {}
            return data if kind == "configMap" else {key: base64.b64decode(text).decode() for key, text in data.items()}
    maps = [each for each in document["projectedvolumesmaps"] if each["metadata"]["name"] == volume["name"]]
    return maps[0]["data"] if maps else {}


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")
