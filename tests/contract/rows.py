"""Rows for every table: seeded, with the values that break things in every column."""

from __future__ import annotations

import random
import time
from typing import Any

import pyarrow as pa
from luytre_collector.store.rows import schema_of
from luytre_common.schema import Column, Kind, Table

MAPPED = bytes(10) + b"\xff\xff"

NASTY: dict[Kind, list[Any]] = {
    Kind.U8: [0, 1, 2**8 - 1],
    Kind.U16: [0, 1, 2**16 - 1],
    Kind.U32: [0, 1, 2**32 - 1],
    Kind.U64: [0, 1, 2**63, 2**64 - 1],
    Kind.I32: [0, -1, 2**31 - 1, -(2**31)],
    Kind.TIME: [0, 1, 1_795_000_000_123_457, 8_520_335_999_999_999],  # exact until 2242, see store/columns.py
    Kind.IP: [bytes(16), MAPPED + b"\x0a\x01\x00\x07", bytes(15) + b"\x01", b"\xff" * 16, b"\n\t\\'\0\r" + bytes(10)],
    Kind.TEXT: [
        "", "a\0b", "two\nlines\r\n", "tab\there", "\ufffd\ufffd", "lũy tre 竹 🎋", "'; DROP TABLE flows; --", "\\N",
        "\\x41", "{a:String}", "x" * 65536, "\u202egnp.exe", "\x1b[31mred", " ", "NULL",
    ],
    Kind.NAME: ["", "eth0", "a\0b", "\n", "'", "việt", "\\", "n" * 65536],
    Kind.TEXTS: [[], [""], ["a", "b\0", "'", "\\"], ["192.0.2.7"] * 50],
    Kind.U32S: [[], [0], [2**32 - 1, 300], [1] * 50],
}  # fmt: skip


def now_us() -> int:
    """The tables forget what arrived long ago, so rows arrive now."""
    return int(time.time()) * 1_000_000


def make(
    table: Table,
    count: int = 100,
    *,
    seed: int = 1,
    first: int = 0,
    agent: str = "web-01",
    boot: str = "b0",
    nasty: bool = True,
) -> pa.Table:
    """`count` rows numbered from `first`; every nasty value of a kind is in every column of that kind."""
    dice = random.Random(seed)
    fixed: dict[str, list[Any]] = {
        "agent_id": [agent] * count,
        "boot_id": [boot] * count,
        "stream": [table.name] * count,
        "sequence": list(range(first, first + count)),
        "agent_time": [now_us()] * count,
        "collector_time": [now_us()] * count,
        "alert_id": [f"{number:032x}" for number in range(first, first + count)],
    }
    columns = [fixed.get(column.name) or _values(column, count, dice, nasty) for column in table.stored_columns]
    schema = schema_of(table.stored_columns)
    return pa.table([_array(values, field.type) for values, field in zip(columns, schema, strict=True)], schema=schema)


def _values(column: Column, count: int, dice: random.Random, nasty: bool) -> list[Any]:
    known = NASTY[column.kind] if nasty else NASTY[column.kind][:2]
    values = [known[number % len(known)] for number in range(count)]
    dice.shuffle(values)
    return values


def _array(values: list[Any], kind: pa.DataType) -> Any:
    if isinstance(kind, pa.DictionaryType):
        return pa.array(values, kind.value_type).dictionary_encode()
    return pa.array(values, kind)
