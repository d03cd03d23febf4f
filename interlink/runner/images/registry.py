"""A registry, by the OCI distribution API: which digest a tag is, and how the image says that it runs.

TLS is verified with the node's own authorities (SSL_CERT_FILE counts); the job's proxy variables count too. A
registry that the site calls insecure is spoken to by plain HTTP. What comes is held to its digest.
"""

import base64
import hashlib
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from interlink.runner.files import RunnerError
from interlink.runner.images.credentials import Credential
from interlink.runner.images.reference import Reference

#: Seconds that one request may take, and bytes that an answer may have.
TIMEOUT, LARGEST = 30.0, 4 << 20
AGENT = {"User-Agent": "interlink-pod-runner"}
_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
_CHALLENGE = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
#: uname's machine → GOARCH, which indexes of images name.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


class RegistryError(RunnerError):
    """The registry did not give what was asked for; ``denied`` where another credential might."""

    def __init__(self, message: str, denied: bool = False) -> None:
        RunnerError.__init__(self, message)
        self.denied = denied


class Manifest(NamedTuple):
    """One platform's image: its own digest, its size in bytes and layers, and the OCI configuration's ``config``."""

    digest: str
    size: int
    layers: int
    config: Dict[str, Any]


def architecture() -> str:
    """Return this node's architecture as images name it."""
    machine = os.uname().machine
    return _ARCHITECTURES.get(machine, machine)


class Registry:
    """One repository of a registry, asked with one credential (or none)."""

    def __init__(self, reference: Reference, credential: Optional[Credential], insecure: bool) -> None:
        self.reference, self.credential = reference, credential
        self.root = "{}://{}/v2/{}".format("http" if insecure else "https", reference.api, reference.repository)
        self.authorization = ""
        #: Whether the registry asked for a credential and was shown one: the image may not be everybody's.
        self.used = False

    def digest(self) -> str:
        """Return the digest that the image's name stands for now. Raises RegistryError."""
        if self.reference.digest:
            # Asked all the same: whether this pod may have it is the registry's to say.
            self._manifest(self.reference.digest, "HEAD")
            return self.reference.digest
        headers, _ = self._manifest(self.reference.tag, "HEAD")
        found: str = headers.get("Docker-Content-Digest", "")
        if not _DIGEST.fullmatch(found):
            _, body = self._manifest(self.reference.tag, "GET")
            found = _sha256(body)
        return found

    def manifest(self, digest: str) -> Manifest:
        """Return the image of this node's platform behind a digest. Raises RegistryError."""
        content = self._checked(digest, self._manifest(digest, "GET")[1])
        if "manifests" in content:
            digest = self._of_this_platform(content["manifests"])
            content = self._checked(digest, self._manifest(digest, "GET")[1])
        if not isinstance(content.get("config"), dict):
            raise RegistryError("{}: {} is no image manifest".format(self.reference.name, digest))
        wanted = str(content["config"].get("digest", ""))
        blob = self._checked(wanted, self._ask("/blobs/" + wanted, "GET", "*/*")[1])
        layers: List[Dict[str, Any]] = content.get("layers") or []
        size = sum(int(layer.get("size", 0)) for layer in layers)
        return Manifest(digest, size, len(layers), blob.get("config") or {})

    def _of_this_platform(self, manifests: List[Dict[str, Any]]) -> str:
        wanted, seen = architecture(), []
        for item in manifests:
            platform = item.get("platform") or {}
            seen.append("{}/{}".format(platform.get("os", "?"), platform.get("architecture", "?")))
            if platform.get("os") == "linux" and platform.get("architecture") == wanted:
                return str(item.get("digest", ""))
        text = "{}: no image for linux/{} among {}"
        raise RegistryError(text.format(self.reference.name, wanted, ", ".join(seen) or "none"))

    def _manifest(self, what: str, method: str) -> Tuple[Any, bytes]:
        return self._ask("/manifests/" + what, method, ", ".join(_MANIFESTS + _INDEXES))

    def _checked(self, digest: str, body: bytes) -> Dict[str, Any]:
        """Return a JSON document whose digest is right. Raises RegistryError."""
        if _sha256(body) != digest:
            raise RegistryError("{}: what the registry sent is not {}".format(self.reference.name, digest))
        try:
            content = json.loads(os.fsdecode(body))
        except ValueError as error:
            raise RegistryError("{}: {} is no JSON: {}".format(self.reference.name, digest, error)) from error
        if not isinstance(content, dict):
            raise RegistryError("{}: {} is no JSON object".format(self.reference.name, digest))
        return content

    def _ask(self, path: str, method: str, accept: str) -> Tuple[Any, bytes]:
        """Ask, once more with a token or password where the registry wants one. Raises RegistryError."""
        try:
            return self._request(self.root + path, method, accept)
        except urllib.error.HTTPError as refused:
            challenges = refused.headers.get_all("WWW-Authenticate") or []
            words = self._words(refused)
            if refused.code != 401 or self.authorization or not self._authorize(challenges):
                raise words from refused
        try:
            return self._request(self.root + path, method, accept)
        except urllib.error.HTTPError as refused:
            raise self._words(refused) from refused

    def _request(self, url: str, method: str, accept: str) -> Tuple[Any, bytes]:
        request = urllib.request.Request(url, method=method, headers={"Accept": accept, **AGENT})  # noqa: S310 - ours
        if self.authorization:
            # Unredirected: a registry's storage elsewhere must not see it, and refuses requests that carry it.
            request.add_unredirected_header("Authorization", self.authorization)
        return self._open(request)

    def _open(self, request: urllib.request.Request) -> Tuple[Any, bytes]:
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310 - http and https alone
                body = answer.read(LARGEST + 1)
                if len(body) > LARGEST:
                    raise RegistryError("{}: an answer of more than {} bytes".format(request.full_url, LARGEST))
                return answer.headers, body
        except urllib.error.HTTPError:
            raise
        except urllib.error.URLError as error:
            raise RegistryError("{}: {}".format(request.full_url.partition("?")[0], error.reason)) from error
        except OSError as error:
            raise RegistryError("{}: {}".format(request.full_url.partition("?")[0], error)) from error

    def _authorize(self, challenges: List[str]) -> bool:
        """Answer the registry's challenge (RFC 7235); return whether there is an answer. Raises RegistryError."""
        for challenge in challenges:
            scheme, _, rest = challenge.strip().partition(" ")
            if scheme.lower() == "bearer":
                self.authorization = "Bearer " + self._token(dict(_CHALLENGE.findall(rest)))
                return True
            if scheme.lower() == "basic" and self.credential is not None and self.credential.username:
                self.used, self.authorization = True, _basic(self.credential)
                return True
        return False

    def _token(self, challenge: Dict[str, str]) -> str:
        """Return a token of the registry's token service (distribution.github.io: token authentication)."""
        scope = challenge.get("scope") or "repository:{}:pull".format(self.reference.repository)
        fields = {"service": challenge.get("service", ""), "scope": scope}
        realm, data = challenge.get("realm", ""), None
        if not realm.startswith("https://" if self.root.startswith("https://") else ("https://", "http://")):
            raise RegistryError("{}: the registry names no token service that is safe".format(self.reference.name))
        self.used = self.credential is not None
        if self.credential is not None and self.credential.token:
            fields.update(grant_type="refresh_token", client_id="interlink", refresh_token=self.credential.token)
            data = urllib.parse.urlencode(fields).encode("ascii")
        else:
            realm += ("&" if "?" in realm else "?") + urllib.parse.urlencode(fields)
        request = urllib.request.Request(realm, data=data, headers=AGENT)  # noqa: S310 - looked at above
        if data is None and self.credential is not None:
            request.add_unredirected_header("Authorization", _basic(self.credential))
        try:
            answer = json.loads(self._open(request)[1].decode("utf-8"))
        except urllib.error.HTTPError as refused:
            raise self._words(refused) from refused
        except ValueError as error:
            raise RegistryError("{}: the token service sent no JSON".format(self.reference.name)) from error
        token = answer.get("token") or answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token:
            raise RegistryError("{}: the token service gave no token".format(self.reference.name))
        return token

    def _words(self, refused: urllib.error.HTTPError) -> RegistryError:
        """Return what the registry said, in one line; its answer is closed."""
        said: List[str] = []
        try:
            with refused:
                body = refused.read(LARGEST)
            answer = json.loads(body.decode("utf-8")) if body else {}
            errors = answer.get("errors") if isinstance(answer, dict) else None
            items = errors if isinstance(errors, list) else []
            said += ["{}: {}".format(item.get("code", ""), item.get("message", "")) for item in items]
            said += [str(answer["details"])] if isinstance(answer, dict) and "details" in answer else []
        except (OSError, ValueError, AttributeError):
            said = []  # words that cannot be read: the status stands alone
        text = "; ".join(said) or _MEANINGS.get(refused.code, "")
        message = "{}: {} {}".format(refused.geturl().partition("?")[0], refused.code, refused.reason)
        return RegistryError(message + (": " + text if text else ""), denied=refused.code in (401, 403, 404))


#: What a registry means that says nothing else (answers to HEAD have no body).
_MEANINGS = {
    401: "authentication required",
    403: "access denied",
    404: "manifest unknown",
    429: "too many requests: the registry limits how often images are asked for",
}


def _basic(credential: Credential) -> str:
    pair = "{}:{}".format(credential.username, credential.password).encode("utf-8", "surrogateescape")
    return "Basic " + base64.b64encode(pair).decode("ascii")


def _sha256(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()
