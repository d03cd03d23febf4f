"""Who asks at the kubelet port, and whether they may: a kubelet's own order of client certificate, token, review.

Used by ``server.py`` before any route runs. Invariant: what cannot be decided is refused.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from interlink.vk.apiserver.client import ApiServer

Json = dict[str, Any]
T = TypeVar("T")

TOKEN_SECONDS, NO_TOKEN_SECONDS = 120.0, 30.0
ALLOW_SECONDS, DENY_SECONDS = 300.0, 30.0
REMEMBERED = 2048
#: Reviews that are under way at once: a flood of made-up tokens must not take the connections that pods need.
REVIEWS = 8
MASTERS = "system:masters"

#: Routes that have a right of their own, tried before the general one (KubeletFineGrainedAuthz).
_FINE_GRAINED = {"pods": "pods", "runningpods": "pods", "healthz": "healthz", "configz": "configz"}
_SUBRESOURCES = {"stats": "stats", "metrics": "metrics", "logs": "log"}
#: Routes that change something whatever their method: a WebSocket begins with GET.
_CREATING = ("exec", "attach", "run", "portForward")


@dataclass(frozen=True)
class User:
    """Who asks, as a certificate's subject or a TokenReview says."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Json = field(default_factory=dict, compare=False, hash=False)


class Expiring(Generic[T]):
    """A small cache whose entries end by themselves."""

    def __init__(self) -> None:
        self._entries: OrderedDict[Any, tuple[float, T]] = OrderedDict()

    def get(self, key: object) -> T | None:
        """Return the value while it holds."""
        until, value = self._entries.get(key, (0.0, None))
        return value if until > time.monotonic() else None

    def put(self, key: object, value: T, seconds: float) -> None:
        """Keep the value for so long."""
        self._entries[key] = (time.monotonic() + seconds, value)
        self._entries.move_to_end(key)
        if len(self._entries) > REMEMBERED:
            self._entries.popitem(last=False)


class Reviews(Generic[T]):
    """Asks kube-apiserver, once for all who want to know the same at the same time, and few at once."""

    def __init__(self) -> None:
        self._asked: dict[Any, asyncio.Task[T]] = {}
        self._places = asyncio.Semaphore(REVIEWS)

    async def answer(self, key: object, ask: Callable[[], Awaitable[T]]) -> T:
        """Return the answer; who goes away meanwhile takes it from nobody else. Raises what ``ask`` raises."""
        task = self._asked.get(key)
        if task is None:
            task = self._asked[key] = asyncio.ensure_future(self._ask(ask))
            task.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(task)

    async def _ask(self, ask: Callable[[], Awaitable[T]]) -> T:
        async with self._places:
            return await ask()

    def _forget(self, key: object, done: asyncio.Task[T]) -> None:
        del self._asked[key]
        if not done.cancelled():
            done.exception()  # those who waited have it; where all went away, nobody wants it


class Gate:
    """Authentication and authorization of the kubelet port."""

    def __init__(self, api: ApiServer, node_name: str) -> None:
        self.api = api
        self.node_name = node_name
        self._users: Expiring[User] = Expiring()
        #: Tokens that are nobody's, apart from the users, whom a flood of them shall not push out.
        self._nobodies: Expiring[bool] = Expiring()
        self._rulings: Expiring[bool] = Expiring()
        self._token_reviews: Reviews[User | None] = Reviews()
        self._access_reviews: Reviews[bool] = Reviews()

    async def identify(self, certificate: Json | None, authorization: str) -> User | None:
        """Return who asks, None for nobody. Raises ApiError where the review itself fails."""
        user = certificate_user(certificate)
        if user:
            return user
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return None
        return await self._review(token.strip())

    async def allows(self, user: User, method: str, path: str) -> bool:
        """Whether the user may do this at this node. Raises ApiError where the review itself fails."""
        if MASTERS in user.groups:
            return True
        verb, subresources = attributes(method, path)
        for subresource in subresources:
            if await self._ruling(user, verb, subresource):
                return True
        return False

    def refusal(self, user: User, method: str, path: str) -> str:
        """Return a kubelet's words for what is not allowed."""
        verb, subresources = attributes(method, path)
        names = " ".join(subresources)
        return f"Forbidden (user={user.name}, verb={verb}, resource=nodes, subresource(s)=[{names}])"

    async def _review(self, token: str) -> User | None:
        key = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        known = self._users.get(key)
        if known or self._nobodies.get(key):
            return known
        return await self._token_reviews.answer(key, lambda: self._review_token(key, token))

    async def _review_token(self, key: bytes, token: str) -> User | None:
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        answer = await self.api.post("/apis/authentication.k8s.io/v1/tokenreviews", request)
        status = answer.get("status") or {}
        if not status.get("authenticated"):
            self._nobodies.put(key, value=True, seconds=NO_TOKEN_SECONDS)
            return None
        said = status.get("user") or {}
        user = User(
            said.get("username") or "", tuple(said.get("groups") or ()), said.get("uid") or "", said.get("extra") or {}
        )
        self._users.put(key, user, TOKEN_SECONDS)
        return user

    async def _ruling(self, user: User, verb: str, subresource: str) -> bool:
        key = (user, verb, subresource)
        known = self._rulings.get(key)
        if known is not None:
            return known
        return await self._access_reviews.answer(key, lambda: self._review_access(user, verb, subresource))

    async def _review_access(self, user: User, verb: str, subresource: str) -> bool:
        spec = {
            "user": user.name,
            "groups": list(user.groups),
            "uid": user.uid,
            "extra": user.extra,
            "resourceAttributes": {
                "verb": verb,
                "version": "v1",
                "resource": "nodes",
                "subresource": subresource,
                "name": self.node_name,
            },
        }
        request = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        answer = await self.api.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", request)
        allowed = bool((answer.get("status") or {}).get("allowed"))
        self._rulings.put((user, verb, subresource), allowed, ALLOW_SECONDS if allowed else DENY_SECONDS)
        return allowed


def certificate_user(certificate: Json | None) -> User | None:
    """Return the user of a verified client certificate: CN is the name, each O a group."""
    if not certificate:
        return None
    facts = [pair for part in certificate.get("subject") or () for pair in part]
    name = next((value for key, value in facts if key == "commonName"), "")
    if not name:
        return None
    groups = tuple(value for key, value in facts if key == "organizationName")
    return User(name, (*groups, "system:authenticated"))


def attributes(method: str, path: str) -> tuple[str, list[str]]:
    """Return the verb and the subresources of ``nodes`` that allow a request, any of which is enough."""
    root = path.strip("/").split("/", 1)[0]
    verb = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(method, "get")
    if root in _CREATING:
        verb = "create"
    if root in _SUBRESOURCES:
        return verb, [_SUBRESOURCES[root]]
    return verb, [_FINE_GRAINED[root], "proxy"] if root in _FINE_GRAINED else ["proxy"]
