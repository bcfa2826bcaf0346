from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from luytre_agent.sources.host.netlink import NETLINK_ROUTE, Dumper, Message
from luytre_agent.sources.host.rtnetlink import DUMPS, Thing, link, mac, read


def dumped(kind: str) -> list[Thing]:
    dumper = Dumper(NETLINK_ROUTE)
    try:
        request, body = DUMPS[kind]
        names = dict(socket.if_nameindex())
        news = [read(message, names) for message in dumper.dump(request, body)]
        return [thing for one in news if one for thing in one.things]
    finally:
        dumper.close()


def test_the_same_links_as_the_library_says() -> None:
    from pyroute2 import IPRoute

    with IPRoute() as kernel:
        expected = {
            (link.get("ifname"), str(link.get("mtu")), "up" if link["flags"] & 1 else "down")
            for link in kernel.get_links()
        }
    assert {(one.subject, one.facts["mtu"], one.facts["state"]) for one in dumped("link")} == expected


def test_the_same_addresses_as_the_library_says() -> None:
    from pyroute2 import IPRoute

    with IPRoute() as kernel:
        expected = {
            (f"{one.get('local') or one.get('address')}/{one['prefixlen']}", one["index"]) for one in kernel.get_addr()
        }
    found = {(one.subject, one.key[1]) for one in dumped("address")}
    assert found == expected


def test_the_same_routes_as_the_library_says() -> None:
    from pyroute2 import IPRoute

    with IPRoute() as kernel:
        expected = {
            (f"{one.get('dst') or '0.0.0.0'}/{one['dst_len']}", one.get("gateway") or "")
            for one in kernel.get_routes(family=socket.AF_INET)
            if one.get("table") != 255 and one["type"] == 1
        }
    found = {
        (one.subject, one.facts["via"])
        for one in dumped("route")
        if one.facts["family"] == "ipv4" and one.facts["type"] == "unicast"
    }
    assert found == expected


def test_the_three_rules_of_every_host() -> None:
    found = {(one.facts["family"], one.facts["priority"], one.facts["table"]) for one in dumped("rule")}
    assert found >= {("ipv4", "0", "255"), ("ipv4", "32766", "254"), ("ipv4", "32767", "253")}


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def ip(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def test_several_next_hops() -> None:
    hops = b"".join(
        struct.pack("=HBBi", 16, 0, 0, index) + attribute(5, ip(via))
        for index, via in ((2, "10.0.0.1"), (3, "10.0.0.2"))
    )
    header = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, 254, 4, 0, 1, 0)
    news = read(Message(24, 0, header + attribute(9, hops)), {2: "eth0"})
    assert news is not None
    (thing,) = news.things
    assert thing.gateways == ("10.0.0.1", "10.0.0.2")
    assert (thing.facts["via"], thing.facts["interface"]) == ("10.0.0.1,10.0.0.2", "eth0,#3")


def test_what_does_not_count() -> None:
    local = struct.pack("=BBBBBBBBI", socket.AF_INET, 32, 0, 0, 255, 2, 254, 2, 0)
    assert read(Message(24, 0, local + attribute(1, ip("10.0.0.1"))), {}) is None
    unresolved = struct.pack("=BxxxiHBB", socket.AF_INET, 2, 0x20, 0, 1)
    assert read(Message(28, 0, unresolved + attribute(1, ip("10.0.0.1"))), {}) is None
    assert read(Message(68, 0, bytes(64)), {}) is None
    wireless = struct.pack("=BxHiII", 0, 1, 2, 1, 0) + attribute(3, b"wlan0\0") + attribute(11, b"\0")
    assert read(Message(16, 0, wireless), {}) is None


def test_what_may_have_changed_more_than_it_says() -> None:
    down = struct.pack("=BxHiII", 0, 1, 2, 0, 0) + attribute(3, b"eth0\0")
    for message, doubtful in ((Message(16, 0, down), True), (Message(17, 0, down), True)):
        news = read(message, {})
        assert news is not None
        assert news.doubtful is doubtful
        assert news.gone is (message.type == 17)
    header = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, 254, 4, 0, 1, 0) + attribute(5, ip("10.0.0.1"))
    for flags, doubtful in ((0, False), (0x100, True), (0x800, True)):
        news = read(Message(24, flags, header), {})
        assert news is not None
        assert news.doubtful is doubtful


@given(st.sampled_from([16, 17, 20, 21, 24, 25, 28, 29, 32, 33]), st.binary(max_size=120))
def test_any_bytes_are_read_or_left(kind: int, body: bytes) -> None:
    read(Message(kind, 0, body), {})


@pytest.mark.parametrize(("data", "expected"), [(bytes(6), ""), (None, ""), (bytes(range(6)), "00-01-02-03-04-05")])
def test_mac(data: bytes | None, expected: str) -> None:
    assert mac(data) == expected


def test_what_is_not_an_interface() -> None:
    assert link(Message(16, 0, bytes(8))) is None  # cut short
    assert link(Message(16, 0, bytes(16))) is None  # without a name
    assert link(Message(20, 0, bytes(64))) is None  # an address
