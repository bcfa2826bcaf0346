"""Blocks of the format Native as clients of a revision read them. Pure.

The engine in this process writes Native as for clients without a revision. Who sends `client_protocol_version`, such as
clickhouse-go of today (Grafana), reads two things more (`NativeWriter` and `BlockInfo` of ClickHouse):

    before each block      01 00  02 ff ff ff ff  00      no overflows, no bucket
    after each type        00                             no custom serialization

To find where a column ends its type must be understood. What cannot be skipped over is told, not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from luytre_collector.httpd.replies import NOT_IMPLEMENTED
from luytre_collector.store.guest import AnswerError

#: The first revision whose clients read both (DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION). Others get neither.
REVISION = 54454

_SHARED_KEYS, _OWN_KEYS = 1 << 8, 1 << 9

_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"
_WIDTHS = {
    **dict.fromkeys(("UInt8", "Int8", "Bool", "Enum8", "Nothing"), 1),
    **dict.fromkeys(("UInt16", "Int16", "Date", "Enum16", "BFloat16"), 2),
    **dict.fromkeys(("UInt32", "Int32", "Float32", "Date32", "DateTime", "IPv4", "Time", "Decimal32"), 4),
    **dict.fromkeys(("UInt64", "Int64", "Float64", "DateTime64", "Time64", "Decimal64"), 8),
    **dict.fromkeys(("UInt128", "Int128", "UUID", "IPv6", "Decimal128"), 16),
    **dict.fromkeys(("UInt256", "Int256", "Decimal256"), 32),
}
_SAME_AS = {
    "Point": "Tuple(Float64, Float64)",
    "Ring": "Array(Tuple(Float64, Float64))",
    "LineString": "Array(Tuple(Float64, Float64))",
    "Polygon": "Array(Array(Tuple(Float64, Float64)))",
    "MultiLineString": "Array(Array(Tuple(Float64, Float64)))",
    "MultiPolygon": "Array(Array(Array(Tuple(Float64, Float64))))",
}
_TYPE = re.compile(r"([A-Za-z][A-Za-z0-9]*)(?:\((.*)\))?", re.DOTALL)
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`")  # names that only look like types
_NAMED = re.compile(r"(?:`(?:[^`\\]|\\.)*`|[A-Za-z_][A-Za-z0-9_]*) +(?=[A-Z])")


def revised(body: bytes) -> bytes:
    """The same blocks for clients of `REVISION` and later. AnswerError for types that are not understood."""
    pieces: list[bytes] = []
    at = 0
    while at < len(body):
        pieces.append(_INFO)
        columns, here = _varint(body, at)
        rows, here = _varint(body, here)
        pieces.append(body[at:here])
        for _ in range(columns):
            start = here
            for _ in ("name", "type"):
                size, here = _varint(body, here)
                kind = body[here : here + size]
                here += size
            pieces += [body[start:here], b"\0"]
            start, here = here, _skip_column(body, here, kind.decode(), rows)
            pieces.append(body[start:here])
        at = here
    if at != len(body):
        raise AnswerError(
            "the engine's blocks are not understood; ask for RowBinary. (NOT_IMPLEMENTED)", NOT_IMPLEMENTED
        )
    return b"".join(pieces)


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """A number in LEB128, and where it ends."""
    value = shift = 0
    while True:
        byte = body[at] if at < len(body) else 0
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _skip_column(body: bytes, at: int, kind: str, rows: int) -> int:
    """Where a column ends. Before its values each dictionary in it, however deep, says how it is written: 8 bytes."""
    return _skip(body, at + 8 * _QUOTED.sub("", kind).count("LowCardinality(") if rows else at, kind, rows)


def _skip(body: bytes, at: int, kind: str, rows: int) -> int:
    """Where `rows` values of this type end."""
    if not rows:
        return at
    found = _TYPE.fullmatch(_SAME_AS.get(kind, kind))
    name, inner = (found[1], found[2] or "") if found else ("", "")
    if name == "String":
        for _ in range(rows):
            size = body[at] if at < len(body) else 0
            at += 1
            if size >= 0x80:
                size, at = _varint(body, at - 1)
            at += size
        return at
    if name in _WIDTHS:
        return at + rows * _WIDTHS[name]
    if name.startswith("Interval"):
        return at + rows * 8
    match name:
        case "FixedString":
            return at + rows * int(inner)
        case "Decimal":
            digits = int(inner.partition(",")[0])
            return at + rows * next(width for most, width in ((9, 4), (18, 8), (38, 16), (76, 32)) if digits <= most)
        case "LowCardinality":
            return _skip_dictionary(body, at, inner, rows)
        case "Nullable":
            return _skip(body, at + rows, inner, rows)
        case "SimpleAggregateFunction":
            return _skip(body, at, inner.partition(",")[2].strip(), rows)
        case "Array":
            return _skip_array(body, at, inner, rows)
        case "Map":
            return _skip_array(body, at, f"Tuple({inner})", rows)
        case "Nested":
            return _skip_array(body, at, f"Tuple({inner})", rows)
        case "Tuple":
            for one in _split(inner):
                at = _skip(body, at, _NAMED.sub("", one, count=1), rows)
            return at + (0 if inner else rows)
    raise AnswerError(
        f"type {kind} is not served in Native to clients of a revision; cast it, toString() for one. (NOT_IMPLEMENTED)",
        NOT_IMPLEMENTED,
    )


def _skip_array(body: bytes, at: int, kind: str, rows: int) -> int:
    """Where arrays end: first comes where each of them does, counted in elements, then the elements of all."""
    end = at + rows * 8
    return _skip(body, end, kind, int.from_bytes(body[end - 8 : end], "little"))


def _skip_dictionary(body: bytes, at: int, kind: str, rows: int) -> int:
    """Where values by a dictionary end (`SerializationLowCardinality`): flags, the keys, an index for each row."""
    flags, keys = (int.from_bytes(body[start : start + 8], "little") for start in (at, at + 8))
    if not flags & _OWN_KEYS or flags & _SHARED_KEYS:
        raise AnswerError("a dictionary beside its block is not understood. (NOT_IMPLEMENTED)", NOT_IMPLEMENTED)
    if kind.startswith("Nullable("):  # the first key stands for NULL
        kind = kind[len("Nullable(") : -1]
    return _skip(body, at + 16, kind, keys) + 8 + rows * (1 << (flags & 0xFF))


def _split(inner: str) -> Iterator[str]:
    """The types between commas, those in brackets and quotes left whole."""
    depth = start = 0
    for found in re.finditer(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|[(),]", inner):
        match found[0]:
            case "(":
                depth += 1
            case ")":
                depth -= 1
            case "," if depth == 0:
                yield inner[start : found.start()].strip()
                start = found.end()
    if inner[start:].strip():
        yield inner[start:].strip()
