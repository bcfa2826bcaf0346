"""A tree as Python functions on one row: the exact check of the rows that the prefilter leaves.

A row is a tuple; `layout` says where each column's value and its folded form stand. `sql` and `masks` say the same in
other words, and property tests hold all three to one reference.
"""

from __future__ import annotations

import operator
import socket
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    """The function that decides `node`: one Python expression, compiled once, so that no call is made per clause."""
    names: dict[str, Any] = {}
    code = _Writer(layout, names).expression(node, 0)
    text = f"lambda row: {code}"  # only our own words, and literals by repr
    decide: Check = eval(compile(text, "<rule>", "eval"), names)
    return decide


#: Python's parser takes 200 parentheses within each other; a deeper tree becomes functions that call each other.
_DEEP = 60


class _Writer:
    """Trees as Python source. What has no source form is a function in `names`."""

    def __init__(self, layout: Layout, names: dict[str, Any]) -> None:
        self._layout = layout
        self._names = names

    def expression(self, node: Node, depth: int) -> str:
        if depth > _DEEP:
            return self._call(check(node, self._layout), "row")
        match node:
            case Const(value):
                return repr(value)
            case And(children):
                return "(" + " and ".join(self.expression(child, depth + 1) for child in children) + ")"
            case Or(children):
                return "(" + " or ".join(self._alternatives(children, depth + 1)) + ")"
            case Not(child):
                return f"(not {self.expression(child, depth + 1)})"
            case _:
                return self._leaf(node)

    def _alternatives(self, children: Sequence[Node], depth: int) -> Iterator[str]:
        """Many literals for one value are one test: a set, or a tuple of endings or beginnings."""
        literals: defaultdict[tuple[How, str], list[str]] = defaultdict(list)
        for child in children:
            if isinstance(child, Text) and child.how is not How.CONTAINS and _plain(child.column):
                literals[child.how, self._value(child)].append(child.value)
            else:
                yield self.expression(child, depth)
        for (how, value), words in literals.items():
            if how is How.EXACT:
                yield f"{value} in {{{', '.join(map(repr, words))}}}"
            else:
                yield f"{value}.{how.value}(({', '.join(map(repr, words))},))"

    def _leaf(self, leaf: Leaf) -> str:
        if isinstance(leaf, SameAs):
            return self._call(_same_as(leaf, self._layout), "row")
        value, column = self._value(leaf), leaf.column
        match leaf:
            case Text(_, How.EXACT, literal, _) if _plain(column):
                return f"{value} == {literal!r}"
            case Text(_, How.CONTAINS, literal, _) if _plain(column):
                return f"{literal!r} in {value}"
            case Text(_, how, literal, _) if _plain(column):
                return f"{value}.{how.value}({literal!r})"
            case Number(_, sign, number) if column.kind not in _LISTS:
                return f"{value} {'==' if sign == '=' else sign} {number}"
            case Addresses(_, low, high):
                return f"({value} != {NO_ADDRESS!r} and {low!r} <= {value} <= {high!r})"
            case Present():
                return f"{value} != {NO_ADDRESS!r}" if column.kind is Kind.IP else f"bool({value})"
        decide = value_check(leaf)
        if column.kind in _LISTS:
            return self._call(lambda values: any(map(decide, values)), value)
        return self._call(decide, value)

    def _value(self, leaf: Leaf) -> str:
        ((_, folded),) = needed(leaf)
        return f"row[{self._layout[leaf.column.name, folded]}]"

    def _call(self, function: Callable[[Any], bool], argument: str) -> str:
        name = f"f{len(self._names)}"
        self._names[name] = function
        return f"{name}({argument})"


def _plain(column: Column) -> bool:
    return column.kind in (Kind.TEXT, Kind.NAME)


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
