"""The column table as pyarrow sees it: types, schemas, and the zeros that stand for an absent column."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute
from luytre_common.schema import Column, Kind, Table

# The stubs know each kernel by the exact type of its arguments; here types are those of columns.
pc: Any = pyarrow.compute

#: 16 zero bytes, the absent address.
NO_ADDRESS = bytes(16)

_TYPES: dict[Kind, pa.DataType] = {
    Kind.U8: pa.uint8(),
    Kind.U16: pa.uint16(),
    Kind.U32: pa.uint32(),
    Kind.U64: pa.uint64(),
    Kind.I32: pa.int32(),
    Kind.TIME: pa.timestamp("us", tz="UTC"),
    Kind.IP: pa.binary(16),
    Kind.TEXT: pa.string(),
    Kind.NAME: pa.dictionary(pa.int32(), pa.string()),
    Kind.TEXTS: pa.list_(pa.string()),
    Kind.U32S: pa.list_(pa.uint32()),
}

_ZEROS: dict[Kind, Any] = {Kind.IP: NO_ADDRESS, Kind.TEXT: "", Kind.NAME: "", Kind.TEXTS: [], Kind.U32S: []}


def arrow_type(kind: Kind) -> pa.DataType:
    """The canonical Arrow type of a column of this kind."""
    return _TYPES[kind]


def schema_of(columns: Iterable[Column]) -> pa.Schema:
    """The Arrow schema of these columns, in order."""
    return pa.schema([pa.field(column.name, _TYPES[column.kind]) for column in columns])


@cache
def stored_schema(table: Table) -> pa.Schema:
    """The Arrow schema of an insert into `table`."""
    return schema_of(table.stored_columns)


def constant(kind: Kind, value: Any, rows: int) -> pa.Array[Any]:
    """A column that holds `value` in every row."""
    if kind is Kind.NAME:
        return pa.DictionaryArray.from_arrays(_zeros(pa.int32(), rows), pa.array([value], pa.string()))
    if value == _ZEROS.get(kind, 0):
        return _zeros(_TYPES[kind], rows)
    if kind in _NUMBERS:
        number = pa.int64() if kind is Kind.TIME else _TYPES[kind]
        array: pa.Array[Any] = pc.add(_zeros(number, rows), pa.scalar(value, number)).view(_TYPES[kind])
    else:
        scalar: Any = pa.scalar(value, _TYPES[kind])
        array = pa.repeat(scalar, rows)
    return array


def zeros(kind: Kind, rows: int) -> pa.Array[Any]:
    """A column whose every row is absent: the zero of the kind."""
    return constant(kind, _ZEROS.get(kind, 0), rows)


def numbered(first: int, rows: int) -> Any:
    """`first`, `first + 1`, ... as 64-bit numbers."""
    steps = _shared_steps().slice(0, rows) if rows <= _SHARED_ROWS else _steps(rows)
    return pc.add(steps, pa.scalar(first, pa.uint64()))


_NUMBERS = frozenset({Kind.U8, Kind.U16, Kind.U32, Kind.U64, Kind.I32, Kind.TIME})

#: Columns up to so long share their zeros, which are made once: a table has two dozen columns that begin as zeros.
_SHARED_ROWS = 1 << 18
_WIDEST = 16


@cache
def _shared_zeros() -> pa.Buffer:
    return pa.py_buffer(bytes(_WIDEST * (_SHARED_ROWS + 1)))


@cache
def _shared_steps() -> Any:
    return _steps(_SHARED_ROWS)


def _zeros(kind: pa.DataType, rows: int) -> pa.Array[Any]:
    """An array whose buffer is all zeros: of numbers, addresses, and offsets of texts and lists."""
    data = _shared_zeros() if rows <= _SHARED_ROWS else pa.py_buffer(bytes(_WIDEST * (rows + 1)))
    if pa.types.is_list(kind):
        nothing: Any = pa.array([], kind.value_type)
        return pa.Array.from_buffers(kind, rows, [None, data], children=[nothing])
    after: list[Any] = [pa.py_buffer(b"")] if pa.types.is_string(kind) else []
    return pa.Array.from_buffers(kind, rows, [None, data, *after])


def _steps(rows: int) -> Any:
    ones: Any = pa.repeat(pa.scalar(1, pa.uint64()), rows)
    return pc.subtract(pc.cumulative_sum(ones), pa.scalar(1, pa.uint64()))
