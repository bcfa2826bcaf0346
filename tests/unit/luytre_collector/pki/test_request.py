"""Signing requests from strangers: name and key of those that are sound, a reason for all others."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import example, given, settings
from hypothesis import strategies as st
from luytre_collector.pki import request

from tests.support.requests import signing_request

KEY = ec.generate_private_key(ec.SECP256R1())
SOUND = signing_request("web-01", KEY, greedy=True)


def test_name_and_key_are_taken() -> None:
    found = request.read(SOUND)
    assert (found.name, found.key) == ("web-01", KEY.public_key())
    assert request.read(signing_request("a" * 64)).name == "a" * 64
    assert request.read(signing_request("a", ec.generate_private_key(ec.SECP384R1()))).name == "a"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a signing request"),
        (b"x" * 9000, "at most 8192 bytes"),
        (b"-----BEGIN CERTIFICATE REQUEST-----\n", "not a signing request"),
        (SOUND[:-1], "not a signing request"),
        (signing_request("web-01", rsa.generate_private_key(65537, 2048)), "not of P-256"),
        (signing_request("web-01", ec.generate_private_key(ec.SECP521R1())), "not of P-256"),
        (signing_request("Web 01"), "common name"),
        (signing_request("authority"), "common name"),
    ],
)
def test_what_is_not_signed(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        request.read(data)


def test_a_request_that_others_signed() -> None:
    other = bytearray(SOUND)
    other[-1] ^= 1
    with pytest.raises(ValueError, match=r"not signed by its own key|not a signing request"):
        request.read(bytes(other))


@settings(max_examples=300, deadline=None)
@example([(9, 1)])  # a version that there is not
@given(st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_whatever_the_bytes(changes: list[tuple[int, int]]) -> None:
    data = bytearray(SOUND)
    for at, value in changes:
        data[at] = value
    if bytes(data) == SOUND:
        return
    with pytest.raises(ValueError, match=r"."):
        request.read(bytes(data))
