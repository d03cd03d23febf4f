"""ClusterTrustBundles, as the projected source of that name wants them: certificates, each once, as one PEM text.

Called by ``contents.py``. Kubernetes 1.36 serves them as certificates.k8s.io/v1beta1 where the feature gates
ClusterTrustBundle and ClusterTrustBundleProjection are on, which they are not by default; every service account may
read them (ClusterRole system:cluster-trust-bundle-discovery). Rules: kubelet's pkg/kubelet/clustertrustbundle.
"""

import base64
import binascii
import hashlib
import re
import textwrap
from collections.abc import Iterable
from typing import Any

from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.errors import NotFoundError
from interlink.vk.gather import NotReadyError, References
from interlink.vk.objects import ObjectKey, is_name

Json = dict[str, Any]

GROUP = "/apis/certificates.k8s.io"
VERSIONS = ("v1", "v1beta1", "v1alpha1")
RESOURCE = "clustertrustbundles"
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\s(.*?)-----END CERTIFICATE-----", re.DOTALL)
#: Signers, label keys and label values: letters, digits and ``-._/``, so that none can add to a selector.
_WORD = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?")


class TrustBundles:
    """Says where ClusterTrustBundles are in this cluster's API, once it has been found."""

    def __init__(self, api: ApiServer) -> None:
        self.api = api
        self._collection = ""

    async def key(self, source: Json) -> ObjectKey | None:
        """Return what a v1.ClusterTrustBundleProjection selects; None where a missing selector selects nothing.

        Raises NotReadyError where the API has no ClusterTrustBundles, and for a source that names neither.
        """
        name, signer, selector = source.get("name"), source.get("signerName"), source.get("labelSelector")
        if name:
            if not is_name(name):
                raise NotReadyError(f"{name[:80]!r} is no name of a ClusterTrustBundle")
            return ObjectKey(await self._found(), name)
        if not signer:
            raise NotReadyError("ClusterTrustBundle projection requires either name or signerName to be set")
        if selector is None:
            return None
        return ObjectKey(await self._found(), "", label_selector(selector), f"spec.signerName={_word(signer)}")

    async def _found(self) -> str:
        for version in () if self._collection else VERSIONS:
            try:
                served = await self.api.get(f"{GROUP}/{version}")
            except NotFoundError:
                continue
            if any(resource.get("name") == RESOURCE for resource in served.get("resources") or ()):
                self._collection = f"{GROUP}/{version}/{RESOURCE}"
                break
        if not self._collection:
            raise NotReadyError(
                "this cluster's kube-apiserver serves no ClusterTrustBundles (feature gate ClusterTrustBundle, and "
                "certificates.k8s.io/v1beta1/clustertrustbundles in its runtime-config)"
            )
        return self._collection


async def trust_anchors(bundles: TrustBundles, references: References, source: Json, pod_uid: str) -> bytes:
    """Return the PEM text of a v1.ClusterTrustBundleProjection. Raises NotReadyError or ApiError."""
    key = await bundles.key(source)
    found = await references.get(key) if key else None
    items = [] if found is None else found.get("items", [found])
    if key and not key.name:
        items = [item for item in items if (item.get("spec") or {}).get("signerName") == source["signerName"]]
    if not items and not source.get("optional"):
        if source.get("name"):
            raise NotReadyError(f'clustertrustbundle "{source["name"]}" not found')
        raise NotReadyError("combination of signerName and labelSelector matched zero ClusterTrustBundles")
    return normalized(((item.get("spec") or {}).get("trustBundle") or "" for item in items), pod_uid)


def normalized(bundles: Iterable[str], seed: str) -> bytes:
    """Return all certificates of the PEM texts, each once, in an order that tells nothing and stays for one seed.

    Raises NotReadyError for a block that is no base64.
    """
    found = set()
    for bundle in bundles:
        for match in _PEM.finditer(bundle):
            try:
                found.add(base64.b64decode("".join(match[1].split()), validate=True))
            except (binascii.Error, ValueError) as error:
                raise NotReadyError(f"a ClusterTrustBundle holds what is no PEM: {error}") from error
    ordered = sorted(found - {b""}, key=lambda der: hashlib.sha256(seed.encode() + der).digest())
    return "".join(_pem(der) for der in ordered).encode()


def label_selector(selector: Json) -> str:
    """Return a v1.LabelSelector as the API's lists take it. Raises NotReadyError for one that is malformed."""
    terms = [f"{_word(key)}={_value(value)}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for expression in selector.get("matchExpressions") or ():
        key, operator = _word(expression.get("key")), expression.get("operator")
        values = ",".join(_value(value) for value in expression.get("values") or ())
        forms = {
            "In": f"{key} in ({values})",
            "NotIn": f"{key} notin ({values})",
            "Exists": key,
            "DoesNotExist": f"!{key}",
        }
        if operator not in forms:
            raise NotReadyError(f"{str(operator)[:80]!r} is no operator of a label selector")
        terms.append(forms[operator])
    return ",".join(terms)


def _word(text: object) -> str:
    if not isinstance(text, str) or not _WORD.fullmatch(text):
        raise NotReadyError(f"{str(text)[:80]!r} is no signer, label key or label value")
    return text


def _value(text: object) -> str:
    return "" if text == "" else _word(text)


def _pem(der: bytes) -> str:
    lines = textwrap.wrap(base64.b64encode(der).decode(), 64)
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])
