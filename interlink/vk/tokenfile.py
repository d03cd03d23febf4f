"""A bearer token that lives in a file and rotates there: the service account's own, and the one for InterLink.

Read by both HTTP clients before each request; costs one stat where nothing changed.
"""

from pathlib import Path


class TokenFile:
    """The token in one file, read again whenever the file is another one; ``path`` None means no token at all."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._token = ""
        self._seen: tuple[int, int] = (0, 0)

    def read(self) -> str:
        """Return the token, the last one known while the file cannot be read, empty where there is none."""
        if self.path is None:
            return ""
        try:
            facts = self.path.stat()
            seen = (facts.st_mtime_ns, facts.st_ino)
            if seen != self._seen:
                self._token = self.path.read_text(encoding="utf-8").strip()
                self._seen = seen
        except (OSError, UnicodeDecodeError):
            return self._token
        return self._token

    def headers(self) -> dict[str, str]:
        """Return the Authorization header; none for an empty token, as the protocol wants."""
        token = self.read()
        return {"Authorization": f"Bearer {token}"} if token else {}
