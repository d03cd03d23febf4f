"""Which of a pod's registry credentials fit an image: the kubelet's own rule (pkg/credentialprovider/keyring.go). Pure.

Keys are those of a docker config.json: a host, maybe with a port, a path below it, or ``*`` for one part of the host's
name; the longest path first, and all that fit are tried in that order.
"""

import fnmatch
import hashlib
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple
from urllib.parse import urlsplit

from interlink.runner.images.reference import HUB, Reference, parse

#: Docker's own key for Docker Hub.
_HUB_KEY = "index.docker.io"


class Credential(NamedTuple):
    """A name and password, or an identity token, for a registry."""

    username: str = ""
    password: str = ""
    token: str = ""

    def hash(self, repository: str) -> str:
        """Return what the cache keeps to know the credential again, for one repository; it cannot be turned back."""
        text = "\0".join((repository, self.username, self.password, self.token))
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def fitting(credentials: Iterable[Dict[str, Any]], reference: Reference) -> List[Credential]:
    """Return the plan's credentials that fit an image, in the order in which they are tried."""
    found: List[Tuple[str, Credential]] = []
    for item in credentials:
        host, path = _split(item["registry"])
        if _fits(host, path, reference):
            credential = Credential(item.get("username", ""), item.get("password", ""), item.get("token", ""))
            found.append((host + path, credential))
    return [credential for _, credential in sorted(found, key=lambda pair: pair[0], reverse=True)]


def for_name(credentials: Iterable[Dict[str, Any]], name: str) -> Optional[Credential]:
    """Return the first credential that fits an image whose digest nobody tells; of these only oras:// has any."""
    scheme, _, rest = name.partition("://")
    return next(iter(fitting(credentials, parse(rest))), None) if scheme == "oras" else None


def _split(key: str) -> Tuple[str, str]:
    """Return a key's host and path; a scheme and the registry API's own first part mean nothing."""
    parts = urlsplit(key if "://" in key else "https://" + key)
    path = parts.path[3:] if parts.path.startswith(("/v1/", "/v2/")) else parts.path
    return parts.netloc, "" if path == "/" else path.rstrip("/")


def _fits(host: str, path: str, reference: Reference) -> bool:
    if reference.registry == HUB and host in (HUB, _HUB_KEY) and not path:
        return True
    wanted, own = host.partition(":"), reference.registry.partition(":")
    pattern, name = wanted[0].split("."), own[0].split(".")
    if wanted[2] != own[2] or len(pattern) != len(name):
        return False
    if not all(fnmatch.fnmatchcase(part, glob) for part, glob in zip(name, pattern)):  # noqa: B905 - as long
        return False
    return ("/" + reference.repository).startswith(path)
