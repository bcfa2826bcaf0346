from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st
from luytre_common.errors import UserError
from luytre_common.policy import key_id, key_pem, load_keys, parse_keys

PEM = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
RAW = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def test_pem_is_that_of_others() -> None:
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    raw = public.public_bytes(*RAW)
    assert key_pem(raw) == public.public_bytes(*PEM)
    assert parse_keys(public.public_bytes(*PEM)) == (raw,)


def test_several_keys_while_one_replaces_another() -> None:
    assert parse_keys(b"# old\n" + key_pem(b"a" * 32) + b"# new\n" + key_pem(b"b" * 32)) == (b"a" * 32, b"b" * 32)


def test_32_bare_bytes_are_a_key() -> None:
    assert parse_keys(bytes(range(32))) == (bytes(range(32)),)


def test_a_key_has_a_short_name() -> None:
    assert key_id(bytes(32)) == "66687aadf862bd77"


def test_what_is_no_key() -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(*PEM)
    private = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for raw in (
        b"",
        b"x" * 31,
        b"x" * 33,
        private,
        private + key_pem(bytes(32)),
        key_pem(bytes(31)),
        key_pem(bytes(33)),
    ):
        with pytest.raises(ValueError, match="Ed25519"):
            parse_keys(raw)
    with pytest.raises(ValueError, match="not Ed25519"):
        parse_keys(other)
    with pytest.raises(ValueError, match="9 keys; the most is 8"):
        parse_keys(key_pem(bytes(32)) * 9)


@given(st.binary(max_size=200).filter(lambda raw: len(raw) != 32))
def test_no_bytes_raise_anything_else(raw: bytes) -> None:
    with pytest.raises(ValueError, match="Ed25519"):
        parse_keys(raw)


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.pub"
    with pytest.raises(UserError, match=r"policy.pub: No such file.*; copy policy.pub there"):
        load_keys(path)
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"policy.pub: is not a file of Ed25519 public keys \(PEM\); copy"):
        load_keys(path)
    path.write_bytes(key_pem(bytes(32)))
    assert load_keys(path) == (bytes(32),)
