"""What the kubelet port shows as its own: key and certificate, the request for one, and the TLS context of them.

Pure but for a file in memory; used by ``serving.py`` and ``signing.py``. kube-apiserver verifies a kubelet's
certificate only where it is told to; the names in it are those that a kubelet has, whoever signs it. Invariant: no key
touches a disk.
"""

import base64
import binascii
import contextlib
import ipaddress
import os
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID_DAYS = 365
#: ub-common-name of RFC 5280: a longer name cannot be in a certificate.
LONGEST_COMMON_NAME = 64
SELF_SIGNED = "self-signed"


class CertificateError(Exception):
    """Key and certificate are no pair, or not what they should be; the text says which and never holds the key."""


@dataclass(frozen=True)
class Credential:
    """A private key and its certificate with what stands between that and the CA, both PEM; times in epoch seconds."""

    key: bytes
    chain: bytes
    #: Where it is from: ``files``, ``signed`` or ``self-signed``.
    source: str
    not_before: float
    not_after: float


def credential(key: bytes, chain: bytes, source: str) -> Credential:
    """Return the pair with its times. Raises CertificateError where OpenSSL would not serve it."""
    try:
        leaf = x509.load_pem_x509_certificates(chain)[0]
    except ValueError as error:
        raise CertificateError(f"no PEM certificate: {error}") from error
    found = Credential(key, chain, source, leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp())
    server_context(found, "")
    return found


def server_context(shown: Credential, authorities: str) -> ssl.SSLContext:
    """Return the context that shows this credential and accepts client certificates of these CAs (PEM).

    A client without one may still show a token. Raises CertificateError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # ssl loads from files only: an anonymous one needs no writable disk and leaves nothing behind.
    descriptor = os.memfd_create("serving", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(shown.key + b"\n" + shown.chain)
        # The empty password: OpenSSL would ask for that of an encrypted key on a terminal.
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=b"")
        if authorities:
            # As Go does, any certificate of the file is trusted, be it an intermediate one.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.load_verify_locations(cadata=authorities)
            context.verify_mode = ssl.CERT_OPTIONAL
    except (ssl.SSLError, ValueError) as error:
        raise CertificateError(f"key and certificate cannot be used: {error}") from error
    finally:
        os.close(descriptor)
    return context


def self_signed(node_name: str, address: str, now: datetime | None = None) -> Credential:
    """Return a fresh pair with a kubelet's subject and the node's names, valid for a year."""
    key = new_key()
    now = now or datetime.now(UTC)
    subject = _subject(common_name(node_name)[:LONGEST_COMMON_NAME])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=VALID_DAYS))
        .add_extension(_names(node_name, address), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return credential(key_pem(key), certificate.public_bytes(serialization.Encoding.PEM), SELF_SIGNED)


def signing_request(key: ec.EllipticCurvePrivateKey, node_name: str, address: str) -> bytes:
    """Return the PKCS#10 request in PEM, exactly as the signer kubernetes.io/kubelet-serving takes it.

    Source: k8s.io/kubernetes/pkg/apis/certificates/helpers.go, ValidateKubeletServingCSR. Raises CertificateError where
    the node's name is too long for any certificate.
    """
    name = common_name(node_name)
    if len(name) > LONGEST_COMMON_NAME:
        raise CertificateError(f"{name} is longer than the {LONGEST_COMMON_NAME} characters of a common name")
    request = x509.CertificateSigningRequestBuilder().subject_name(_subject(name))
    signed = request.add_extension(_names(node_name, address), critical=False).sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM)


def requested_name(request: str) -> str:
    """Return the common name that a PKCS#10 request (PEM in base64) is for, empty where it is none."""
    try:
        subject = x509.load_pem_x509_csr(base64.b64decode(request, validate=True)).subject
    except (binascii.Error, ValueError):
        return ""
    return "".join(str(fact.value) for fact in subject.get_attributes_for_oid(NameOID.COMMON_NAME))


def common_name(node_name: str) -> str:
    """Return the user name of a node, which is also its certificate's common name."""
    return f"system:node:{node_name}"


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a fresh private key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the private key in PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _subject(name: str) -> x509.Name:
    organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes")
    return x509.Name([organization, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _names(node_name: str, address: str) -> x509.SubjectAlternativeName:
    """Return the node's name and the address at which it is published, and nothing else."""
    names: list[x509.GeneralName] = [x509.DNSName(node_name)]
    with contextlib.suppress(ValueError):
        names.append(x509.IPAddress(ipaddress.ip_address(address)))
    return x509.SubjectAlternativeName(names)
