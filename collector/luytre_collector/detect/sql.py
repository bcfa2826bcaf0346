"""A tree as a ClickHouse condition: the same truth as `predicates` and `masks`, row for row.

Two-valued because no column is Nullable; folded by `lower`, which is the fold; guarded because no expression here can
throw on any value. Literals are written with escapes, so a rule's text can never end its quotes.
"""

from __future__ import annotations

import socket

from luytre_common.schema import Column, Kind

from luytre_collector.detect.fold import fold_sql
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
)

_LISTS = (Kind.TEXTS, Kind.U32S)


def condition(node: Node) -> str:
    """The condition, in parentheses where needed; column names are unqualified."""
    match node:
        case Const(value):
            return "1" if value else "0"
        case And(children):
            return "(" + " AND ".join(map(condition, children)) + ")"
        case Or(children):
            return "(" + " OR ".join(map(condition, children)) + ")"
        case Not(child):
            return f"NOT {condition(child)}"
        case SameAs(column, how, other, cased):
            return _same_as(column, how, other, cased)
        case _:
            return _leaf(node)


def _leaf(leaf: Leaf) -> str:
    column = leaf.column
    if isinstance(leaf, Present):
        return present(column)
    if column.kind in _LISTS:
        return f"arrayExists(x -> {_value(leaf, 'x')}, {column.name})"
    return _value(leaf, column.name)


def _value(leaf: Leaf, name: str) -> str:
    if leaf.column.kind is Kind.IP and isinstance(leaf, Text | Glob):
        # Absent first: the text of '::' is not what an absent address looks like to a rule.
        return f"({name} != toIPv6('::') AND {_text(leaf, address_sql(name))})"
    match leaf:
        case Text(_, _, _, cased) | Glob(_, _, cased):
            return _text(leaf, name if cased else fold_sql(name))
        case Regex(_, pattern):
            return f"({name} != '' AND match({name}, {literal(pattern)}))"
        case Addresses(_, low, high):
            return f"({name} != toIPv6('::') AND {name} >= {_address(low)} AND {name} <= {_address(high)})"
        case Number(_, operator, number):
            return f"{name} {operator} {number}"
        case Present() | SameAs():
            raise TypeError("not about one value")


def _text(leaf: Text | Glob, value: str) -> str:
    match leaf:
        case Text(_, How.EXACT, text, _):
            return f"{value} = {literal(text)}"
        case Text(_, How.CONTAINS, text, _):
            return f"position({value}, {literal(text)}) > 0"
        case Text(_, How.STARTS, text, _):
            return f"startsWith({value}, {literal(text)})"
        case Text(_, How.ENDS, text, _):
            return f"endsWith({value}, {literal(text)})"
        case Glob(_, parts, _):
            return f"match({value}, {literal(glob_regex(parts))})"
    raise TypeError(f"{leaf} is unknown")


def _same_as(column: Column, how: How, other: Column, cased: bool) -> str:
    guards = f"{present(column)} AND {present(other)}"
    folded = not cased and column.kind in (Kind.TEXT, Kind.NAME)
    # toString: the functions below take two texts, not two dictionaries.
    names = [f"toString({one.name})" if folded or how is not How.EXACT else one.name for one in (column, other)]
    one, two = map(fold_sql, names) if folded else names
    match how:
        case How.EXACT:
            return f"({guards} AND {one} = {two})"
        case How.CONTAINS:
            return f"({guards} AND position({one}, {two}) > 0)"
        case How.STARTS:
            return f"({guards} AND startsWith({one}, {two}))"
        case How.ENDS:
            return f"({guards} AND endsWith({one}, {two}))"


def present(column: Column) -> str:
    """The value is not its type's zero."""
    match column.kind:
        case Kind.TEXTS | Kind.U32S:
            return f"notEmpty({column.name})"
        case Kind.TEXT | Kind.NAME:
            return f"{column.name} != ''"
        case Kind.IP:
            return f"{column.name} != toIPv6('::')"
        case _:
            return f"{column.name} != 0"


def address_sql(name: str) -> str:
    """An address as people write it: dotted for IPv4-mapped ones."""
    text = f"IPv6NumToString({name})"
    return f"if(startsWith({text}, '::ffff:') AND position({text}, '.') > 0, substring({text}, 8), {text})"


def _address(packed: bytes) -> str:
    return f"toIPv6('{socket.inet_ntop(socket.AF_INET6, packed)}')"


def literal(text: str) -> str:
    """`text` as a ClickHouse string literal: letters, digits and harmless characters; all other bytes as escapes."""
    return "'" + "".join(_PLAIN.get(byte, f"\\x{byte:02X}") for byte in text.encode("utf-8")) + "'"


_PLAIN = {
    byte: chr(byte) for byte in b" ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./:,;=()[]|+*^$<>"
}
