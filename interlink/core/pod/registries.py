"""imagePullSecrets → the credentials that the pod runner shows to registries. Called by ``build``.

The two forms are kubernetes.io/dockerconfigjson and the older kubernetes.io/dockercfg (k8s.io/kubernetes,
pkg/credentialprovider): JSON by registry, with a name and password, both in one ``auth``, or an identity token.
"""

import base64
import binascii
from collections.abc import Iterable
from typing import Any

import msgspec

from interlink.core.errors import UnsupportedPod
from interlink.core.plan import PlanCredential

#: Key of the secret's data → where the registries are in its JSON.
_CONFIG, _OLDER = ".dockerconfigjson", ".dockercfg"


def registry_credentials(secrets: Iterable[dict[str, Any]] | None) -> list[PlanCredential]:
    """Return the credentials of all secrets, in their order; a secret of another kind has none, as for the kubelet.

    Raises UnsupportedPod, with the secret's name and none of its contents, for one that cannot be read.
    """
    found: list[PlanCredential] = []
    for secret in secrets or ():
        name = str((secret.get("metadata") or {}).get("name", ""))
        try:
            registries = _registries(secret.get("data") or {})
            found += [_credential(str(registry), entry) for registry, entry in registries.items()]
        except (ValueError, TypeError, AttributeError, binascii.Error):
            raise UnsupportedPod(
                f'the image pull secret "{name[:100]}" is no docker config.json; '
                "kubectl create secret docker-registry makes one"
            ) from None
    return found


def _registries(data: dict[str, Any]) -> dict[str, Any]:
    """Return the entries by registry. Raises ValueError and TypeError."""
    for key in (_CONFIG, _OLDER):
        if key in data:
            content = msgspec.json.decode(base64.b64decode(data[key], validate=True), type=dict[str, Any])
            registries = content.get("auths", {}) if key == _CONFIG else content
            if not isinstance(registries, dict):
                raise TypeError(key)
            return registries
    return {}


def _credential(registry: str, entry: dict[str, Any]) -> PlanCredential:
    """Return one entry. ``auth`` counts before a name and password, as for docker and the kubelet."""
    username, password = str(entry.get("username", "")), str(entry.get("password", ""))
    if entry.get("auth"):
        pair = base64.b64decode(str(entry["auth"]), validate=True).decode().rstrip("\0")
        username, _, password = pair.partition(":")
    token = str(entry.get("identitytoken", ""))
    return PlanCredential(registry=registry, username=username, password=password, token=token)
