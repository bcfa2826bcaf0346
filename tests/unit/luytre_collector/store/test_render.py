"""Answers as text."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from luytre_collector.store.base import QueryRefusedError
from luytre_collector.store.render import render

WHEN = datetime(2026, 11, 23, 2, 0, 0, 1, UTC)
TABLE = pa.table(
    {
        "time": pa.array([WHEN, WHEN.replace(microsecond=0)], pa.timestamp("us", "Asia/Ho_Chi_Minh")),
        "ip": pa.array([bytes(10) + b"\xff\xff\x0a\x00\x00\x01", bytes(15) + b"\x01"], pa.binary(16)),
        "name": ['lũy "tre"', "竹,\n"],
        "n": [1, 22],
        "all": [["a'b"], []],
        "none": pa.array([None, "x"]),
    }
)


def test_json() -> None:
    assert render(TABLE, "JSONEachRow").decode() == (
        '{"time":"2026-11-23 09:00:00.000001","ip":"::ffff:10.0.0.1","name":"lũy \\"tre\\"","n":1,'
        '"all":["a\'b"],"none":null}\n'
        '{"time":"2026-11-23 09:00:00.000000","ip":"::1","name":"竹,\\n","n":22,"all":[],"none":"x"}\n'
    )


def test_what_json_has_no_number_for_is_null() -> None:
    numbers = pa.table({"x": [float("nan")], "y": [[float("inf"), 0.5]]})
    assert render(numbers, "JSONEachRow") == b'{"x":null,"y":[null,0.5]}\n'


def test_csv() -> None:
    assert render(TABLE.select(["name", "n", "none", "all"]), "CSVWithNames").decode() == (
        '"name","n","none","all"\n"lũy ""tre""",1,\\N,"[\'a\\\'b\']"\n"竹,\n",22,"x","[]"\n'
    )


def test_pairs_and_maps() -> None:
    pair = pa.array([{"1": 1, "2": "a"}], pa.struct([("1", pa.uint8()), ("2", pa.string())]))
    both = pa.table({"pair": pair, "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.uint8()))})
    assert render(both, "JSONEachRow") == b'{"pair":[1,"a"],"map":{"k":1}}\n'
    assert render(both, "CSVWithNames") == b'"pair","map"\n"(1,\'a\')","{\'k\':1}"\n'


def test_table() -> None:
    shown = render(TABLE.select(["ip", "n"]), "PrettyCompactMonoBlock").decode()
    assert shown == (
        "┌─ip──────────────┬──n─┐\n"
        "│ ::ffff:10.0.0.1 │  1 │\n"
        "│ ::1             │ 22 │\n"
        "└─────────────────┴────┘\n"
    )  # fmt: skip
    assert "竹 " in render(pa.table({"name": ["竹", "abc"]}), "PrettyCompactMonoBlock").decode()


def test_other_forms_are_refused() -> None:
    with pytest.raises(QueryRefusedError, match="Parquet is not available on a server; use JSONEachRow"):
        render(TABLE, "Parquet")
