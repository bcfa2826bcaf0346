"""A tree as Python functions on one row: the exact check of the rows that the prefilter leaves.

A row is a tuple; `layout` says where each column's value and its folded form stand. `sql` and `masks` say the same in
other words, and property tests hold all three to one reference.
"""

from __future__ import annotations

import operator
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from luytre_common.schema import Column, Kind

from luytre_collector.detect.leaves import compile_regex
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
    glob_regex,
    leaves,
)

Check = Callable[[Sequence[Any]], bool]
#: Position of (column name, folded) in a row.
Layout = Mapping[tuple[str, bool], int]

_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_LISTS = (Kind.TEXTS, Kind.U32S)
NO_ADDRESS = bytes(16)


def needed(node: Node) -> frozenset[tuple[str, bool]]:
    """The (column name, folded) values that deciding `node` takes."""
    wanted: set[tuple[str, bool]] = set()
    for leaf in leaves(node):
        match leaf:
            case Text(column, _, _, cased) | Glob(column, _, cased):
                wanted.add((column.name, not cased and column.kind is not Kind.IP))
            case SameAs(column, _, other, cased):
                folded = not cased and column.kind in (Kind.TEXT, Kind.NAME)
                wanted |= {(column.name, folded), (other.name, folded)}
            case _:
                wanted.add((leaf.column.name, False))
    return frozenset(wanted)


def check(node: Node, layout: Layout) -> Check:
    """The function that decides `node`."""
    match node:
        case Const(value):
            return lambda row: value
        case And(children):
            return _every([check(child, layout) for child in children])
        case Or(children):
            return _any([check(child, layout) for child in children])
        case Not(child):
            inner = check(child, layout)
            return lambda row: not inner(row)
        case _:
            return _leaf(node, layout)


def _every(checks: Sequence[Check]) -> Check:
    def every(row: Sequence[Any]) -> bool:
        for one in checks:  # noqa: SIM110 - a generator costs twice as much here
            if not one(row):
                return False
        return True

    return every


def _any(checks: Sequence[Check]) -> Check:
    def some(row: Sequence[Any]) -> bool:
        for one in checks:  # noqa: SIM110
            if one(row):
                return True
        return False

    return some


def _leaf(leaf: Leaf, layout: Layout) -> Check:
    if isinstance(leaf, SameAs):
        return _same_as(leaf, layout)
    column = leaf.column
    ((_, folded),) = needed(leaf)
    at = layout[column.name, folded]
    decide = value_check(leaf)
    if column.kind in _LISTS and not isinstance(leaf, Present):
        return lambda row: any(map(decide, row[at]))
    return lambda row: decide(row[at])


def value_check(leaf: Leaf) -> Callable[[Any], bool]:
    """The function that decides a leaf on one value (an element, for lists), folded unless the leaf is cased."""
    column: Column = leaf.column
    check_one: Callable[[Any], bool]
    match leaf:
        case Text(_, how, value, _):
            check_one = _text(how, value)
        case Glob(_, parts, _):
            whole = compile_regex(glob_regex(parts)).search
            check_one = lambda value: whole(value) is not None  # noqa: E731
        case Regex(_, pattern):
            found = compile_regex(pattern).search
            check_one = lambda value: value != "" and found(value) is not None  # noqa: E731
        case Addresses(_, low, high):
            return lambda value: value != NO_ADDRESS and low <= value <= high
        case Number(_, sign, number):
            compare = _COMPARE[sign]
            return lambda value: compare(value, number)
        case Present():
            zero = NO_ADDRESS if column.kind is Kind.IP else None
            return lambda value: value != zero if zero else bool(value)
        case SameAs():
            raise TypeError("compares two columns, not one value")
    if column.kind is Kind.IP:
        return lambda value: value != NO_ADDRESS and check_one(address_text(value))
    return check_one


def _text(how: How, literal: str) -> Callable[[str], bool]:
    match how:
        case How.EXACT:
            return lambda value: value == literal
        case How.CONTAINS:
            return lambda value: literal in value
        case How.STARTS:
            return lambda value: value.startswith(literal)
        case How.ENDS:
            return lambda value: value.endswith(literal)


def _same_as(leaf: SameAs, layout: Layout) -> Check:
    folded = (leaf.column.name, True) in layout and not leaf.cased and leaf.column.kind in (Kind.TEXT, Kind.NAME)
    one, other = layout[leaf.column.name, folded], layout[leaf.other.name, folded]
    zeros = ("", 0, NO_ADDRESS)

    def same(row: Sequence[Any]) -> bool:
        value, literal = row[one], row[other]
        return value not in zeros and literal not in zeros and compare(value, literal)

    def compare(value: Any, literal: Any) -> bool:
        match leaf.how:
            case How.EXACT:
                return bool(value == literal)
            case How.STARTS:
                return bool(value.startswith(literal))
            case How.ENDS:
                return bool(value.endswith(literal))
            case How.CONTAINS:
                return literal in value

    return same


def address_text(value: bytes) -> str:
    """An address as people write it: dotted for IPv4-mapped ones, as inet_ntop writes the others."""
    if value[:12] == b"\0" * 10 + b"\xff\xff":
        return socket.inet_ntop(socket.AF_INET, value[12:])
    return socket.inet_ntop(socket.AF_INET6, value)
