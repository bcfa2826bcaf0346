"""Arrow columns to the bytes of a Native block, as servers take them (ClickHouse: src/Formats/NativeWriter.cpp). Pure.

Arrow and ClickHouse keep most columns alike, so most bytes are copied, not made: numbers, times and addresses as they
lie, texts with a length before each, names as a dictionary and places in it, lists as their ends and what is in them.
No Python object is made per row. The server says which types it wants; what does not fit them is a StoreError.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from luytre_collector.store.base import StoreError

#: Types whose bytes are those of the Arrow type, in this machine's order, which must be the lower byte first.
_ALIKE: dict[str, pa.DataType] = {
    "UInt8": pa.uint8(),
    "UInt16": pa.uint16(),
    "UInt32": pa.uint32(),
    "UInt64": pa.uint64(),
    "Int32": pa.int32(),
    "Int64": pa.timestamp("us", "UTC"),
    "DateTime64(6, 'UTC')": pa.timestamp("us", "UTC"),
    "IPv6": pa.binary(16),
    "FixedString(16)": pa.binary(16),
}

#: LowCardinality: the version of its form; every block brings all its keys (SerializationLowCardinality.cpp).
_KEYS_OF_EACH_BLOCK = 1
_HAS_KEYS, _NEW_DICTIONARY = 1 << 9, 1 << 10

_TEXTS = "Array("
_NAME = "LowCardinality(String)"


#: Bytes made here, or those of an Arrow buffer as they lie there.
Piece = bytes | memoryview


def encode(columns: Sequence[tuple[str, str]], rows: pa.Table, with_flags: bool) -> Iterator[Piece]:
    """The block in pieces, one or a few per column. `columns`: names and types that the server wants, all in `rows`.

    `rows` is as `rows.prepare` makes it. `with_flags`: since revision 54454 each column says how it is serialised.
    """
    yield varint(len(columns)) + varint(rows.num_rows)
    for name, spec in columns:
        if name not in rows.column_names:
            raise StoreError(f"the server asks for a column {name}, which these rows do not have")
        column = rows.column(name)
        if column.num_chunks != 1:
            raise StoreError(f"{name}: more than 2 GiB in one insert; make inserts smaller")
        head = _text(name) + _text(spec) + (b"\0" if with_flags else b"")
        yield head + (_number(_KEYS_OF_EACH_BLOCK) if _NAME in spec else b"")
        try:
            yield from _column(spec, column.chunk(0))
        except _DoesNotFitError:
            raise StoreError(f"{name}: the server's column is {spec}, which cannot hold {column.type}") from None


class _DoesNotFitError(Exception):
    pass


def _column(spec: str, array: Any) -> Iterator[Piece]:
    kind = array.type
    if _ALIKE.get(spec) == kind:
        width = kind.bit_width // 8
        yield _values(array, width)
    elif spec == "String" and kind == pa.string():
        yield _texts(array)
    elif spec == "String" and pa.types.is_dictionary(kind):
        yield _texts(array.dictionary_decode())
    elif spec == _NAME and pa.types.is_dictionary(kind):
        yield from _names(array)
    elif spec == _NAME and kind == pa.string():
        yield from _names(array.dictionary_encode())
    elif spec.startswith(_TEXTS) and pa.types.is_list(kind):
        ends = pc.subtract(array.offsets[1:], array.offsets[0])
        yield _plain(ends.cast(pa.uint64()))
        inner = array.flatten()
        if len(inner):
            yield from _column(spec[len(_TEXTS) : -1], inner)
    else:
        raise _DoesNotFitError


def _plain(numbers: Any) -> Piece:
    """The values of an array of numbers."""
    return _values(numbers, numbers.type.bit_width // 8)


def _values(array: Any, width: int) -> Piece:
    """The bytes of an array's values, each so many bytes wide, without what is before its offset."""
    return memoryview(array.buffers()[1])[array.offset * width : (array.offset + len(array)) * width]


def _texts(array: Any) -> Piece:
    """Every text behind its length. There are few different lengths, so few are written by hand."""
    lengths = pc.binary_length(array).dictionary_encode()
    known = pa.array([varint(length) for length in lengths.dictionary.to_pylist()], pa.binary())
    joined = pc.binary_join_element_wise(known.take(lengths.indices), array.cast(pa.binary()), b"")
    return memoryview(joined.buffers()[2]) if len(joined) else b""


def _names(array: Any) -> Iterator[Piece]:
    if len(array.dictionary) > len(array):  # keys that no row has
        array = array.dictionary_decode().dictionary_encode()
    keys = len(array.dictionary)
    size = 0 if keys <= 1 << 8 else 1 if keys <= 1 << 16 else 2
    yield _number(_HAS_KEYS | _NEW_DICTIONARY | size) + _number(keys)
    yield _texts(array.dictionary)
    yield _number(len(array))
    yield _plain(array.indices.cast((pa.uint8(), pa.uint16(), pa.uint32())[size]))


def _number(value: int) -> bytes:
    return value.to_bytes(8, "little")


def _text(value: str) -> bytes:
    data = value.encode()
    return varint(len(data)) + data


def varint(value: int) -> bytes:
    """LEB128: seven bits at a time, the lowest first; the eighth says that more come."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
