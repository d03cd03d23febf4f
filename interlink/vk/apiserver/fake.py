"""A kube-apiserver for tests: a real HTTP server over a dictionary, with the rules that the virtual kubelet relies on.

Resource versions, paged lists, watches with bookmarks and 410, strategic merge of what is patched here, UID
preconditions, graceful deletion and finalizers. Nothing else of Kubernetes: tests put objects in by ``put``.
"""

import asyncio
import copy
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from interlink.vk.apiserver.access import Access

Json = dict[str, Any]

#: Lists that merge by a key, as the API's types declare; all others are replaced.
MERGE_KEYS = {"conditions": "type", "addresses": "type", "podIPs": "ip", "hostIPs": "ip"}
#: What can be watched, and what the paths of its objects have in them.
COLLECTIONS = {"/api/v1/pods": "/pods/", "/api/v1/services": "/services/"}
BUNDLES = "/clustertrustbundles"


class FakeApiServer:
    """Objects by their path. ``requests`` is what was asked, as (method, path)."""

    def __init__(self) -> None:
        self.objects: dict[str, Json] = {}
        self.requests: list[tuple[str, str]] = []
        self.version = 100
        self.compacted = 0
        #: Answers to force: the next requests whose "METHOD path" starts with the key fail with the status.
        self.failures: dict[str, list[int]] = {}
        self.reviews: dict[str, Json] = {}
        self.rules: set[tuple[str, str, str]] = set()
        self.watch_errors: list[Json] = []
        self.page_size: int | None = None
        #: Whether it streams lists (the feature gate WatchList).
        self.streams_lists = True
        #: The time of this server, in epoch seconds; when a token was given out is told by it.
        self.clock: Callable[[], float] = time.time
        self.tokens = 0
        self.access = Access("", None, dict)
        self._history: list[tuple[int, str, str, Json]] = []
        self._news = asyncio.Condition()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["FakeApiServer"]:
        """Listen on a free loopback port for the time of the block."""
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.access = Access(f"http://{host}:{port}", None, dict)
        self.put("/api/v1/namespaces/kube-system", {"metadata": {"name": "kube-system", "uid": "cluster-uid"}})
        try:
            yield self
        finally:
            await runner.cleanup()

    def put(self, path: str, value: Json) -> Json:
        """Create or replace an object, as another client would."""
        known = self.objects.get(path)
        metadata = value.setdefault("metadata", {})
        metadata.setdefault("name", path.rsplit("/", 1)[1])
        metadata.setdefault("uid", str(uuid.uuid4()))
        self._keep(path, value, "MODIFIED" if known else "ADDED")
        return value

    def remove(self, path: str) -> None:
        """Remove an object at once, as a forced deletion would."""
        gone = self.objects.pop(path)
        self.version += 1
        gone["metadata"]["resourceVersion"] = str(self.version)
        self._tell("DELETED", path, gone)

    def compact(self) -> None:
        """Forget all history: older watches get 410."""
        self.compacted = self.version
        self._history.clear()

    def count(self, method: str, part: str) -> int:
        """Return how many requests of this method had the part in their path."""
        return sum(1 for asked, path in self.requests if asked == method and part in path)

    def fail(self, what: str, status: int, times: int = 1) -> None:
        """Let the next requests that begin so fail."""
        self.failures.setdefault(what, []).extend([status] * times)

    def _keep(self, path: str, value: Json, event: str) -> None:
        self.version += 1
        value["metadata"]["resourceVersion"] = str(self.version)
        self.objects[path] = value
        self._tell(event, path, value)

    def _tell(self, event: str, path: str, value: Json) -> None:
        part = next((part for part in COLLECTIONS.values() if part in path), "")
        if part:
            self._history.append((self.version, event, part, copy.deepcopy(value)))
            asyncio.ensure_future(self._notify())  # noqa: RUF006 - a test's server

    async def _notify(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        self.requests.append((request.method, path))
        for what, statuses in self.failures.items():
            if f"{request.method} {path}".startswith(what) and statuses:
                return _status(statuses.pop(0), "InternalError", "forced by the test")
        if path.endswith(BUNDLES):
            return self._bundles(path, request.query)
        if path in COLLECTIONS:
            return await self._watch(request) if "watch" in request.query else self._list(request)
        body = await request.read()
        document: Json = msgspec.json.decode(body) if body else {}
        if request.method == "POST":
            return self._post(path, document)
        path = path.removesuffix("/approval")
        base = path.removesuffix("/status")
        if base not in self.objects:
            return _status(404, "NotFound", f"{base} not found")
        handler = {"GET": self._get, "PUT": self._put, "PATCH": self._patch, "DELETE": self._delete}
        return handler[request.method](path, document)

    def _get(self, path: str, _body: Json) -> web.Response:
        return _json(self.objects[path])

    def _put(self, path: str, body: Json) -> web.Response:
        base = path.removesuffix("/status")
        held, metadata = self.objects[base], body.get("metadata") or {}
        for key in ("uid", "resourceVersion"):
            if metadata.get(key) and metadata[key] != held["metadata"][key]:
                return _status(409, "Conflict", f"Precondition failed: {key}, or the object has been modified")
        if path != base:
            body = {**copy.deepcopy(held), "status": _without_nulls(body.get("status") or {})}
        body["metadata"]["uid"] = held["metadata"]["uid"]
        if body != held:
            self._keep(base, body, "MODIFIED")
        return _json(body)

    def _patch(self, path: str, body: Json) -> web.Response:
        base = path.removesuffix("/status")
        held = copy.deepcopy(self.objects[base])
        metadata = body.get("metadata") or {}
        version = metadata.get("resourceVersion")
        if version and version != held["metadata"]["resourceVersion"]:
            return _status(409, "Conflict", "Precondition failed: resourceVersion")
        if metadata.get("uid") and metadata["uid"] != held["metadata"]["uid"]:
            cause = {"reason": "FieldValueInvalid", "field": "metadata.uid"}
            return _status(422, "Invalid", "metadata.uid: Invalid value: field is immutable", {"causes": [cause]})
        if path != base:
            merge(held.setdefault("status", {}), body.get("status") or {})
        else:
            merge(held, {key: value for key, value in body.items() if key != "status"})
        if held != self.objects[base]:
            self._keep(base, held, "MODIFIED")
        return _json(self.objects[base])

    def _delete(self, path: str, body: Json) -> web.Response:
        held = copy.deepcopy(self.objects[path])
        uid = (body.get("preconditions") or {}).get("uid")
        if uid and uid != held["metadata"]["uid"]:
            return _status(409, "Conflict", "Precondition failed: UID")
        grace = body.get("gracePeriodSeconds", 30)
        if grace == 0 and not held["metadata"].get("finalizers"):
            self.remove(path)
            return _json(held)
        before = held["metadata"].get("deletionGracePeriodSeconds")
        held["metadata"]["deletionTimestamp"] = held["metadata"].get("deletionTimestamp") or "2026-01-01T00:00:00Z"
        held["metadata"]["deletionGracePeriodSeconds"] = grace if before is None else min(before, grace)
        if before != held["metadata"]["deletionGracePeriodSeconds"]:
            self._keep(path, held, "MODIFIED")
        return _json(held)

    def _post(self, path: str, body: Json) -> web.Response:
        if path.endswith("/tokenreviews"):
            user = self.reviews.get(body["spec"]["token"])
            return _json({"status": {"authenticated": bool(user), "user": user or {}}}, 201)
        if path.endswith("/subjectaccessreviews"):
            facts = body["spec"]["resourceAttributes"]
            allowed = (body["spec"]["user"], facts["verb"], facts["subresource"]) in self.rules
            return _json({"status": {"allowed": allowed}}, 201)
        if path.endswith("/token"):
            return self._token(body["spec"])
        target = f"{path}/{body['metadata']['name']}"
        if target in self.objects:
            return _status(409, "AlreadyExists", "already exists")
        return _json(self.put(target, body), 201)

    def _token(self, spec: Json) -> web.Response:
        """Give out a token that says whose it is and the how-manieth of all."""
        self.tokens += 1
        expires = datetime.fromtimestamp(self.clock() + spec["expirationSeconds"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        token = f"token-{self.tokens}-of-{spec['boundObjectRef']['uid']}"
        return _json({"spec": spec, "status": {"token": token, "expirationTimestamp": expires}}, 201)

    def _items(self, request: web.Request) -> list[Json]:
        part = COLLECTIONS[request.path]
        return [value for path, value in sorted(self.objects.items()) if part in path and _selected(request, value)]

    def _bundles(self, path: str, query: Mapping[str, str]) -> web.Response:
        """List ClusterTrustBundles of one signer; of label selectors only equality is known here."""
        signer = query.get("fieldSelector", "").removeprefix("spec.signerName=")
        wanted = dict(term.split("=") for term in query.get("labelSelector", "").split(",") if term)
        items = [value for at, value in sorted(self.objects.items()) if at.startswith(f"{path}/")]
        items = [item for item in items if item["spec"].get("signerName") == signer]
        items = [item for item in items if wanted.items() <= (item["metadata"].get("labels") or {}).items()]
        return _json({"metadata": {"resourceVersion": str(self.version)}, "items": items})

    def _list(self, request: web.Request) -> web.Response:
        size = self.page_size or int(request.query.get("limit", "500"))
        start = int(request.query.get("continue") or 0)
        items = self._items(request)
        metadata = {"resourceVersion": str(self.version)}
        if start + size < len(items):
            metadata["continue"] = str(start + size)
        return _json({"metadata": metadata, "items": items[start : start + size]})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        listing = request.query.get("sendInitialEvents") == "true"
        if listing and not self.streams_lists:
            return _status(422, "Invalid", "sendInitialEvents: Forbidden: unless the WatchList feature gate is enabled")
        version = self.version if listing else int(request.query["resourceVersion"])
        if version < self.compacted:
            return _status(410, "Expired", "too old resource version")
        response = web.StreamResponse()
        await response.prepare(request)
        if listing:
            for item in self._items(request):
                await response.write(msgspec.json.encode({"type": "ADDED", "object": item}) + b"\n")
            end = {"resourceVersion": str(version), "annotations": {"k8s.io/initial-events-end": "true"}}
            bookmark = {"kind": "Pod", "metadata": end}
            await response.write(msgspec.json.encode({"type": "BOOKMARK", "object": bookmark}) + b"\n")
        while True:
            if error := self._watch_error(request.path, version):
                await response.write(msgspec.json.encode({"type": "ERROR", "object": error}) + b"\n")
                return response
            for number, event, part, value in [entry for entry in self._history if entry[0] > version]:
                if part == COLLECTIONS[request.path] and _selected(request, value):
                    await response.write(msgspec.json.encode({"type": event, "object": value}) + b"\n")
                version = number
            bookmark = {"kind": "Pod", "metadata": {"resourceVersion": str(version)}}
            await response.write(msgspec.json.encode({"type": "BOOKMARK", "object": bookmark}) + b"\n")
            async with self._news:  # news may have come while these were written
                while not self._has_news(version):
                    await self._news.wait()

    def _watch_error(self, path: str, version: int) -> Json | None:
        """Return how a watch that has come so far ends, None where it goes on."""
        if self.watch_errors and path.endswith("/pods"):
            return self.watch_errors.pop(0)
        # What the watch has not been told of before the history went, it could never be told.
        return {"kind": "Status", "code": 410, "reason": "Expired"} if version < self.compacted else None

    def _has_news(self, version: int) -> bool:
        return bool(self.watch_errors) or version < self.compacted or any(entry[0] > version for entry in self._history)


def _selected(request: web.Request, pod: Json) -> bool:
    """Whether the request's field selector, which is always that of a node, takes the pod."""
    node = request.query.get("fieldSelector", "").removeprefix("spec.nodeName=")
    return not node or pod["spec"].get("nodeName") == node


def merge(held: Json, patch: Json) -> None:
    """Merge by the strategic rules for the lists named above; null removes."""
    for key, value in patch.items():
        if value is None:
            held.pop(key, None)
        elif isinstance(value, dict) and isinstance(held.get(key), dict):
            merge(held[key], value)
        elif key in MERGE_KEYS and isinstance(value, list):
            held[key] = _merged_list(held.get(key) or [], value, MERGE_KEYS[key])
        else:
            held[key] = _without_nulls(value)


def _merged_list(held: list[Json], patch: list[Json], key: str) -> list[Json]:
    if any(item.get("$patch") == "replace" for item in patch):
        return [_without_nulls(item) for item in patch if "$patch" not in item]
    result = {item[key]: item for item in held}
    for item in patch:
        if item.get("$patch") == "delete":
            result.pop(item[key], None)
            continue
        target = result.setdefault(item[key], {})
        merge(target, item)
    return list(result.values())


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def _status(code: int, reason: str, message: str, details: Json | None = None) -> web.Response:
    document = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
    return _json({**document, "details": details}, code)
