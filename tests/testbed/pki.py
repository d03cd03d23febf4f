"""The bed's certificates, as data, and the openssl commands that make them.

One authority for everything, a second one for the front proxy (a client of the first must not pass for it).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import CommandError, UnhealthyError
from .fingerprint import fingerprint
from .layout import CLUSTER_NODE, KUBERNETES_SERVICE
from .process import run

if TYPE_CHECKING:
    from .bed import Bed
    from .part import Step

DAYS = 365
SPARE_DAYS = 7
SERVES, CALLS = "serverAuth", "clientAuth"


@dataclass(frozen=True)
class Certificate:
    """One certificate: who it is for (common name, organization), what names it has and what it may do."""

    name: str
    common_name: str
    use: str
    organization: str = ""
    names: tuple[str, ...] = ()
    authority: str = "ca"

    @property
    def subject(self) -> str:
        """The subject as openssl wants it."""
        return (f"/O={self.organization}" if self.organization else "") + f"/CN={self.common_name}"


def certificates(cluster_address: str, registry_address: str) -> tuple[Certificate, ...]:
    """Return all certificates of a bed with these addresses."""
    service = [f"DNS:kubernetes{tail}" for tail in ("", ".default", ".default.svc", ".default.svc.cluster.local")]
    api = (*service, "DNS:localhost", "IP:127.0.0.1", f"IP:{KUBERNETES_SERVICE}", f"IP:{cluster_address}")
    node = f"system:node:{CLUSTER_NODE}"
    return (
        Certificate("apiserver", "kube-apiserver", SERVES, names=api),
        Certificate("apiserver-kubelet-client", "kube-apiserver-kubelet-client", CALLS, "system:masters"),
        Certificate("front-proxy-client", "front-proxy-client", CALLS, authority="front-proxy-ca"),
        Certificate("admin", "testbed-admin", CALLS, "system:masters"),
        Certificate("controller-manager", "system:kube-controller-manager", CALLS),
        Certificate("scheduler", "system:kube-scheduler", CALLS),
        Certificate("kube-proxy", "system:kube-proxy", CALLS),
        Certificate("kubelet", node, CALLS, "system:nodes"),
        Certificate("kubelet-server", node, SERVES, "system:nodes",
                    names=(f"DNS:{CLUSTER_NODE}", f"IP:{cluster_address}")),
        Certificate("registry", "registry", SERVES, names=(f"IP:{registry_address}",)),
    )  # fmt: skip


def wanted(bed: Bed) -> tuple[Certificate, ...]:
    """Return the certificates of this bed."""
    network = bed.network
    return certificates(network.address(bed.layout.cluster), network.gateway)


def health(bed: Bed) -> str:
    """Say that the certificates are there and hold; raises UnhealthyError if not."""
    folder, plan = bed.paths.pki, wanted(bed)
    stamp = folder / "plan"
    if not stamp.exists() or stamp.read_text() != fingerprint(repr(plan)):
        raise UnhealthyError("no certificates for these addresses")
    try:
        run(["openssl", "x509", "-noout", "-checkend", str(SPARE_DAYS * 86400), "-in", folder / "apiserver.crt"])
    except CommandError as error:
        raise UnhealthyError(f"the certificates end within {SPARE_DAYS} days") from error
    return f"{len(plan)} certificates"


def up(bed: Bed, step: Step) -> None:
    """Make all certificates anew."""
    folder, plan = bed.paths.pki, wanted(bed)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    (folder / "plan").unlink(missing_ok=True)
    for authority in ("ca", "front-proxy-ca"):
        _make_authority(folder, authority, step)
    for certificate in plan:
        _make_certificate(folder, certificate, step)
    # RSA: OpenID Connect clients take RS256 where they are told nothing else.
    key = folder / "service-account.key"
    step.run(["openssl", "genrsa", "-out", key, "2048"])
    step.run(["openssl", "rsa", "-in", key, "-pubout", "-out", folder / "service-account.pub"])
    (folder / "plan").write_text(fingerprint(repr(plan)))


def _request(folder: Path, name: str, subject: str) -> list[str | Path]:
    return [
        "openssl", "req", "-x509", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc",
        "-sha256", "-days", str(DAYS), "-subj", subject, "-keyout", folder / f"{name}.key",
        "-out", folder / f"{name}.crt",
    ]  # fmt: skip


def _make_authority(folder: Path, name: str, step: Step) -> None:
    usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"]
    step.run([*_request(folder, name, f"/CN=interlink-testbed-{name}"), *usage])


def _make_certificate(folder: Path, certificate: Certificate, step: Step) -> None:
    authority = folder / certificate.authority
    extensions = ["basicConstraints=critical,CA:FALSE", f"extendedKeyUsage={certificate.use}"]
    if certificate.names:
        extensions.append(f"subjectAltName={','.join(certificate.names)}")
    step.run([
        *_request(folder, certificate.name, certificate.subject),
        "-CA", f"{authority}.crt", "-CAkey", f"{authority}.key",
        *(word for extension in extensions for word in ("-addext", extension)),
    ])  # fmt: skip
