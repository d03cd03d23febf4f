"""A certificate authority of the tests: the cluster's, which signs clients and what nodes request."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PEM = serialization.Encoding.PEM
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


class Authority:
    """One CA; ``issuer`` makes it an intermediate one."""

    def __init__(self, name: str = "ca", issuer: "Authority | None" = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name(name)
        signer = issuer or self
        basics = x509.BasicConstraints(ca=True, path_length=None)
        self.certificate = (
            _builder(self.name, signer.name, self.key.public_key())
            .add_extension(basics, critical=True)
            .sign(signer.key, hashes.SHA256())
        )

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(PEM).decode()

    def client(self, folder: Path, name: str, organization: str = "", use: x509.ObjectIdentifier = CLIENT) -> Path:
        """Return a file with a certificate and its key."""
        key, chain = self.pair(_name(name, organization), use)
        path = folder / f"{name}.pem"
        path.write_bytes(key + chain)
        return path

    def pair(self, subject: x509.Name, use: x509.ObjectIdentifier = SERVER) -> tuple[bytes, bytes]:
        """Return a key and its certificate in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(subject, self.name, key.public_key())
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        secret = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return secret, certificate.public_bytes(PEM)

    def sign(self, request: dict[str, Any], begins: datetime, days: float = 365) -> str:
        """Return what kube-controller-manager puts into the status of a CertificateSigningRequest."""
        asked = x509.load_pem_x509_csr(base64.b64decode(request["spec"]["request"]))
        builder = _builder(asked.subject, self.name, asked.public_key(), begins, days)
        for extension in asked.extensions:
            builder = builder.add_extension(extension.value, extension.critical)
        return base64.b64encode(builder.sign(self.key, hashes.SHA256()).public_bytes(PEM)).decode()


def _name(common_name: str, organization: str = "") -> x509.Name:
    facts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization:
        facts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(facts)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Any, begins: datetime | None = None, days: float = 1
) -> x509.CertificateBuilder:
    begins = begins or datetime.now(UTC) - timedelta(hours=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=days))
    )
