"""Keys and requests that others can read."""

from __future__ import annotations

import os

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from luytre_agent import signing
from luytre_collector.pki import request


def test_a_key_and_its_request_are_what_they_should_be() -> None:
    pem = signing.new_key()
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == "secp256r1"
    der = signing.signing_request(pem, "web-01")
    asked = x509.load_der_x509_csr(der)
    assert asked.is_signature_valid
    assert asked.public_key() == key.public_key()
    assert [(one.oid, one.value) for one in asked.subject] == [(NameOID.COMMON_NAME, "web-01")]
    assert list(asked.extensions) == []
    assert request.read(der).name == "web-01"


def test_keys_differ() -> None:
    assert len({signing.new_key() for _ in range(50)}) == 50


def test_bytes_that_make_no_key_are_drawn_again() -> None:
    drawn = iter([bytes(32), b"\xff" * 32, os.urandom(32)])
    assert signing.new_key(lambda size: next(drawn)).startswith(b"-----BEGIN PRIVATE KEY-----")


@pytest.mark.parametrize("length", [1, 41, 42, 43, 60, 64])
def test_names_of_all_lengths(length: int) -> None:
    der = signing.signing_request(signing.new_key(), "a" * length)
    assert x509.load_der_x509_csr(der).is_signature_valid


def test_faults() -> None:
    key = signing.new_key()
    for name in ("", "a" * 65):
        with pytest.raises(ValueError, match="1 to 64 bytes"):
            signing.signing_request(key, name)
    with pytest.raises(ValueError, match="not a P-256 key"):
        signing.signing_request(b"\xff nonsense", "web-01")
