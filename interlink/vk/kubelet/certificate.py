"""The serving certificate and the TLS context of the kubelet port; nothing of it touches the disk.

Made by ``server.py``. kube-apiserver does not verify a kubelet's certificate unless it is told to; the names in it are
those that a kubelet has, so that nothing changes when it is signed by the cluster one day.
"""

import contextlib
import ipaddress
import os
import ssl
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID_DAYS = 365


def serving_context(node_name: str, address: str) -> ssl.SSLContext:
    """Return a server context with a fresh self-signed certificate; client certificates are asked for, not demanded."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    renew(context, node_name, address)
    return context


def renew(context: ssl.SSLContext, node_name: str, address: str) -> None:
    """Give the context a new certificate; connections that come after it see it."""
    # ssl loads from files only: an anonymous one needs no writable disk and leaves nothing behind.
    descriptor = os.memfd_create("serving", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, self_signed(node_name, address))
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def trust_clients(context: ssl.SSLContext, authorities: str) -> None:
    """Accept client certificates of these CAs (PEM); a client without one may still show a token."""
    context.load_verify_locations(cadata=authorities)
    context.verify_mode = ssl.CERT_OPTIONAL


def self_signed(node_name: str, address: str) -> bytes:
    """Return key and certificate in PEM, with a kubelet's subject and the node's names."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{node_name}"[:64]),
        ]
    )
    names: list[x509.GeneralName] = [x509.DNSName(node_name)]
    with contextlib.suppress(ValueError):
        names.append(x509.IPAddress(ipaddress.ip_address(address)))
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return secret + certificate.public_bytes(serialization.Encoding.PEM)
