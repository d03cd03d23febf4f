"""Who may call the InterLink API: holders of a bearer token from InterlinkTokenFile (RFC 6750).

A falcon middleware. The file is read again when it changes, so that a token is replaced without a restart.
"""

import hmac
import logging
from pathlib import Path

import falcon

log = logging.getLogger(__name__)

#: Answers without a token: it tells that the service lives, and nothing of anybody's pods.
OPEN_PATHS = ("/healthz",)


class TokenFile:
    """The accepted tokens, one a line; empty lines and lines with # do not count."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, int, int] | None = None
        self._tokens: list[bytes] = []

    def accepts(self, token: str) -> bool:
        """Return whether the token stands in the file now, comparing in constant time.

        Raises OSError where the file cannot be read.
        """
        state = self.path.stat()
        stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
        if stamp != self._stamp:
            lines = [line.strip() for line in self.path.read_bytes().splitlines()]
            self._tokens = [line for line in lines if line and not line.startswith(b"#")]
            self._stamp = stamp
        given = token.encode()
        return any([hmac.compare_digest(given, known) for known in self._tokens])  # noqa: C419 - all, in constant time


class BearerAuth:
    """Refuses requests without an accepted token: 401 without one, 403 with a wrong one."""

    def __init__(self, tokens: TokenFile) -> None:
        self.tokens = tokens

    def process_request(self, request: falcon.Request, _response: falcon.Response) -> None:
        """Let the request through or raise falcon.HTTPUnauthorized or falcon.HTTPForbidden."""
        if request.path in OPEN_PATHS:
            return
        scheme, _, token = (request.auth or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise falcon.HTTPUnauthorized(
                title="no token", description="send Authorization: Bearer TOKEN (VKTokenFile)", challenges=["Bearer"]
            )
        try:
            accepted = self.tokens.accepts(token.strip())
        except OSError as error:
            log.exception("InterlinkTokenFile %s cannot be read: %s", self.tokens.path, error.strerror)
            raise falcon.HTTPServiceUnavailable(
                title="cannot check tokens", description="InterlinkTokenFile cannot be read; see the service's log"
            ) from error
        if not accepted:
            raise falcon.HTTPForbidden(title="unknown token", description="the token is not in InterlinkTokenFile")
