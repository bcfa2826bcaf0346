"""Rules and rows that meet each other: small alphabets, and the characters that the engines could read differently."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st
from luytre_collector.columns import arrow_type, stored_schema
from luytre_collector.detect import leaves
from luytre_collector.detect.logsource import field
from luytre_collector.detect.model import EventRule, Head
from luytre_collector.detect.tree import How, Node, Wild, conj, disj, neg
from luytre_common.schema import TABLES, Column, Kind, Maker

#: Columns of every kind, and elements of lists, by table.
COLUMNS: dict[str, tuple[str, ...]] = {
    "processes": (
        "process_command_line", "process_executable", "process_name", "process_parent_command_line", "event_action",
        "process_pid", "process_exit_code", "process_lifetime", "process_args", "a0", "a1", "a4",
    ),
    "flows": ("source_ip", "destination_ip", "source_port", "destination_port", "source_tcp_flags", "user_name"),
    "dns": ("dns_question_name", "dns_answers_data", "dns_answers_ttl", "source_ip"),
}  # fmt: skip

# Kelvin sign, long s and dotted I fold to ASCII letters in Unicode, and must not here; U+2028 is a line break to some.
_ALPHABET = "aAbBkK/-. \n\0\\'\"%_*?|đĐ\u212a\u017f\u0130\u2028竹"
_COMMON = [
    "",
    "a",
    "A",
    "b",
    "aB",
    "Ab",
    "b/a",
    "aab",
    "k",
    "\u212a",
    "a\nb",
    "đa",
    "\\",
    "%_",
    "*",
    "a?b",
    "a\0",
    " -a",
]
words = st.one_of(st.sampled_from(_COMMON), st.sampled_from(_COMMON), st.text(_ALPHABET, max_size=5))
_addresses = st.sampled_from(
    [
        "::",
        "::1",
        "0.0.0.0",
        "10.1.2.3",
        "10.1.2.4",
        "255.255.255.255",
        "fe80::1",
        "::a01:203",
        "2001:db8::10:0",
        "::ffff:0:0:1",
    ]
)
_networks = st.sampled_from(
    ["0.0.0.0/0", "10.1.2.0/24", "10.1.2.3/32", "::/0", "fe80::/10", "::ffff:0:0/96", "2001:db8::/32"]
)
_patterns = st.sampled_from(
    [
        "a",
        "^a",
        "b$",
        "[aB]{2}",
        r"\s",
        "a.b",
        "(a|b)/",
        "đ",
        "A",
        r"\x00",
        ".",
        "^$",
        "k",
        r"\bA",
        "a*",
        "[^a]",
        r"\\",
        "^b.*a$",
        "s",
    ]
)
_numbers = st.sampled_from([-(2**31), -1, 0, 1, 2, 79, 80, 2**16 - 1, 2**32 - 1, 2**63, 2**64 - 1])


def values(column: Column) -> st.SearchStrategy[Any]:
    match column.kind:
        case Kind.TEXT | Kind.NAME:
            return words
        case Kind.TEXTS:
            return st.lists(words, max_size=6)
        case Kind.U32S:
            return st.lists(st.integers(0, 3), max_size=3)
        case Kind.IP:
            return _addresses.map(lambda text: leaves.packed(ipaddress.ip_address(text)))
        case kind:
            low, high = leaves._RANGES[kind]
            return _numbers.filter(lambda number: low <= number <= high)


def columns(table: str) -> list[Column]:
    found = [field(table, name) for name in COLUMNS[table]]
    return [column for column in found if column is not None]


def rows(table: str, size: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    stored = [column for column in columns(table) if column.maker is not Maker.SQL]
    row = st.fixed_dictionaries({column.name: values(column) for column in stored})
    return st.lists(row, min_size=1, max_size=size)


_short = st.sampled_from(["a", "A", "b", "k", "-", "aB"])
_parts = st.one_of(
    _short.map(lambda word: [word, Wild.MANY]),
    _short.map(lambda word: [Wild.MANY, word]),
    _short.map(lambda word: [Wild.MANY, word, Wild.MANY]),
    st.sampled_from(_COMMON).map(lambda word: [word]),
    st.lists(st.one_of(words.filter(bool), st.sampled_from(list(Wild))), max_size=4),
)


def leaf(table: str) -> st.SearchStrategy[Node]:
    return st.sampled_from(columns(table)).flatmap(lambda one: _leaf(table, one))


def _leaf(table: str, column: Column) -> st.SearchStrategy[Node]:
    present = st.booleans().map(lambda wanted: leaves.present(column, wanted))
    match column.kind:
        case Kind.IP:
            others = [one for one in columns(table) if one.kind is Kind.IP]
            return st.one_of(
                present,
                _addresses.filter(lambda text: text != "::").map(lambda text: leaves.text(column, [text], cased=False)),
                _networks.map(lambda text: leaves.cidr(column, ipaddress.ip_network(text))),
                st.sampled_from(["1", "10.", "::", ".3", "F", "a01"])
                .flatmap(
                    lambda word: st.sampled_from([[word, Wild.MANY], [Wild.MANY, word], [Wild.MANY, word, Wild.MANY]])
                )
                .map(lambda parts: leaves.text(column, parts, cased=False)),
                st.sampled_from(others).map(lambda other: leaves.same_as(column, How.EXACT, other, cased=False)),
            )
        case Kind.TEXT | Kind.NAME | Kind.TEXTS:
            text = st.builds(lambda parts, cased: leaves.text(column, parts, cased), _parts, st.booleans())
            flags = st.sets(st.sampled_from("ims")).map("".join)
            found = st.builds(lambda pattern, chosen: leaves.regex(column, pattern, chosen), _patterns, flags)
            if column.kind is Kind.TEXTS:
                return st.one_of(present, text, found)
            others = [one for one in columns(table) if one.kind in (Kind.TEXT, Kind.NAME)]
            same = st.builds(
                lambda how, other, cased: leaves.same_as(column, how, other, cased),
                st.sampled_from(How), st.sampled_from(others), st.booleans(),
            )  # fmt: skip
            return st.one_of(present, text, text, found, same)
        case Kind.U32S:
            number = st.integers(0, 3)
            return st.one_of(present, st.builds(lambda sign, value: leaves.number(column, sign, value), _signs, number))
        case _:
            number = st.one_of(_numbers, st.sampled_from([0.5, 79.5, -0.5, 1e30, 80.0]))
            return st.one_of(present, st.builds(lambda sign, value: leaves.number(column, sign, value), _signs, number))


_signs = st.sampled_from(["=", "<", "<=", ">", ">="])


def trees(table: str) -> st.SearchStrategy[Node]:
    return st.recursive(
        leaf(table),
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map(conj),
            st.lists(inner, min_size=1, max_size=3).map(disj),
            inner.map(neg),
        ),
        max_leaves=6,
    )


def rule(number: int, table: str, tree: Node, *, alerts: bool = True) -> EventRule:
    head = Head(
        f"rule-{number}", "", f"Rule {number}", f"Luật {number}", "", "", "high", "test", (), (), Path("rule.yml"), 1
    )
    return EventRule(head, table, tree, (), alerts)


def batch(table: str, given: Sequence[dict[str, Any]], **common: Any) -> pa.Table:
    """Rows as the pipeline hands them to the matcher: every stored column, numbered from 0."""
    described = TABLES[table]
    filled = [
        {"sequence": number, "agent_id": "a", "boot_id": "b", "stream": table, **common, **row}
        for number, row in enumerate(given)
    ]
    zeros: dict[Kind, Any] = {Kind.IP: bytes(16), Kind.TEXT: "", Kind.NAME: "", Kind.TEXTS: [], Kind.U32S: []}
    arrays = [
        pa.array([row.get(column.name, zeros.get(column.kind, 0)) for row in filled], arrow_type(column.kind))
        for column in described.stored_columns
    ]
    return pa.Table.from_arrays(arrays, schema=stored_schema(described))
