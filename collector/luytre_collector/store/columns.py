"""The columns that clickhouse-driver reads, to Arrow. Pure. The way in is `native.encode`.

The driver makes times through floating point: they are exact until the year 2242.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

import pyarrow as pa


def to_arrow(
    names_and_types: Sequence[tuple[str, str]], columns: Sequence[Sequence[Any]], for_people: bool = False
) -> pa.Table:
    """A query's answer as the embedded engine would give it; see `Store.query`.

    `for_people`: DateTime as a time, not as seconds.
    """
    arrays, names = [], []
    for index, (name, spec) in enumerate(names_and_types):
        names.append(name)
        arrays.append(_array(spec, columns[index] if columns else (), for_people))
    return pa.table(arrays, names=names)


def _array(spec: str, values: Sequence[Any], for_people: bool) -> Any:
    kind, convert = _type(spec, for_people)
    if convert is not None:
        values = [None if value is None else convert(value) for value in values]
    if isinstance(kind, pa.DictionaryType):
        return pa.array(values, kind.value_type).dictionary_encode()
    return pa.array(values, kind)


_SIMPLE: dict[str, pa.DataType] = {
    **{f"UInt{bits}": getattr(pa, f"uint{bits}")() for bits in (8, 16, 32, 64)},
    **{f"Int{bits}": getattr(pa, f"int{bits}")() for bits in (8, 16, 32, 64)},
    "Float32": pa.float32(),
    "Float64": pa.float64(),
    "String": pa.string(),
    "Bool": pa.bool_(),
    "Date": pa.date32(),
    "Date32": pa.date32(),
    "Nothing": pa.null(),
}
_TIME64 = re.compile(r"DateTime64\((\d)(?:, '([^']+)')?\)")
_TIME = re.compile(r"DateTime(?:\('([^']+)'\))?")

_UNITS: tuple[Literal["s", "ms", "us", "ns"], ...] = ("s", "ms", "ms", "ms", "us", "us", "us", "ns", "ns", "ns")

Convert = Callable[[Any], Any]


def _type(spec: str, for_people: bool) -> tuple[pa.DataType, Convert | None]:
    if spec in _SIMPLE:
        return _SIMPLE[spec], None
    if spec == "IPv6":
        return pa.binary(16), lambda value: value.packed
    if spec == "IPv4":
        return (pa.string(), str) if for_people else (pa.uint32(), int)
    if match := _TIME64.fullmatch(spec):
        return pa.timestamp(_UNITS[int(match[1])], match[2] or "UTC"), None
    if match := _TIME.fullmatch(spec):
        return (pa.timestamp("s", match[1] or "UTC"), None) if for_people else (pa.uint32(), _seconds)
    inner = spec[spec.find("(") + 1 : -1]
    if spec.startswith("Map("):
        return _map(inner, for_people)
    if spec.startswith("Tuple("):
        return _tuple(inner, for_people)
    if spec.startswith("Nullable("):
        return _type(inner, for_people)
    if spec.startswith("LowCardinality("):
        kind, convert = _type(inner, for_people)
        return (pa.dictionary(pa.int32(), kind) if kind == pa.string() else kind), convert
    if spec.startswith("Array("):
        kind, convert = _type(inner, for_people)
        return pa.list_(_plain(kind)), None if convert is None else lambda values: [
            _convert(convert, value) for value in values
        ]
    return pa.string(), str


def _map(inner: str, for_people: bool) -> tuple[pa.DataType, Convert]:
    key, value = (_type(part, for_people) for part in split(inner))
    return pa.map_(_plain(key[0]), _plain(value[0])), lambda pairs: [
        (_convert(key[1], name), _convert(value[1], one)) for name, one in pairs.items()
    ]


def _tuple(inner: str, for_people: bool) -> tuple[pa.DataType, Convert]:
    parts = [_type(_unnamed(part), for_people) for part in split(inner)]
    fields = [pa.field(str(number), _plain(kind)) for number, (kind, _) in enumerate(parts, start=1)]
    return pa.struct(fields), lambda values: {
        field.name: _convert(convert, one) for field, (_, convert), one in zip(fields, parts, values, strict=True)
    }


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if isinstance(kind, pa.DictionaryType) else kind


def _convert(convert: Convert | None, value: Any) -> Any:
    return value if convert is None or value is None else convert(value)


def _unnamed(part: str) -> str:
    """The type of a tuple's element, which may have a name before it."""
    named = re.fullmatch(r"(?:`(?:[^`\\]|\\.)*`|\w+)\s+(\w.*)", part, re.DOTALL)
    return named[1] if named else part


def split(arguments: str) -> list[str]:
    """The arguments of a type, parted by the commas that are not inside brackets or quotes."""
    parts, depth, start = [], 0, 0
    for token in re.finditer(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|[(),]", arguments):
        depth += (token[0] == "(") - (token[0] == ")")
        if token[0] == "," and not depth:
            parts.append(arguments[start : token.start()].strip())
            start = token.end()
    return [*parts, arguments[start:].strip()]


def _seconds(value: Any) -> int:
    return int(value.timestamp())
