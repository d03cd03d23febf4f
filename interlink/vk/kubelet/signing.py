"""A serving certificate signed by the cluster: asked for, waited for, taken when it is there, renewed before it ends.

Driven by ``serving.py``, a step at a time. The signer is kubernetes.io/kubelet-serving: kube-controller-manager signs
and never approves; who approves is an administrator, an approver of the cluster, or, where the configuration says so,
we ourselves. Invariants: the private key never leaves this process; a node has one request at a time, named as it is,
and what an earlier process has left there, whose key is gone, makes room.
"""

import base64
import binascii
import logging
import random
import secrets
from dataclasses import dataclass
from typing import Any

from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.errors import ApiError, ConflictError, ForbiddenError, InvalidError, NotFoundError
from interlink.vk.events.recorder import Events
from interlink.vk.kubelet.certificate import (
    CertificateError,
    Credential,
    common_name,
    credential,
    key_pem,
    new_key,
    requested_name,
    signing_request,
)

log = logging.getLogger(__name__)

Json = dict[str, Any]

FOLDER = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
SIGNER = "kubernetes.io/kubelet-serving"
SIGNED = "signed"
#: A kubelet waits so long for its first certificate (client-go's certificate manager); then people are told.
PATIENCE_SECONDS = 900.0
#: The pause after a request that was denied or may not be made: an administrator must act first.
REFUSED_SECONDS = 3600.0
FAILED_SECONDS = 30.0
#: The share of its life after which a certificate is renewed, drawn anew for each: as the kubelet.
ROTATE_BETWEEN = (0.7, 0.9)


@dataclass(frozen=True)
class _Pending:
    name: str
    uid: str
    key: bytes
    asked: float


class Signing:
    """The requests of one node, in the cluster's words: CertificateSigningRequest."""

    def __init__(self, api: ApiServer, events: Events, node_name: str, address: str, *, approve: bool) -> None:
        self.api = api
        self.events = events
        self.node_name = node_name
        self.address = address
        self.approve = approve
        self._pending: _Pending | None = None
        self._due = self._before = 0.0
        self._told = False

    async def step(self, now: float) -> Credential | None:
        """Do what is due at ``now`` (epoch seconds); return a new credential as soon as it is signed."""
        if now < self._before:
            self._due -= self._before - now  # the clock was put back: what was left to wait is left
        self._before = now
        if now < self._due:
            return None
        try:
            if self._pending is None:
                self._pending = await self._ask(now)
            return await self._look(self._pending, now)
        except NotFoundError:
            # kube-controller-manager removes a request that nobody has approved for a day: another one takes its place.
            self._pending = None
        except (ForbiddenError, InvalidError, CertificateError) as error:
            self._give_up(now, str(error))
        except ConflictError:
            self._due = now + 1.0
        except ApiError as error:
            log.warning("kubelet port: certificate request: %s; trying again", error)
            self._due = now + max(FAILED_SECONDS, error.retry_after)
        return None

    async def _ask(self, now: float) -> _Pending:
        key = new_key()
        request = signing_request(key, self.node_name, self.address)
        spec = {
            "request": base64.b64encode(request).decode(),
            "signerName": SIGNER,
            "usages": ["digital signature", "server auth"],
        }
        body = {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": await self._free_name()},
            "spec": spec,
        }
        try:
            answer = await self.api.post(FOLDER, body)
        except NotFoundError as error:
            raise CertificateError(f"this cluster has no {FOLDER}: {error}") from error
        metadata = answer["metadata"]
        log.info("kubelet port: certificate request %s for %s", metadata["name"], common_name(self.node_name))
        self._told = False
        return _Pending(metadata["name"], metadata["uid"], key_pem(key), now)

    async def _free_name(self) -> str:
        """Return the request's name, the node's; an earlier one is removed, because nobody has its key any more."""
        path = f"{FOLDER}/{self.node_name}"
        try:
            earlier = await self.api.get(path)
        except NotFoundError:
            return self.node_name
        spec = earlier["spec"]
        if (spec["signerName"], requested_name(spec["request"])) != (SIGNER, common_name(self.node_name)):
            raise CertificateError(f"certificate request {self.node_name} is for somebody else: remove it")
        try:
            await self.api.delete(path, uid=earlier["metadata"]["uid"], grace_seconds=0)
        except NotFoundError:
            return self.node_name
        except ForbiddenError as error:
            log.warning("kubelet port: an earlier request stays until the cluster removes it: %s", error)
            return f"{self.node_name}-{secrets.token_hex(5)}"
        log.info("kubelet port: certificate request %s: an earlier one is removed", self.node_name)
        return self.node_name

    async def _look(self, pending: _Pending, now: float) -> Credential | None:
        path = f"{FOLDER}/{pending.name}"
        request = await self.api.get(path)
        if request["metadata"]["uid"] != pending.uid:
            log.warning("kubelet port: certificate request %s was made anew by somebody else", pending.name)
            self._pending, self._due = None, now + FAILED_SECONDS
            return None
        status = request.get("status") or {}
        conditions = {str(item.get("type")): item for item in status.get("conditions") or []}
        for kind in ("Denied", "Failed"):
            if kind in conditions:
                words = conditions[kind].get("message") or conditions[kind].get("reason") or "no words"
                self._give_up(now, f"certificate request {pending.name}: {kind}: {words}")
                return None
        if status.get("certificate"):
            return self._take(pending, str(status["certificate"]), now)
        if "Approved" not in conditions and self.approve:
            await self._approve(path, request)
        self._wait(pending, now, approved="Approved" in conditions or self.approve)
        return None

    def _take(self, pending: _Pending, certificate: str, now: float) -> Credential:
        """Return the signed credential; the next request is due when most of its life is over."""
        try:
            found = credential(pending.key, base64.b64decode(certificate, validate=True), SIGNED)
        except (binascii.Error, CertificateError) as error:
            raise CertificateError(
                f"certificate request {pending.name}: what was signed is of no use: {error}"
            ) from error
        self._pending = None
        life = found.not_after - max(now, found.not_before)
        self._due = now + max(60.0, life * random.uniform(*ROTATE_BETWEEN))  # noqa: S311 - only spreads
        log.info("kubelet port: certificate request %s was signed", pending.name)
        return found

    async def _approve(self, path: str, request: Json) -> None:
        approved = {
            "type": "Approved",
            "status": "True",
            "reason": "InterLinkSelfApproved",
            "message": "the virtual kubelet's configuration says KubeletCertApprove",
        }
        status = request.get("status") or {}
        conditions = [*(status.get("conditions") or []), approved]
        try:
            await self.api.put(f"{path}/approval", {**request, "status": {**status, "conditions": conditions}})
        except ForbiddenError as error:
            self._tell(f"KubeletCertApprove is set, and this service account may not approve: {error}")

    def _wait(self, pending: _Pending, now: float, *, approved: bool) -> None:
        waited = now - pending.asked
        self._due = now + (1.0 if waited < 30 else 10.0 if waited < PATIENCE_SECONDS else 60.0)
        if waited >= PATIENCE_SECONDS:
            words = (
                f"certificate request {pending.name} was approved and nobody signs it: is there a signer {SIGNER}?"
                if approved
                else f"certificate request {pending.name} waits: kubectl certificate approve {pending.name}"
            )
            self._tell(words)

    def _give_up(self, now: float, words: str) -> None:
        self._pending = None
        self._due = now + REFUSED_SECONDS
        self._told = False
        self._tell(words)

    def _tell(self, words: str) -> None:
        """Tell people, once for each request."""
        if self._told:
            return
        self._told = True
        log.warning("kubelet port: %s; it is served with the certificate it has", words)
        self.events.node("Warning", "CertificateNotSigned", words)
