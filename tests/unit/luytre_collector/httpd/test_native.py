"""Blocks of Native with a revision, made of every type that a query can give, and read by clickhouse-driver, whose own
code for the wire it is (TCP has what HTTP has, with a revision)."""

from __future__ import annotations

from io import BytesIO
from types import SimpleNamespace

import pytest
from clickhouse_driver.bufferedreader import BufferedReader
from clickhouse_driver.context import Context
from clickhouse_driver.streams.native import BlockInputStream
from luytre_collector.httpd.native import REVISION, revised
from luytre_collector.store.embedded import EmbeddedStore
from luytre_collector.store.guest import AnswerError, Question

from tests.support.endpoint import Endpoint

TYPES = [
    "toUInt8(number)", "toInt256(number)", "toFloat32(number)", "number % 2 = 0", "toString(number)",
    "repeat('x', number)", "toFixedString('abc', 3)", "toDate(number)", "toDateTime(number, 'UTC')",
    "toDateTime64(number, 6, 'UTC')", "toDecimal32(number, 2)", "toDecimal64(number, 2)", "toDecimal128(number, 2)",
    "toDecimal256(number, 2)", "toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')", "toIPv4('10.0.0.1')",
    "toIPv6('::1')", "NULL", "CAST('a, (b)', 'Enum8(\\'a, (b)\\' = 1, \\'c\\' = 2)')", "if(number = 1, NULL, number)",
    "range(number)", "arrayMap(x -> toString(x), range(number))", "[[number], []]", "[NULL, 'x']",
    "(number, 'x', [number])", "CAST((1, 'x'), 'Tuple(a UInt8, b String)')", "map('a', number, 'b', 2)",
    "toLowCardinality('x')", "CAST('x', 'LowCardinality(Nullable(String))')",
    "CAST(if(number = 2, NULL, toString(number)), 'LowCardinality(Nullable(String))')",
    "arrayMap(x -> toLowCardinality(toString(x)), range(number))",
    "map(toLowCardinality(toString(number)), [number])", "(toLowCardinality('x'), [toLowCardinality('y')])",
    "arrayFilter(x -> 0, [toLowCardinality('x')])", "[]", "INTERVAL number DAY",
]  # fmt: skip


def blocks(data: bytes) -> list[tuple[list[tuple[str, str]], list[tuple[object, ...]]]]:
    """As clickhouse-driver reads them with the revision."""

    class Reader(BufferedReader):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(max(1, len(data)))
            self._stream = BytesIO(data)

        def read_into_buffer(self) -> None:
            size = self._stream.readinto(self.buffer)
            self.current_buffer_size = size
            if not size:
                raise EOFError

    context = Context()
    context.server_info = SimpleNamespace(
        used_revision=REVISION, get_timezone=lambda: "UTC", timezone="UTC", version_tuple=lambda: (23, 1, 1)
    )
    context.settings = {}
    context.client_settings = {
        "strings_as_bytes": False, "strings_encoding": "utf-8", "use_numpy": False,
        "input_format_null_as_default": False, "namedtuple_as_json": True, "server_side_params": False,
    }  # fmt: skip
    stream = BlockInputStream(Reader(), context)
    found = []
    while True:
        try:
            block = stream.read()
        except EOFError:
            return found
        found.append((block.columns_with_types, block.get_rows()))


@pytest.mark.parametrize("expression", TYPES)
def test_every_type(store: EmbeddedStore, expression: str) -> None:
    body = store.ask(
        Question(f"SELECT number AS before, {expression} AS x, 'after' AS y FROM numbers(300)", "Native")
    ).body
    found = blocks(revised(body))
    rows = [row for _, block in found for row in block]
    assert [row[0] for row in rows] == list(range(300))
    assert {row[2] for row in rows} == {"after"}
    assert all(names[1][0] == "x" for names, _ in found)


def test_names_that_look_like_types(store: EmbeddedStore) -> None:
    """clickhouse-driver does not know such names; what we add does not depend on where they are."""
    asked = "SELECT CAST((1, 'x'), 'Tuple(`LowCardinality(a, ` UInt8, `)b` String)') AS x, 'end' AS y"
    body = store.ask(Question(asked, "Native")).body
    assert revised(body).endswith(b"String\0\x03end")
    assert len(revised(body)) == len(body) + 8 + 2


def test_several_blocks_and_none(store: EmbeddedStore) -> None:
    body = store.ask(Question("SELECT number, toString(number) AS s FROM numbers(100000)", "Native")).body
    found = blocks(revised(body))
    assert len(found) > 1
    assert sum(len(rows) for _, rows in found) == 100_000
    none = store.ask(Question("SELECT number, [number] FROM numbers(0)", "Native")).body
    assert [rows for _, rows in blocks(revised(none))] in ([], [[]])


def test_the_tables(store: EmbeddedStore) -> None:
    for table in store.ask(Question("SHOW TABLES FROM luytre", "TSV")).body.decode().split():
        if table.startswith(("flows_1", "first_seen")):
            continue  # states of aggregates
        revised(store.ask(Question(f"SELECT * FROM luytre.`{table}`", "Native")).body)


def test_types_that_are_not_understood(store: EmbeddedStore, endpoint: Endpoint) -> None:
    asked = "SELECT uniqState(number) FROM numbers(10)"
    with pytest.raises(AnswerError, match=r"AggregateFunction\(uniq, UInt64\) is not served"):
        revised(store.ask(Question(asked, "Native")).body)
    reply = endpoint.request(asked + " FORMAT Native", client_protocol_version="54460")
    assert (reply.status, reply.code) == (501, 48)


@pytest.mark.parametrize(("given", "with_info"), [("54460", True), ("54405", False), ("0", False), ("x", False)])
def test_only_who_asks_gets_it(endpoint: Endpoint, given: str, with_info: bool) -> None:
    body = endpoint.request("SELECT 1 AS a FORMAT Native", client_protocol_version=given).body
    assert body == (
        b"\x01\x00\x02\xff\xff\xff\xff\x00\x01\x01\x01a\x05UInt8\x00\x01"
        if with_info
        else b"\x01\x01\x01a\x05UInt8\x01"
    )


@pytest.mark.parametrize("cut", range(1, 17))
def test_what_ends_too_early_is_told(cut: int) -> None:
    body = b"\x02\x01\x01a\x06String\x03abc\x01b\x05UInt8\x01"
    with pytest.raises(AnswerError):
        revised(body[:-cut])
