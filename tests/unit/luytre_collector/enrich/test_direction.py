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
    stamped = stamp(TABLES["flows"], [(pa.Table.from_batches([record]), given_stamp)])
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


def test_many_networks_of_one_length() -> None:
    config = Config(internal=[f"198.51.{number}.0/24" for number in range(0, 40, 2)])
    pairs = [("198.51.0.1", "198.51.38.255"), ("198.51.1.1", "198.51.2.1"), ("198.51.40.1", "198.51.39.1")]
    assert directions(pairs, config) == ["internal", "inbound", "external"]


@given(
    st.lists(st.tuples(st.sampled_from([4, 6]), st.integers(0, 2**128 - 1), st.integers(0, 128)), max_size=8),
    st.lists(st.integers(0, 2**128 - 1), max_size=8),
    st.integers(0, 3),
)
def test_agrees_with_ipaddress(given_networks: list[tuple[int, int, int]], addresses: list[int], skipped: int) -> None:
    found = []
    for version, number, length in given_networks:
        bits = 32 if version == 4 else 128
        kind = ipaddress.IPv4Network if version == 4 else ipaddress.IPv6Network
        found.append(kind((number % 2**bits, length % (bits + 1)), strict=False))
    edges = [address + step for one in found for address in (one[0], one[-1]) for step in (-1, 0, 1)
             if 0 <= int(address) + step < 2**address.max_prefixlen]  # fmt: skip
    asked = [
        *map(ipaddress.IPv4Address, (one % 2**32 for one in addresses)),
        *map(ipaddress.IPv6Address, addresses),
        *edges,
    ]
    column = pa.array([packed(str(one)) for one in asked], pa.binary(16))[skipped:]
    ours = Direction(Config(internal=[str(one) for one in found])).ours(pa.chunked_array([column])).to_pylist()
    truth = [any(ipaddress.IPv6Address(packed(str(address))) in _v6(one) for one in found) for address in asked]
    assert ours == truth[skipped:]


def _v6(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> ipaddress.IPv6Network:
    if isinstance(network, ipaddress.IPv6Network):
        return network
    return ipaddress.IPv6Network((packed(str(network.network_address)), 96 + network.prefixlen))


@pytest.mark.parametrize("bad", ["10.0.0.1/8", "x", "", "10.0.0.0/33"])
def test_networks_are_checked(bad: str) -> None:
    assert networks(["10.0.0.0/8", bad]) is not None
    assert networks(["10.0.0.0/8", "fc00::/7", "192.0.2.1"]) is None
