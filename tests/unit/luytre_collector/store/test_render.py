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
        '{"time": "2026-11-23 09:00:00.000001", "ip": "::ffff:10.0.0.1", "name": "lũy \\"tre\\"", "n": 1,'
        ' "all": ["a\'b"], "none": null}\n'
        '{"time": "2026-11-23 09:00:00", "ip": "::1", "name": "竹,\\n", "n": 22, "all": [], "none": "x"}\n'
    )


def test_csv() -> None:
    assert render(TABLE.select(["name", "n", "none"]), "CSVWithNames").decode() == (
        '"name","n","none"\n"lũy ""tre""",1,""\n"竹,\n",22,"x"\n'
    )


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
