"""The site's cache of images on the shared folder: one file per digest, and what is known of it. Used by both sides.

``KEY.sif`` (or the runtime's own suffix) is the image, ``KEY.json`` what the registry said of it and who may have it,
``names/HASH.json`` which digest a name stood for last, ``locks/KEY`` what one puller at a time holds, ``partial/KEY``
what that one is at. Everything appears by rename; a lock ends with its holder, wherever that was killed.
"""

import fcntl
import hashlib
import json
import os
import shutil
from typing import Any, Dict, List, Optional

from interlink.runner.files import as_utf8, read_json, write_whole
from interlink.runner.images.credentials import Credential


class Cache:
    """The cache of one runtime's images."""

    def __init__(self, folder: str, suffix: str) -> None:
        self.folder, self.suffix = folder, suffix

    def key(self, digest: str, architecture: str) -> str:
        """Return what a digest's files are called, on nodes of one architecture."""
        return "{}.{}".format(digest.replace(":", "-"), architecture)

    def key_of_name(self, name: str, credential: Optional[Credential]) -> str:
        """Return the same of a name whose digest nobody tells; what a credential opened is only for who has it."""
        secret = "" if credential is None else credential.hash(name)
        return "name-" + hashlib.sha256(os.fsencode("{}\0{}".format(name, secret))).hexdigest()

    def path(self, key: str) -> str:
        """Return where the image is, once it is there."""
        return os.path.join(self.folder, key + self.suffix)

    def known(self, key: str) -> Optional[Dict[str, Any]]:
        """Return what is known of an image that is there, None of one that is not."""
        return _read(os.path.join(self.folder, key + ".json")) if os.path.exists(self.path(key)) else None

    def digest_of(self, name: str) -> str:
        """Return which digest a name stood for when it was asked last, empty for one that never was."""
        found = _read(self._name_file(name))
        return "" if found is None or found.get("name") != name else str(found.get("digest", ""))

    def remember_name(self, name: str, digest: str) -> None:
        """Keep which digest a name stands for."""
        os.makedirs(os.path.join(self.folder, "names"), 0o700, exist_ok=True)
        write_json(self._name_file(name), {"name": name, "digest": digest})

    def _name_file(self, name: str) -> str:
        return os.path.join(self.folder, "names", hashlib.sha256(os.fsencode(name)).hexdigest() + ".json")

    def remember(self, key: str, known: Dict[str, Any]) -> None:
        """Keep what is known of an image; under its lock."""
        write_json(os.path.join(self.folder, key + ".json"), known)

    def lock(self, key: str) -> "Lock":
        """Return the lock of one image, not yet taken."""
        os.makedirs(os.path.join(self.folder, "locks"), 0o700, exist_ok=True)
        return Lock(os.path.join(self.folder, "locks", key))

    def scratch(self, key: str) -> str:
        """Return an empty folder for one pull; what a killed puller left of the image goes. Under its lock."""
        above = os.path.join(self.folder, "partial", key)
        shutil.rmtree(above, ignore_errors=True)
        folder = os.path.join(above, "{}-{}".format(os.uname().nodename, os.getpid()))
        os.makedirs(folder, 0o700)
        return folder


class Lock:
    """An exclusive lock on the shared folder (fcntl.lockf: over NFS too), held until ``close`` or the process' end."""

    def __init__(self, path: str) -> None:
        self.file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def try_now(self) -> bool:
        """Take it if nobody has it; return whether it is ours."""
        try:
            fcntl.lockf(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False  # POSIX lets a lock that is held be told by either of EAGAIN and EACCES
        return True

    def wait(self) -> None:
        """Take it when it comes free."""
        fcntl.lockf(self.file, fcntl.LOCK_EX)

    def close(self) -> None:
        """Let it go."""
        os.close(self.file)


def may_use(known: Dict[str, Any], repository: str, credentials: List[Credential]) -> bool:
    """Return whether a pod may have a cached image without asking the registry (KEP-2535, as the kubelet does).

    It may where the image was once given to everybody, or for a credential that the pod has too.
    """
    seen = known.get("repositories", {}).get(repository, {})
    own = {credential.hash(repository) for credential in credentials}
    return bool(seen.get("anyone")) or bool(own & set(seen.get("credentials", ())))


def allow(known: Dict[str, Any], repository: str, credential: Optional[Credential]) -> bool:
    """Note that the registry gave an image for a credential, or to everybody (None); return whether that is new."""
    seen = known.setdefault("repositories", {}).setdefault(repository, {"anyone": False, "credentials": []})
    if credential is None:
        new = not seen["anyone"]
        seen["anyone"] = True
        return new
    own = credential.hash(repository)
    new = own not in seen["credentials"]
    seen["credentials"] += [own] if new else []
    return new


def write_json(path: str, content: Dict[str, Any]) -> None:
    """Write a JSON document whole or not at all."""
    write_whole(path, as_utf8(json.dumps(content, sort_keys=True, ensure_ascii=False)))


def _read(path: str) -> Optional[Dict[str, Any]]:
    """Return a JSON object, None where there is none that is whole."""
    try:
        content = read_json(path)
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) else None
