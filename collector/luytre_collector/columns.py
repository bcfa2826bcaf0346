"""The column table as pyarrow sees it: types, schemas, and the zeros that stand for an absent column."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import pyarrow as pa
from luytre_common.schema import Column, Kind, Table

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
        indices = pa.repeat(pa.scalar(0, pa.int32()), rows)
        return pa.DictionaryArray.from_arrays(indices, pa.array([value], pa.string()))
    if not rows:
        return pa.array([], _TYPES[kind])
    scalar: Any = pa.scalar(value, _TYPES[kind])
    array: pa.Array[Any] = pa.repeat(scalar, rows)
    return array


def zeros(kind: Kind, rows: int) -> pa.Array[Any]:
    """A column whose every row is absent: the zero of the kind."""
    return constant(kind, _ZEROS.get(kind, 0), rows)
