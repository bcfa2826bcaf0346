"""What rows must look like to be inserted: Arrow tables with exactly the stored columns. Pure."""

from __future__ import annotations

import pyarrow as pa
from luytre_common.schema import STORED_TABLES, Column, Kind, Table

from luytre_collector.store.base import StoreError

#: Most rows of one insert: the most that a batch carries, and what one block, hence one part, holds.
MAX_ROWS = 1_000_000

_TYPES: dict[Kind, pa.DataType] = {
    Kind.U8: pa.uint8(),
    Kind.U16: pa.uint16(),
    Kind.U32: pa.uint32(),
    Kind.U64: pa.uint64(),
    Kind.I32: pa.int32(),
    Kind.TIME: pa.timestamp("us", "UTC"),
    Kind.IP: pa.binary(16),
    Kind.TEXT: pa.string(),
    Kind.NAME: pa.dictionary(pa.int32(), pa.string()),
    Kind.TEXTS: pa.list_(pa.string()),
    Kind.U32S: pa.list_(pa.uint32()),
}


def schema_of(columns: tuple[Column, ...]) -> pa.Schema:
    """The Arrow schema of these columns."""
    return pa.schema([pa.field(column.name, _TYPES[column.kind]) for column in columns])


def table_named(name: str) -> Table:
    """The table of the schema; StoreError if there is none."""
    try:
        return STORED_TABLES[name]
    except KeyError:
        raise StoreError(f"no table {name}; known are {', '.join(STORED_TABLES)}") from None


def prepare(table: Table, rows: pa.Table) -> pa.Table:
    """The same rows, in one chunk with one dictionary per column. StoreError names the first thing that is wrong."""
    expected = schema_of(table.stored_columns)
    if rows.num_rows > MAX_ROWS:
        raise StoreError(f"{table.name}: {rows.num_rows} rows in one insert; the most is {MAX_ROWS}")
    if rows.column_names != expected.names:
        raise StoreError(f"{table.name}: {_difference(rows.column_names, expected.names)}")
    for field, wanted in zip(rows.schema, expected, strict=True):
        if field.type != wanted.type:
            raise StoreError(f"{table.name}.{field.name}: Arrow type {field.type}, not {wanted.type}")
    for field in expected:
        if rows.column(field.name).null_count:
            raise StoreError(f"{table.name}.{field.name}: has nulls; absent is the type's zero")
    return rows.unify_dictionaries().combine_chunks()


def _difference(given: list[str], wanted: list[str]) -> str:
    unknown = [name for name in given if name not in wanted]
    missing = [name for name in wanted if name not in given]
    if unknown:
        return f"unknown column {unknown[0]}"
    if missing:
        return f"column {missing[0]} is missing"
    return "columns are not in the order of the schema, or one is there twice"
