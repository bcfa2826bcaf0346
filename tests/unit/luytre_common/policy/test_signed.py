from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from luytre_common.policy import PolicyError, Signed, pack, signed_bytes, unpack


@given(document=st.binary(max_size=200), signature=st.binary(min_size=64, max_size=64))
def test_what_is_packed_is_unpacked(document: bytes, signature: bytes) -> None:
    assert unpack(pack(Signed(document, signature))) == Signed(document, signature)


def test_the_file_is_readable_as_it_is() -> None:
    raw = pack(Signed(b"version = 1\n", bytes(64)))
    assert raw.startswith(b"luytre policy 1 ed25519 AAAA")
    assert raw.endswith(b"==\nversion = 1\n")


def test_what_is_signed_is_bound_to_policies() -> None:
    assert signed_bytes(b"version = 1\n") == b"luytre policy 1\nversion = 1\n"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "not a signed policy"),
        (b"version = 1\n", "not a signed policy"),
        (b"luytre policy 1 ed25519 AAAA", "not a signed policy"),
        (b"luytre policy 1 ed25519 AAAA\n", "no signature of 64 bytes"),
        (b"luytre policy 1 ed25519 *\n", "no signature of 64 bytes"),
        (b"luytre policy 2 ed25519 AAAA\n", "not a signed policy"),
        (bytes(100_000), "the most is"),
    ],
)
def test_what_is_none(raw: bytes, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        unpack(raw)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(raw: bytes) -> None:
    with pytest.raises(PolicyError):
        unpack(raw)
