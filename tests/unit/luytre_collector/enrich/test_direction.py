"""Directions by the configured networks."""

import ipaddress

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from luytre_collector.enrich.direction import Config, Direction, networks
from luytre_collector.enrich.stamp import Stamp, stamp
from luytre_common.schema import TABLES

from tests.support.batches import BOOT, rows


def packed(text: str) -> bytes:
    address = ipaddress.ip_address(text)
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed


def directions(pairs: list[tuple[str, str]], config: Config | None = None) -> list[str]:
    record = rows(
        "flows",
        len(pairs),
        {"source_ip": [packed(a) for a, _ in pairs], "destination_ip": [packed(b) for _, b in pairs]},
    )
    given_stamp = Stamp("a", "h", BOOT, "flows", 0, 1, 2)
    stamped = stamp(TABLES["flows"], pa.Table.from_batches([record]), given_stamp)
    made = Direction(config or Config())(stamped)
    assert made.schema == stamped.schema
    made.validate(full=True)
    return made.column("network_direction").to_pylist()


def test_the_four_directions() -> None:
    pairs = [("10.1.2.3", "192.168.0.1"), ("203.0.113.9", "10.0.0.1"), ("172.31.0.1", "2001:db8::1"),
             ("8.8.8.8", "1.1.1.1"), ("fd00::1", "fe80::1"), ("172.32.0.1", "fd00::1"), ("10.0.0.1", "224.0.0.251"),
             ("0.0.0.0", "255.255.255.255"), ("::1", "::1")]  # fmt: skip
    assert directions(pairs) == ["internal", "inbound", "outbound", "external", "internal", "inbound", "internal",
                                 "internal", "internal"]  # fmt: skip


def test_configured_networks_replace_the_defaults() -> None:
    config = Config(internal=["203.0.113.0/24", "203.0.113.128/25", "203.0.114.0/24"])
    pairs = [("203.0.113.255", "203.0.114.0"), ("203.0.112.255", "203.0.115.0"), ("10.0.0.1", "203.0.113.0")]
    assert directions(pairs, config) == ["internal", "external", "inbound"]
    assert directions([("203.0.113.1", "203.0.113.2")], Config(internal=[])) == ["external"]


@given(
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)), max_size=8),
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=8),
)
def test_agrees_with_ipaddress(given_networks: list[tuple[int, int]], addresses: list[int]) -> None:
    found = [ipaddress.ip_network((number, length), strict=False) for number, length in given_networks]
    judge = Direction(Config(internal=[str(one) for one in found]))
    for number in [*addresses, *(int(one.broadcast_address) for one in found)]:
        address = ipaddress.IPv4Address(number)
        assert judge.ours(packed(str(address))) == any(address in one for one in found)


@pytest.mark.parametrize("bad", ["10.0.0.1/8", "x", "", "10.0.0.0/33"])
def test_networks_are_checked(bad: str) -> None:
    assert networks(["10.0.0.0/8", bad]) is not None
    assert networks(["10.0.0.0/8", "fc00::/7", "192.0.2.1"]) is None
