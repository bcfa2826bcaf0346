"""Who is at the other end: read from the peer's certificate, which the TLS layer has already checked against our
authority. Nothing the peer says can change it. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from luytre_collector.ingest.control import Peer

_AGENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class NoIdentityError(Exception):
    """The peer has shown no certificate at all."""


class BadIdentityError(Exception):
    """The peer's certificate is of our authority, but not one that an agent may use."""


def peer(auth_context: Mapping[str, Iterable[bytes]], address: str) -> Peer:
    """The agent at `address` from gRPC's authentication context. Its name is the one common name of a certificate for
    clients. NoIdentityError, BadIdentityError if it has none."""
    pem = next(iter(auth_context.get("x509_pem_cert", ())), None)
    if pem is None:
        raise NoIdentityError("no client certificate")
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except x509.ExtensionNotFound:
        raise BadIdentityError("the certificate does not say that it is for clients (extended key usage)") from None
    except ValueError as error:
        raise BadIdentityError(f"the certificate cannot be read: {error}") from None
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
        raise BadIdentityError("the certificate is not for clients; issue one with: luytre-collector pki issue")
    name = str(names[0].value) if len(names) == 1 else ""
    if not _AGENT_ID.fullmatch(name):
        raise BadIdentityError(f"the certificate's common name {name[:64]!r} is not an agent's name")
    return Peer(
        agent_id=name,
        serial=certificate.serial_number,
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        expires_us=int(certificate.not_valid_after_utc.timestamp()) * 1_000_000,
        address=address,
        begins_us=int(certificate.not_valid_before_utc.timestamp()) * 1_000_000,
    )
