"""The ALIAS column network_community_id against Community ID version 1: examples of the specification, and its
definition written a second time in Python."""

from __future__ import annotations

import base64
import hashlib
import random
from ipaddress import IPv6Address, ip_address

import pyarrow as pa
import pytest
from luytre_collector.store.base import Store
from luytre_common.schema import TABLES

from tests.contract.rows import make

FLOWS = TABLES["flows"]
Flow = tuple[str, int, str, int, int]  # source, port, destination, port, protocol


def packed(address: str) -> bytes:
    one = ip_address(address)
    return one.packed if isinstance(one, IPv6Address) else bytes(10) + b"\xff\xff" + one.packed


def community_ids(store: Store, flows: list[Flow]) -> list[str]:
    rows = make(FLOWS, len(flows), nasty=False)
    given = {
        "source_ip": pa.array([packed(flow[0]) for flow in flows], pa.binary(16)),
        "source_port": pa.array([flow[1] for flow in flows], pa.uint16()),
        "destination_ip": pa.array([packed(flow[2]) for flow in flows], pa.binary(16)),
        "destination_port": pa.array([flow[3] for flow in flows], pa.uint16()),
        "network_iana_number": pa.array([flow[4] for flow in flows], pa.uint8()),
    }
    for name, values in given.items():
        rows = rows.set_column(rows.column_names.index(name), name, values)
    store.insert("flows", rows, "token")
    found = store.query("SELECT network_community_id AS id FROM flows ORDER BY sequence")
    return [str(value) for value in found.column("id").to_pylist()]


#: From the specification's baseline (https://github.com/corelight/community-id-spec/tree/master/baseline).
EXAMPLES: list[tuple[Flow, str]] = [
    (("128.232.110.120", 34855, "66.35.250.204", 80, 6), "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
    (("192.168.1.52", 54585, "8.8.8.8", 53, 17), "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
    (("192.168.0.89", 8, "192.168.0.1", 0, 1), "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
    (("fe80::200:86ff:fe05:80da", 135, "fe80::260:97ff:fe07:69ea", 136, 58), "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="),
    (("192.168.170.8", 7, "192.168.170.56", 80, 132), "1:jQgCxbku+pNGw8WPbEc/TS/uTpQ="),
    (("2001:470:e5bf:dead:4957:2174:e82c:4887", 63943, "2607:f8b0:400c:c03::1a", 25, 6),
     "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4="),
]  # fmt: skip


def test_the_examples_of_the_specification(store: Store) -> None:
    assert community_ids(store, [flow for flow, _ in EXAMPLES]) == [wanted for _, wanted in EXAMPLES]


@pytest.mark.parametrize("protocol", [6, 17, 132])
def test_both_directions_have_one_id(store: Store, protocol: int) -> None:
    dice = random.Random(protocol)
    flows = [_random_flow(dice, protocol) for _ in range(50)]
    ids = community_ids(store, flows + [(b, q, a, p, n) for a, p, b, q, n in flows])
    assert ids[:50] == ids[50:]
    assert len(set(ids)) == 50


def test_the_definition(store: Store) -> None:
    dice = random.Random(7)
    flows = [_random_flow(dice, dice.choice([6, 17, 132, 47, 50])) for _ in range(200)]
    flows += [("10.0.0.1", port, "10.0.0.1", other, 6) for port, other in ((80, 443), (443, 80), (80, 80), (255, 256))]
    assert community_ids(store, flows) == [_by_definition(flow) for flow in flows]


def _random_flow(dice: random.Random, protocol: int) -> Flow:
    if dice.random() < 0.5:
        a, b = (str(ip_address(dice.getrandbits(32))) for _ in range(2))
    else:
        a, b = (str(IPv6Address(dice.getrandbits(128) | 1 << 127)) for _ in range(2))
    return a, dice.randrange(65536), b, dice.randrange(65536), protocol


def _by_definition(flow: Flow) -> str:
    source, port, destination, other, protocol = flow
    one, two = (ip_address(source).packed, port), (ip_address(destination).packed, other)
    if two < one:
        one, two = two, one
    data = bytes(2) + one[0] + two[0] + bytes([protocol, 0])
    if protocol in (6, 17, 132):
        data += one[1].to_bytes(2, "big") + two[1].to_bytes(2, "big")
    return "1:" + base64.b64encode(hashlib.sha1(data).digest()).decode()
