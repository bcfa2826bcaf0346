"""The engine's answers, in its Native format and read by the driver, to Arrow."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import chdb
import pyarrow as pa
import pytest
from clickhouse_driver.bufferedreader import BufferedSocketReader
from clickhouse_driver.context import Context
from clickhouse_driver.streams.native import BlockInputStream
from luytre_collector.store.columns import to_arrow


class Wire:
    """What the driver takes for a socket."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def recv_into(self, buffer: Any) -> int:
        taken = self.data[: len(buffer)]
        buffer[: len(taken)] = taken
        self.data = self.data[len(taken) :]
        return len(taken)


def context() -> Context:
    """Of a server that speaks the Native format of files: revision 0."""
    one = Context()
    one.server_info = SimpleNamespace(used_revision=0, get_timezone=lambda: "UTC")
    one.settings = {}
    one.client_settings = {"strings_as_bytes": False, "strings_encoding": "utf-8", "use_numpy": False}
    return one


def decode(data: bytes) -> tuple[list[tuple[str, str]], list[Any]]:
    wire = Wire(data)
    reader = BufferedSocketReader(wire, len(data) + 1)
    block = BlockInputStream(reader, context()).read()
    assert wire.data == b"", "the engine answered in more than one block"
    return block.columns_with_types, [block.get_column_by_index(index) for index in range(block.num_columns)]


@pytest.fixture
def engine() -> Iterator[Any]:
    connection = chdb.connect(":memory:")
    connection.query("SET session_timezone = 'UTC', max_block_size = 1000000")
    yield connection
    connection.close()


@pytest.mark.parametrize(
    ("expression", "kind", "value"),
    [
        ("toInt64(-1)", pa.int64(), -1),
        ("toFloat64(0.5)", pa.float64(), 0.5),
        ("true", pa.bool_(), True),
        ("CAST(NULL AS Nullable(String))", pa.string(), None),
        ("toNullable(toUInt8(7))", pa.uint8(), 7),
        ("toIPv4('10.0.0.1')", pa.uint32(), 0x0A000001),
        ("toIPv6('::ffff:10.0.0.1')", pa.binary(16), bytes(10) + b"\xff\xff\x0a\x00\x00\x01"),
        ("toDateTime('2026-11-23 02:00:00', 'UTC')", pa.uint32(), 1795399200),
        ("toDateTime('2026-11-23 02:00:00')", pa.uint32(), 1795399200),
        ("[toIPv6('::1')]", pa.list_(pa.binary(16)), [bytes(15) + b"\x01"]),
        ("[toLowCardinality('x')]", pa.list_(pa.string()), ["x"]),
        ("CAST('a' AS Enum8('a' = 1))", pa.string(), "a"),
        ("toUUID('0c9c3b7e-51a4-4b0c-8a0f-2f6f3c1e7d55')", pa.string(), "0c9c3b7e-51a4-4b0c-8a0f-2f6f3c1e7d55"),
        ("tuple(1, 'x')", pa.struct([("1", pa.uint8()), ("2", pa.string())]), {"1": 1, "2": "x"}),
        (
            "CAST((1, 'x'), 'Tuple(a UInt8, b String)')",
            pa.struct([("1", pa.uint8()), ("2", pa.string())]),
            {"1": 1, "2": "x"},
        ),
        ("map('k', [toIPv6('::1')])", pa.map_(pa.string(), pa.list_(pa.binary(16))), [("k", [bytes(15) + b"\x01"])]),
    ],
)
def test_types_beside_the_schemas(engine: Any, expression: str, kind: pa.DataType, value: Any) -> None:
    types, columns = decode(bytes(engine.query(f"SELECT {expression} AS x", "Native").bytes()))
    found = to_arrow(types, columns)
    assert found.schema.field("x").type == kind
    assert found.column("x").to_pylist() == [value]


def test_an_empty_answer_keeps_its_types() -> None:
    found = to_arrow([("t", "DateTime64(6, 'UTC')"), ("n", "LowCardinality(String)"), ("d", "DateTime")], [], True)
    assert found.schema.types == [
        pa.timestamp("us", "UTC"), pa.dictionary(pa.int32(), pa.string()), pa.timestamp("s", "UTC"),
    ]  # fmt: skip
