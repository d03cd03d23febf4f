"""A registry of container images on loopback, as little of one as the pod runner asks: manifests, configs, tokens."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from interlink.runner.images.registry import architecture

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def sha256(content: bytes) -> str:
    """Return a digest as registries write it."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Registry:
    """What the registry holds, how it wants to be asked, and what it was asked."""

    def __init__(self) -> None:
        self.manifests: dict[tuple[str, str], bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self.asked: list[str] = []
        #: "" lets everybody in; Basic and Bearer want alice's password, Bearer gives everybody a token of his own.
        self.scheme = ""
        self.users = {"alice": "s3cret"}
        #: Repositories that a Bearer token opens for everybody.
        self.public: set[str] = set()
        self.address = ""
        self.says_digest = True

    def add(self, repository: str, *tags: str, index: bool = False, **config: Any) -> str:
        """Put an image in and return its digest; ``config`` is the OCI configuration's."""
        blob = json.dumps({"config": config}).encode()
        self.blobs[sha256(blob)] = blob
        layers = [{"digest": sha256(b"layer"), "size": 5_000_000}]
        manifest = json.dumps({"config": {"digest": sha256(blob)}, "layers": layers, "mediaType": MANIFEST}).encode()
        self.manifests[repository, sha256(manifest)] = manifest
        if index:
            platforms = [("windows", architecture(), sha256(b"other")), ("linux", architecture(), sha256(manifest))]
            entries = [{"digest": d, "platform": {"os": o, "architecture": a}} for o, a, d in platforms]
            manifest = json.dumps({"manifests": entries, "mediaType": INDEX}).encode()
            self.manifests[repository, sha256(manifest)] = manifest
        for tag in tags:
            self.manifests[repository, tag] = manifest
        return sha256(manifest)

    def count(self, words: str) -> int:
        """Return how many requests had these words in them."""
        return sum(words in line for line in self.asked)

    def allowed(self, header: str, repository: str) -> bool:
        """Whether an Authorization header opens a repository."""
        scheme, _, value = header.partition(" ")
        if self.scheme == "Basic" and scheme == "Basic":
            return self._knows(value)
        if self.scheme == "Bearer" and scheme == "Bearer":
            return value in self.users or repository in self.public
        return not self.scheme

    def token(self, header: str, fields: dict[str, list[str]]) -> str | None:
        """Return the token for a user, or for nobody; None where the password is wrong."""
        if fields.get("grant_type") == ["refresh_token"]:
            return "alice" if fields.get("refresh_token") == ["identity"] else None
        if not header:
            return "nobody"
        value = header.partition(" ")[2]
        return base64.b64decode(value).decode().split(":")[0] if self._knows(value) else None

    def _knows(self, value: str) -> bool:
        user, _, password = base64.b64decode(value).decode().partition(":")
        return self.users.get(user) == password


@contextmanager
def serving(registry: Registry) -> Iterator[Registry]:
    """Serve a registry on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(registry, self)

        do_HEAD = do_POST = do_GET  # noqa: N815 - the base class' names

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    registry.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(registry: Registry, request: BaseHTTPRequestHandler) -> None:
    header = request.headers.get("Authorization", "")
    registry.asked.append(f"{request.command} {request.path} {header}")
    parts = urlsplit(request.path)
    if parts.path == "/token":
        body = request.rfile.read(int(request.headers.get("Content-Length", 0))).decode()
        token = registry.token(header, parse_qs(parts.query or body))
        refusal = {"details": "incorrect username or password"}
        _send(request, 401 if token is None else 200, {"token": token} if token else refusal)
        return
    repository, kind, what = parts.path.removeprefix("/v2/").rsplit("/", 2)
    if not registry.allowed(header, repository):
        challenge = {
            "Basic": 'Basic realm="bed"',
            "Bearer": f'Bearer realm="http://{registry.address}/token",service="reg",scope="repository:{repository}:pull"',
        }[registry.scheme]
        refused = {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}
        _send(request, 401, refused, {"WWW-Authenticate": challenge})
        return
    found = registry.manifests.get((repository, what)) if kind == "manifests" else registry.blobs.get(what)
    if found is None:
        _send(request, 404, {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]})
    else:
        _send(request, 200, found, {"Docker-Content-Digest": sha256(found)} if registry.says_digest else {})


def _send(request: BaseHTTPRequestHandler, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    request.send_response(status)
    for name, value in (headers or {}).items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(content)
