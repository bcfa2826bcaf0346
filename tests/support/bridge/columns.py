"""Columns of Native blocks, copied from a stream to a stream. Only lengths are understood, never values.

A type is a name and what stands in its brackets: `Map(String, Array(UInt8))` is Type("Map", (String, Array(...))).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Protocol


class Reader(Protocol):
    """The driver's buffered reader."""

    def read(self, size: int) -> bytes: ...
    def read_strings(self, count: int) -> tuple[bytes, ...]: ...


class Writer(Protocol):
    """The driver's buffered writer."""

    def write(self, data: bytes) -> None: ...
    def write_strings(self, items: Any) -> None: ...


class UnknownTypeError(Exception):
    """A type whose bytes the bridge cannot measure, such as AggregateFunction, Variant or JSON."""


@dataclass(frozen=True)
class Type:
    """A ClickHouse type, its arguments still as text."""

    name: str
    arguments: tuple[str, ...] = ()

    def inner(self, index: int = -1) -> Type:
        return parse(self.arguments[index])


def parse(text: str) -> Type:
    """The type that this text names."""
    name, bracket, rest = text.strip().partition("(")
    return Type(name, tuple(_split(rest[:-1])) if bracket else ())


def _split(text: str) -> list[str]:
    """What commas separate, but for commas inside brackets and quotes."""
    parts, depth, start = [], 0, 0
    for found in re.finditer(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|[(),]", text):
        token = found[0]
        depth += (token == "(") - (token == ")")
        if token == "," and not depth:
            parts.append(text[start : found.start()].strip())
            start = found.end()
    return [*parts, text[start:].strip()]


_SIZES = {
    "UInt8": 1, "Int8": 1, "Bool": 1, "Enum8": 1, "Nothing": 1,
    "UInt16": 2, "Int16": 2, "Enum16": 2, "Date": 2, "BFloat16": 2,
    "UInt32": 4, "Int32": 4, "Float32": 4, "Date32": 4, "DateTime": 4, "IPv4": 4, "Decimal32": 4, "Time": 4,
    "UInt64": 8, "Int64": 8, "Float64": 8, "DateTime64": 8, "Decimal64": 8, "Time64": 8,
    "UInt128": 16, "Int128": 16, "UUID": 16, "IPv6": 16, "Decimal128": 16,
    "UInt256": 32, "Int256": 32, "Decimal256": 32,
}  # fmt: skip

#: A prefix says that the keys of every block come with it.
_KEYS_OF_EACH_BLOCK = 1


def _size(kind: Type) -> int | None:
    if kind.name == "FixedString":
        return int(kind.arguments[0])
    if kind.name == "Decimal":
        digits = int(kind.arguments[0])
        return next(size for most, size in ((9, 4), (18, 8), (38, 16), (76, 32)) if digits <= most)
    return 8 if kind.name.startswith("Interval") else _SIZES.get(kind.name)


def copy(kind: Type, rows: int, source: Reader, sink: Writer) -> None:
    """One column of `rows` > 0 rows: first what its parts say of themselves, then its data."""
    _prefix(kind, source, sink)
    _data(kind, rows, source, sink)


def _prefix(kind: Type, source: Reader, sink: Writer) -> None:
    if kind.name == "LowCardinality":
        version = _number(source, sink)
        if version != _KEYS_OF_EACH_BLOCK:
            raise UnknownTypeError(f"version {version} of LowCardinality")
    for part in _parts(kind):
        _prefix(part, source, sink)


def _parts(kind: Type) -> list[Type]:
    match kind.name:
        case "Array" | "Nullable" | "SimpleAggregateFunction":
            return [kind.inner()]
        case "Map":
            return [kind.inner(0), kind.inner(1)]
        case "Tuple":
            return [parse(_unnamed(one)) for one in kind.arguments]
    return []


def _unnamed(element: str) -> str:
    """Elements of tuples may have names: `path String`."""
    named = re.fullmatch(r"(?:`(?:[^`\\]|\\.)*`|\w+)\s+(\w.*)", element, re.DOTALL)
    return named[1] if named else element


def _data(kind: Type, rows: int, source: Reader, sink: Writer) -> None:
    size = _size(kind)
    if size is not None:
        _bytes(rows * size, source, sink)
    elif kind.name == "String":
        sink.write_strings(source.read_strings(rows))
    elif kind.name == "LowCardinality":
        _low_cardinality(kind, rows, source, sink)
    elif kind.name in ("Array", "Map"):
        ends = _bytes(rows * 8, source, sink)
        count = int.from_bytes(ends[-8:], "little")
        for part in _parts(kind):
            _data(part, count, source, sink)
    elif kind.name == "Nullable":
        _bytes(rows, source, sink)
        _data(kind.inner(), rows, source, sink)
    elif kind.name in ("Tuple", "SimpleAggregateFunction"):
        for part in _parts(kind):
            _data(part, rows, source, sink)
    else:
        raise UnknownTypeError(f"the bridge does not know the type {kind.name}")


def _low_cardinality(kind: Type, rows: int, source: Reader, sink: Writer) -> None:
    if not rows:
        return
    index_size = 1 << (_number(source, sink) & 0xFF)
    inner = kind.inner()
    _data(inner.inner() if inner.name == "Nullable" else inner, _number(source, sink), source, sink)
    _bytes(_number(source, sink) * index_size, source, sink)


def _number(source: Reader, sink: Writer) -> int:
    return int.from_bytes(_bytes(8, source, sink), "little")


def _bytes(size: int, source: Reader, sink: Writer) -> bytes:
    data = bytes(source.read(size)) if size else b""
    if data:
        sink.write(data)
    return data
