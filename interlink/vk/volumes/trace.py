"""What is remembered of a volume's contents while its pod lives: enough to see that they have changed, nothing of them.

Only immutable objects of projected volumes are kept, packed and once for all pods: the API may have lost them, or have
others of their names, when another source of the volume changes.
"""

import hashlib
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

import msgspec

from interlink.vk.objects import ObjectKey, version_of

Json = dict[str, Any]


class KeptObject:
    """One immutable object; it goes when the last volume that shows it goes."""

    __slots__ = ("__weakref__", "_packed")

    def __init__(self, found: Json) -> None:
        self._packed = zlib.compress(msgspec.json.encode(found), 1)

    def load(self) -> Json:
        """Return the object."""
        found: Json = msgspec.json.decode(zlib.decompress(self._packed))
        return found


_KEPT: WeakValueDictionary[tuple[ObjectKey, str], KeptObject] = WeakValueDictionary()


@dataclass(slots=True)
class Trace:
    """What one volume was last made from."""

    #: The objects that may still change, with the version that was seen; "" for one that was not there.
    versions: dict[ObjectKey, str] = field(default_factory=dict)
    kept: dict[ObjectKey, KeptObject] = field(default_factory=dict)
    #: Of all its files, and of those that the pod's own labels, annotations and resources make; b"" for none.
    digest: bytes = b""
    downward: bytes = b""
    #: When its tokens want to be renewed, in epoch seconds.
    renew: float = math.inf
    #: Whether the last attempt to gather it failed.
    failed: bool = False

    def note(self, key: ObjectKey, found: Json | None, *, keep: bool = False) -> None:
        """Take what was found; an immutable object needs no further look (``keep``: but itself, later)."""
        if found is None or not found.get("immutable"):
            self.versions[key] = version_of(found)
        elif keep:
            name = (key, version_of(found))
            kept = _KEPT.get(name) or KeptObject(found)
            self.kept[key] = _KEPT[name] = kept


def digest_of(files: Mapping[str, bytes], *more: object) -> bytes:
    """Return what tells two sets of files apart."""
    digest = hashlib.sha256(repr(more).encode())
    for path in sorted(files):
        digest.update(b"%d:%d:" % (len(path.encode()), len(files[path])) + path.encode() + files[path])
    return digest.digest()
