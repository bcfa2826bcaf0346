"""Rows for a store, made of the few values that matter; whatever is not given is zero."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa
from luytre_collector.columns import arrow_type, stored_schema, zeros
from luytre_common.schema import STORED_TABLES, Kind


class Inserts(Protocol):
    """A store."""

    def insert(self, table: str, rows: pa.Table, token: str) -> None: ...


def insert(store: Inserts, table: str, rows: Sequence[Mapping[str, Any]], now_us: int, token: str = "") -> None:
    """Insert rows that happened and arrived at `now_us`, from agent a, unless they say otherwise."""
    common = {"agent_id": "a", "host_name": "a.example", "collector_time": now_us, "agent_time": now_us}
    given = [{STORED_TABLES[table].event_time: now_us, "sequence": at, **common, **row} for at, row in enumerate(rows)]
    arrays: list[Any] = []
    for column in STORED_TABLES[table].stored_columns:
        if not any(column.name in row for row in given):
            arrays.append(zeros(column.kind, len(given)))
            continue
        zero = zeros(column.kind, 1)[0].as_py()
        values = [_value(column.kind, row.get(column.name, zero)) for row in given]
        if column.kind is Kind.NAME:
            arrays.append(pa.array(values, pa.string()).dictionary_encode())
        else:
            arrays.append(pa.array(values, pa.int64() if column.kind is Kind.TIME else arrow_type(column.kind)))
            if column.kind is Kind.TIME:
                arrays[-1] = arrays[-1].cast(arrow_type(Kind.TIME))
    store.insert(
        table, pa.Table.from_arrays(arrays, schema=stored_schema(STORED_TABLES[table])), token or f"{table}/{rows}"
    )


def _value(kind: Kind, value: Any) -> Any:
    if kind is Kind.IP and isinstance(value, str):
        address = ipaddress.ip_address(value)
        return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed
    if kind is Kind.TIME and not isinstance(value, int):
        return int(value.timestamp() * 1_000_000)
    return value
