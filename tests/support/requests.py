"""Signing requests, as agents and others send them."""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def signing_request(name: str, key: Any = None, *, greedy: bool = False) -> bytes:
    """A request in DER; `greedy`: that asks to be an authority, a collector and another host as well."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
    if greedy:
        builder = (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("collector.example")]), critical=False)
        )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
