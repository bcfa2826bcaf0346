"""Names of peers, as gRPC writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from luytre_collector.ingest.address import address_of, host_of


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ipv4:192.0.2.7:41234", "00000000000000000000ffffc0000207"),
        ("ipv6:%5B2001:db8::1%5D:41234", "20010db8000000000000000000000001"),
        ("ipv6:[2001:db8::1]:41234", "20010db8000000000000000000000001"),
        ("ipv6:%5Bfe80::1%25eth0%5D:1", "fe800000000000000000000000000001"),
        ("unix:/run/socket", "0" * 32),
        ("", "0" * 32),
    ],
)
def test_addresses(text: str, address: str) -> None:
    assert address_of(text).hex() == address


@given(st.text())
def test_an_address_of_anything(text: str) -> None:
    assert len(address_of(text)) == 16


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("ipv4:192.0.2.7:41234", "192.0.2.7"),
        ("ipv6:%5B2001:db8::1%5D:41234", "2001:db8::1"),
        ("ipv6:%5Bfe80::1%25eth0%5D:1", "fe80::1"),
        ("unix:", ""),
        ("", ""),
    ],
)
def test_hosts(peer: str, host: str) -> None:
    assert host_of(peer) == host
