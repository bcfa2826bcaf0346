"""From a value of a rule to a leaf, by the kind of the column it is compared to.

Everything here raises `LeafError` with a remedy when the comparison makes no sense for the column.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterable, Sequence

import re2
from luytre_common.schema import Column, Kind

from luytre_collector.detect.fold import fold
from luytre_collector.detect.tree import (
    FALSE,
    TRUE,
    Addresses,
    Glob,
    How,
    Node,
    Number,
    Operator,
    Present,
    Regex,
    SameAs,
    Text,
    Wild,
    neg,
)

TEXT_KINDS = frozenset({Kind.TEXT, Kind.NAME, Kind.TEXTS})
_RANGES = {
    Kind.U8: (0, 2**8 - 1),
    Kind.U16: (0, 2**16 - 1),
    Kind.U32: (0, 2**32 - 1),
    Kind.U32S: (0, 2**32 - 1),
    Kind.U64: (0, 2**64 - 1),
    Kind.I32: (-(2**31), 2**31 - 1),
}
_MAPPED = bytes(10) + b"\xff\xff"
_MAX_PATTERN = 4096


class LeafError(Exception):
    """A value that cannot be compared with the column; the message says why and what to write."""


def _name(column: Column) -> str:
    return f"{column.name} ({column.meaning.split(',')[0].split(';')[0]})"


def text(column: Column, parts: Sequence[str | Wild], cased: bool) -> Node:
    """A string, with wildcards, against the column."""
    merged = _merge(parts)
    if not merged:
        return neg(Present(column))
    if merged == (Wild.MANY,):
        return Present(column)
    if column.kind in _RANGES:
        if len(merged) == 1 and isinstance(merged[0], str):
            try:
                return number(column, "=", int(merged[0], 10))
            except ValueError:
                pass
        raise LeafError(f"{_name(column)} is a number; compare it with a number, gt, gte, lt or lte, not with text")
    if column.kind is Kind.IP and len(merged) == 1 and isinstance(merged[0], str):
        return _address(column, merged[0])
    return _text(
        column, merged if cased else tuple(fold(one) if isinstance(one, str) else one for one in merged), cased
    )


def _text(column: Column, parts: tuple[str | Wild, ...], cased: bool) -> Node:
    match parts:
        case (str() as value,):
            return Text(column, How.EXACT, value, cased)
        case (Wild.MANY, str() as value):
            return Text(column, How.ENDS, value, cased)
        case (str() as value, Wild.MANY):
            return Text(column, How.STARTS, value, cased)
        case (Wild.MANY, str() as value, Wild.MANY):
            return Text(column, How.CONTAINS, value, cased)
        case _:
            return Glob(column, parts, cased)


def _merge(parts: Iterable[str | Wild]) -> tuple[str | Wild, ...]:
    merged: list[str | Wild] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        elif part != "" and not (part is Wild.MANY and merged and merged[-1] is Wild.MANY):
            merged.append(part)
    return tuple(merged)


def regex(column: Column, pattern: str, flags: str) -> Node:
    """A regular expression in RE2 syntax, found anywhere in the text; flags are letters of `ims`."""
    if column.kind not in TEXT_KINDS:
        raise LeafError(f"{_name(column)} is not text; |re works on text")
    off = "" if "s" in flags else "-s"
    full = f"(?{''.join(sorted(flags))}{off}){pattern}"
    if len(full.encode()) > _MAX_PATTERN:
        raise LeafError(f"the pattern has more than {_MAX_PATTERN} bytes; split it")
    compile_regex(full)
    return Regex(column, full)


def compile_regex(pattern: str) -> re2._Regexp:
    """`pattern` compiled by RE2: matching takes time linear in the text. LeafError if RE2 refuses it."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeError) as error:
        said = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else str(error)
        raise LeafError(f"not an RE2 pattern: {said}; write it without lookaround and back-references") from None


def number(column: Column, operator: Operator, value: int | float) -> Node:
    """A number against the column; fractions are moved to the next whole number that decides the same."""
    if column.kind in TEXT_KINDS:
        if operator != "=":
            raise LeafError(f"{_name(column)} is text; gt, gte, lt and lte work on numbers")
        return text(column, [str(value)], cased=True)
    if column.kind not in _RANGES:
        raise LeafError(f"{_name(column)} is no number; give an address")
    if not math.isfinite(value):
        raise LeafError(f"{value} is no number to compare with; give a whole number")
    if isinstance(value, float):
        if operator == "=" and not value.is_integer():
            return FALSE
        value = math.floor(value) if operator in (">", "<=", "=") else math.ceil(value)
    low, high = _RANGES[column.kind]
    if column.kind is not Kind.U32S:  # on a list even "any number" asks for an element
        if value < low:
            return TRUE if operator in (">", ">=") else FALSE
        if value > high:
            return TRUE if operator in ("<", "<=") else FALSE
    elif not low <= value <= high:
        raise LeafError(f"{value} is outside {low}..{high}, which {column.name} holds")
    return Number(column, operator, value)


def cidr(column: Column, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Node:
    """An address inside a network. A network of IPv4 also holds the IPv4-mapped IPv6 addresses, which are the same."""
    if column.kind is not Kind.IP:
        raise LeafError(f"{_name(column)} is no address column; |cidr works on addresses")
    return Addresses(column, packed(network.network_address), packed(network.broadcast_address))


def packed(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bytes:
    """The 16 bytes of an address; IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2)."""
    return _MAPPED + address.packed if address.version == 4 else address.packed


def _address(column: Column, value: str) -> Node:
    try:
        one = packed(ipaddress.ip_address(value))
    except ValueError:
        raise LeafError(f'"{value}" is no IP address; for a network write {column.name}|cidr') from None
    return Addresses(column, one, one)


def same_as(column: Column, how: How, other: Column, cased: bool) -> Node:
    """The column against another column of the same row."""
    kinds = {column.kind, other.kind}
    numbers = kinds <= set(_RANGES) - {Kind.U32S}
    texts = kinds <= {Kind.TEXT, Kind.NAME}
    if not (texts or ((numbers or kinds == {Kind.IP}) and how is How.EXACT)):
        raise LeafError(
            f"{column.name} and {other.name} cannot be compared this way; |fieldref needs two texts or two equal kinds"
        )
    return SameAs(column, how, other, cased)


def present(column: Column, wanted: bool) -> Node:
    """The value is there, or is not."""
    return Present(column) if wanted else neg(Present(column))
