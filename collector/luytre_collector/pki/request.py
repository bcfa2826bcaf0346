"""Signing requests (PKCS #10, RFC 2986) as strangers send them: of what they say, only the public key and the name are
taken, and nothing is taken on trust but that the sender has the key."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

#: A request for a P-256 key takes 250 bytes.
MAX_BYTES = 8192
NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
_CURVES = ("secp256r1", "secp384r1")


@dataclass(frozen=True)
class Request:
    """What is asked for: a certificate for this key under this name."""

    name: str
    key: ec.EllipticCurvePublicKey


def read(data: bytes) -> Request:
    """A request in DER or PEM. ValueError says, for its sender, why it cannot be signed."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"a signing request has at most {MAX_BYTES} bytes")
    try:
        pem = data.lstrip().startswith(b"-----BEGIN")
        asked = x509.load_pem_x509_csr(data) if pem else x509.load_der_x509_csr(data)
        key = asked.public_key()
        signed = asked.is_signature_valid
        with warnings.catch_warnings():  # about names that are too long
            warnings.simplefilter("ignore")
            names = asked.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise ValueError(f"not a signing request (PKCS #10): {str(error)[:100]}") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _CURVES:
        raise ValueError("its key is not of P-256 or P-384; make another")
    if not signed:
        raise ValueError("it is not signed by its own key")
    name = str(names[0].value) if len(names) == 1 else ""
    if not NAME.fullmatch(name) or name == "authority":
        raise ValueError("its common name is not 1 to 64 of a-z 0-9 . - beginning with a letter or digit")
    return Request(name, key)
