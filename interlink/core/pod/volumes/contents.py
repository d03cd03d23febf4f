"""What was gathered for a pod's volumes (ConfigMaps, Secrets, finished maps), by name and as bytes. Called by ``plan``.

The virtual kubelet sends ConfigMap and Secret volumes as whole objects; projected and downward API volumes as one
finished map of path to contents each, by the volume's name. The public one sends no binary data and leaves some sources
of projected volumes out without a word: what can be seen to be missing is refused by ``files``.
"""

import base64
import binascii
from collections.abc import Iterable
from typing import Any

import msgspec

from interlink.core.errors import UnsupportedPod
from interlink.core.pod.volumes.sources import convert
from interlink.wire.messages import RetrievedContainer


class Meta(msgspec.Struct):
    """v1.ObjectMeta."""

    name: str = ""


class Object(msgspec.Struct, rename="camel"):
    """v1.ConfigMap, v1.Secret, or what was gathered for a projected or downward API volume."""

    metadata: Meta = msgspec.field(default_factory=Meta)
    data: dict[str, str] | None = None
    binary_data: dict[str, str] | None = None
    string_data: dict[str, str] | None = None
    immutable: bool | None = None

    def text_files(self) -> dict[str, bytes]:
        """Return the files of a ConfigMap: text as UTF-8, ``binaryData`` decoded."""
        files = {key: text.encode() for key, text in (self.data or {}).items()}
        return files | {key: self._decoded(key, text) for key, text in (self.binary_data or {}).items()}

    def secret_files(self) -> dict[str, bytes]:
        """Return the files of a Secret: ``data`` decoded, and over it the plain ``stringData``."""
        files = {key: self._decoded(key, text) for key, text in (self.data or {}).items()}
        return files | {key: text.encode() for key, text in (self.string_data or {}).items()}

    def _decoded(self, key: str, text: str) -> bytes:
        """Decode base64. Raises UnsupportedPod with the key, never with the value."""
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise UnsupportedPod(f'key "{key}" of "{self.metadata.name}" is not valid base64') from None


class Gathered:
    """All that came with the pod; the containers that share an object bring it several times."""

    def __init__(self, containers: Iterable[RetrievedContainer] | None) -> None:
        """Raises UnsupportedPod for what is no object of its kind."""
        shares = list(containers or ())
        self.config_maps = _by_name("ConfigMap", (item for share in shares for item in share.configMaps or ()))
        self.secrets = _by_name("Secret", (item for share in shares for item in share.secrets or ()))
        self.projected = _by_name(
            "projected volume", (item for share in shares for item in share.projectedvolumemaps or ())
        )


def _by_name(what: str, objects: Iterable[dict[str, Any]]) -> dict[str, Object]:
    contents = [convert(what, item, Object) for item in objects]
    return {item.metadata.name: item for item in contents}
