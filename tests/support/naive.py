"""The reference reading of a rule: one row, one leaf at a time, as slowly and plainly as can be. Only for tests."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from typing import Any

import re2
from luytre_collector.detect.elements import Element
from luytre_collector.detect.tree import (
    Addresses,
    And,
    Const,
    Glob,
    How,
    Leaf,
    Node,
    Not,
    Number,
    Or,
    Present,
    Regex,
    SameAs,
    Text,
    Wild,
)
from luytre_common.schema import Column, Kind

Row = Mapping[str, Any]


def holds(node: Node, row: Row) -> bool:
    if isinstance(node, Const):
        return node.value
    if isinstance(node, And):
        return all(holds(child, row) for child in node.children)
    if isinstance(node, Or):
        return any(holds(child, row) for child in node.children)
    if isinstance(node, Not):
        return not holds(node.child, row)
    value = value_of(node.column, row)
    if isinstance(node, Present):
        return not absent(value)
    if isinstance(node, SameAs):
        other = value_of(node.other, row)
        if absent(value) or absent(other):
            return False
        if isinstance(value, str) and not node.cased:
            value, other = lower(value), lower(other)
        return text(node.how, value, other)
    elements = value if isinstance(value, list) else [value]
    return any(one(node, element) for element in elements)


def value_of(column: Column, row: Row) -> Any:
    if isinstance(column, Element):
        elements = row[column.of.name]
        return elements[column.index] if column.index < len(elements) else ""
    return row[column.name]


def one(leaf: Leaf, value: Any) -> bool:
    if isinstance(leaf, Number):
        return {
            "=": value == leaf.value,
            "<": value < leaf.value,
            "<=": value <= leaf.value,
            ">": value > leaf.value,
            ">=": value >= leaf.value,
        }[leaf.operator]
    if absent(value):
        return False
    if isinstance(leaf, Addresses):
        return int.from_bytes(leaf.low) <= int.from_bytes(value) <= int.from_bytes(leaf.high)
    if leaf.column.kind is Kind.IP:
        mapped = ipaddress.IPv6Address(value).ipv4_mapped
        value = str(mapped) if mapped else socket.inet_ntop(socket.AF_INET6, value)  # as ClickHouse shows it
    if isinstance(leaf, Regex):
        return re2.search(leaf.pattern, value) is not None
    if isinstance(leaf, Text):
        return text(leaf.how, value if leaf.cased else lower(value), leaf.value)
    assert isinstance(leaf, Glob)
    return glob(leaf.parts, value if leaf.cased else lower(value))


def text(how: How, value: Any, literal: Any) -> bool:
    if how is How.EXACT:
        return bool(value == literal)
    places = range(len(value) - len(literal) + 1)
    found = [at for at in places if value[at : at + len(literal)] == literal]
    if how is How.CONTAINS:
        return bool(found)
    return (0 if how is How.STARTS else len(value) - len(literal)) in found


def glob(parts: tuple[str | Wild, ...], value: str) -> bool:
    if not parts:
        return not value
    first, rest = parts[0], parts[1:]
    if first is Wild.MANY:
        return any(glob(rest, value[at:]) for at in range(len(value) + 1))
    if first is Wild.ONE:
        return bool(value) and glob(rest, value[1:])
    assert isinstance(first, str)
    return value[: len(first)] == first and glob(rest, value[len(first) :])


def lower(value: str) -> str:
    return "".join(chr(ord(char) + 32) if "A" <= char <= "Z" else char for char in value)


def absent(value: Any) -> bool:
    return value in ("", 0, bytes(16), [])
