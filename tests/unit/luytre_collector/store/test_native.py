"""Native blocks: read by the real engine they are the rows that were meant; the driver would write the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import chdb
import pyarrow as pa
import pytest
from clickhouse_driver.block import ColumnOrientedBlock
from clickhouse_driver.bufferedwriter import BufferedSocketWriter
from clickhouse_driver.context import Context
from clickhouse_driver.streams.native import BlockOutputStream
from luytre_collector.store import ddl, sql
from luytre_collector.store.base import StoreError
from luytre_collector.store.native import encode, varint
from luytre_collector.store.rows import prepare
from luytre_common.schema import TABLES, Table

from tests.contract.rows import make


@pytest.fixture
def engine() -> Iterator[Any]:
    connection = chdb.connect(":memory:")
    connection.query("SET session_timezone = 'UTC', output_format_arrow_low_cardinality_as_dictionary = 1")
    connection.query("DROP DATABASE IF EXISTS wire")
    connection.query("CREATE DATABASE wire")
    connection.query("USE wire")
    yield connection
    connection.close()


def wanted(table: Table) -> list[tuple[str, str]]:
    return [(column.name, column.kind.clickhouse) for column in table.stored_columns]


def insert(engine: Any, statement: str, rows: int, block: bytes) -> None:
    with engine.send_insert(statement, "Native") as sending:
        sending.append(block)
        assert sending.finish().rows_written == rows


def read(engine: Any, statement: str) -> pa.Table:
    return pa.ipc.open_stream(pa.py_buffer(bytes(engine.query(statement, "ArrowStream").bytes()))).read_all()


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_the_engine_reads_what_was_meant(engine: Any, table: Table) -> None:
    rows = prepare(table, make(table))
    engine.query(ddl.create_table(table))
    names = sql.column_list(table)
    insert(
        engine,
        f"INSERT INTO {table.name} ({names})",
        len(rows),
        b"".join(encode(wanted(table), rows, with_flags=False)),
    )
    assert read(engine, f"SELECT {names} FROM {table.name} ORDER BY sequence").to_pylist() == rows.to_pylist()


def test_a_part_of_a_table_is_that_part() -> None:
    table = TABLES["flows"]
    rows = make(table, 50)
    part = prepare(table, rows.slice(13, 9))
    again = prepare(table, pa.Table.from_pylist(part.to_pylist(), schema=part.schema))
    assert len(part) == len(again) == 9
    columns = [(name, spec) for name, spec in wanted(table) if "LowCardinality" not in spec]  # keys may be more
    assert b"".join(encode(columns, part, True)) == b"".join(encode(columns, again, True))


class Wire:
    """What the driver takes for a socket."""

    def __init__(self) -> None:
        self.data = b""

    def sendall(self, data: bytes) -> None:
        self.data += bytes(data)


def test_the_driver_writes_the_same_bytes() -> None:
    """In both revisions, but for the block info, which is the driver's. Names in the order in which they come."""
    table = TABLES["flows"]
    rows = prepare(table, make(table, 300))
    again = {column.name: rows.column(column.name).to_pylist() for column in table.stored_columns}
    for column in table.stored_columns:
        if column.kind.arrow.startswith("dictionary"):
            fresh = pa.array(again[column.name]).dictionary_encode()
            rows = rows.set_column(rows.column_names.index(column.name), column.name, fresh)
        if column.kind.arrow.startswith("timestamp"):
            again[column.name] = rows.column(column.name).cast(pa.int64()).to_pylist()
    for revision, with_flags in ((0, False), (54468, True)):
        context, wire = Context(), Wire()
        context.server_info = SimpleNamespace(used_revision=revision, get_timezone=lambda: "UTC")
        context.settings = {}
        context.client_settings = {"strings_as_bytes": False, "strings_encoding": "utf-8", "use_numpy": False}
        block = ColumnOrientedBlock(wanted(table), list(again.values()))
        BlockOutputStream(BufferedSocketWriter(wire, 1 << 16), context).write(block)
        assert wire.data.endswith(b"".join(encode(wanted(table), rows, with_flags)))


MANY = [f"name {number}" for number in range(70_000)]


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        ("String", pa.array(["a", "", "b"]).dictionary_encode()),
        ("LowCardinality(String)", pa.array(["a", "", "a"])),
        ("LowCardinality(String)", pa.array(MANY[:256]).dictionary_encode()),
        ("LowCardinality(String)", pa.array(MANY[:257]).dictionary_encode()),
        ("LowCardinality(String)", pa.array(MANY).dictionary_encode()),
        ("LowCardinality(String)", pa.DictionaryArray.from_arrays(pa.array([2, 0], pa.int32()), pa.array(MANY[:9]))),
        ("Array(LowCardinality(String))", pa.array([["a", "b"], [], ["b", "é"]])),
        ("Array(LowCardinality(String))", pa.array([[], []], pa.list_(pa.string()))),
        ("Array(Array(String))", pa.array([[["a"], []], [], [["b", "c"]]])),
        ("Array(UInt32)", pa.array([[1], [], [2, 3]], pa.list_(pa.uint32())).slice(1)),
        ("FixedString(16)", pa.array([bytes(16), b"x" * 16], pa.binary(16))),
        ("String", pa.array(["x" * length for length in (0, 1, 127, 128, 16383, 16384, 2097152)])),
    ],
)
def test_what_a_server_may_ask_for(engine: Any, spec: str, values: Any) -> None:
    rows = pa.table({"n": pa.array(range(len(values)), pa.uint64()), "x": values})
    engine.query(f"CREATE TABLE t (n UInt64, x {spec}) ENGINE = MergeTree ORDER BY n")
    insert(engine, "INSERT INTO t", len(rows), b"".join(encode([("n", "UInt64"), ("x", spec)], rows, with_flags=False)))
    found = read(engine, "SELECT x FROM t ORDER BY n").column("x").to_pylist()
    assert found == values.to_pylist()


def test_what_does_not_fit_is_said() -> None:
    rows = pa.table({"x": pa.array([1], pa.uint16())})
    for spec in ("UInt8", "String", "Array(UInt16)", "LowCardinality(String)", "Nothing of the kind"):
        with pytest.raises(StoreError, match=r"x: the server's column is .*, which cannot hold uint16"):
            list(encode([("x", spec)], rows, with_flags=True))
    with pytest.raises(StoreError, match="the server asks for a column y"):
        list(encode([("y", "UInt8")], rows, with_flags=True))


def test_varint() -> None:
    assert [varint(number).hex() for number in (0, 127, 128, 300, 1 << 21)] == ["00", "7f", "8001", "ac02", "80808001"]
