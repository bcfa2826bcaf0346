from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st
from luytre_agent.sources.host.netlink import Message
from luytre_agent.sources.host.nftables import rule_sets

TABLES, CHAINS, RULES, SETS, ELEMENTS = (10 << 8 | kind for kind in (1, 4, 7, 10, 13))


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(*attributes: bytes) -> Message:
    return Message(0, 0, bytes((2, 0, 0, 0)) + b"".join(attributes))


def expression(name: bytes, data: bytes = b"") -> bytes:
    return attribute(1, attribute(1, name + b"\0") + attribute(2, data))


def facts(rules: list[bytes], elements: list[bytes]) -> dict[str, dict[str, str]]:
    where = attribute(1, b"t\0")
    answers = {
        TABLES: [message(attribute(1, b"t\0"))],
        CHAINS: [message(where, attribute(3, b"c\0"))],
        RULES: [message(where, attribute(2, b"c\0"), attribute(4, rule)) for rule in rules],
        SETS: [message(where, attribute(2, b"__set0\0"), attribute(3, struct.pack(">I", 3)))],
        ELEMENTS: [message(where, attribute(3, b"".join(attribute(1, one) for one in elements)))],
    }
    return {one.subject: dict(one.facts) for one in rule_sets(lambda kind, _: answers[kind])}


def test_counters_do_not_count() -> None:
    rule = expression(b"cmp", b"22")
    before = facts([rule + expression(b"counter", b"1")], [])
    assert facts([rule + expression(b"counter", b"99")], []) == before
    assert before["ip t c"]["rules"] == "1"
    assert facts([expression(b"cmp", b"23")], [])["ip t c"]["sha256"] != before["ip t c"]["sha256"]
    assert facts([rule, rule], [])["ip t c"]["rules"] == "2"


def test_another_port_in_the_same_set_is_a_change_but_another_order_is_not() -> None:
    before = facts([], [b"22", b"80"])
    assert before["ip t __set0"]["elements"] == "2"
    assert facts([], [b"80", b"22"]) == before
    assert facts([], [b"22", b"4444"]) != before


@given(st.binary(max_size=100))
def test_any_bytes(data: bytes) -> None:
    list(rule_sets(lambda kind, _: [Message(kind, 0, bytes((2, 0, 0, 0)) + data), Message(kind, 0, data)]))
