"""Service account tokens that are bound to one pod each, asked for again before they expire.

Called by ``contents.py``. The rules are those of kubelet's token manager (pkg/kubelet/token): a token is renewed once a
fifth of its life or less is left, or after a day; while no new one can be had the old one serves until it expires.
"""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.errors import ApiError, NotFoundError
from interlink.vk.gather import NotReadyError
from interlink.vk.objects import is_name
from interlink.vk.times import parse_time

log = logging.getLogger(__name__)

Json = dict[str, Any]

#: v1.ServiceAccountTokenProjection's own default.
DEFAULT_SECONDS = 3600
DAY = 86_400.0
JITTER = 10.0
#: How long after a failed or a very short-lived token the next one is asked for, in seconds.
RETRY = 60.0


@dataclass(frozen=True, slots=True)
class Token:
    """One token; ``renew`` and ``expires`` are epoch seconds."""

    text: str
    renew: float
    expires: float


class Tokens:
    """All tokens of the node's pods. They are kept, as by a kubelet, so that no look at a pod costs a new one."""

    def __init__(self, api: ApiServer, clock: Callable[[], float] = time.time) -> None:
        self.api = api
        self.clock = clock
        self._held: dict[str, dict[tuple[str, str, int], Token]] = {}

    async def get(self, pod: Json, source: Json) -> Token:
        """Return the token of a v1.ServiceAccountTokenProjection. Raises NotReadyError or ApiError."""
        account = pod["spec"].get("serviceAccountName") or "default"
        key = (account, str(source.get("audience") or ""), int(source.get("expirationSeconds") or DEFAULT_SECONDS))
        tokens = self._held.setdefault(pod["metadata"]["uid"], {})
        held = tokens.get(key)
        if held and self.clock() < held.renew:
            return held
        try:
            tokens[key] = await self._request(pod, *key)
        except (ApiError, NotReadyError) as error:
            if held is None or self.clock() >= held.expires:
                raise
            name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            log.warning("pod %s: its token is not renewed, the old one serves: %s", name, error)
            tokens[key] = replace(held, renew=self.clock() + RETRY)
        return tokens[key]

    def forget(self, uid: str) -> None:
        """Drop the tokens of a pod that is over."""
        self._held.pop(uid, None)

    async def _request(self, pod: Json, account: str, audience: str, seconds: int) -> Token:
        metadata = pod["metadata"]
        if not is_name(account):
            raise NotReadyError(f"{account[:80]!r} is no name of a ServiceAccount")
        bound = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
        spec: Json = {
            "expirationSeconds": seconds,
            "audiences": [audience] if audience else [],
            "boundObjectRef": bound,
        }
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        try:
            answer = await self.api.post(
                f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts/{account}/token", request
            )
        except NotFoundError as error:
            raise NotReadyError(f'serviceaccount "{account}" not found') from error
        return self._token(answer, seconds)

    def _token(self, answer: Json, asked: int) -> Token:
        """Return the answer's token; the server may have given it another life than was asked for."""
        now = self.clock()
        seconds = float((answer.get("spec") or {}).get("expirationSeconds") or asked)
        moment = parse_time(str(answer["status"].get("expirationTimestamp") or ""))
        left = moment.timestamp() - now if moment else seconds
        # Where our clock is behind the server's, no token lives longer than it may; where far ahead, none is dead.
        expires = now + (left if 0 < left < seconds else seconds)
        renew = min(expires - seconds + DAY, expires - seconds / 5) - random.uniform(0, JITTER)  # noqa: S311 - spreads
        # Where our clock is ahead of the server's, every token looks old.
        return Token(str(answer["status"]["token"]), max(renew, now + RETRY), expires)
