"""The columns that every table ends with: who sent the row, its number, when it was sent and received. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from luytre_common.schema import Maker, Table

from luytre_collector.columns import constant, stored_schema, zeros


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the rows of one batch have in common. Times in microseconds since 1970 UTC; rows are numbered from
    `first_sequence`."""

    agent_id: str
    host_name: str
    boot_id: str
    stream: str
    first_sequence: int
    agent_time_us: int
    collector_time_us: int


def stamp(table: Table, rows: pa.Table, given: Stamp) -> pa.Table:
    """Rows of the agent-made columns to rows of every stored column: the common ones filled in, and those that an
    enricher or the detection makes still zero."""
    count = rows.num_rows
    values = {
        "agent_id": given.agent_id,
        "host_name": given.host_name,
        "boot_id": given.boot_id,
        "stream": given.stream,
        "agent_time": given.agent_time_us,
        "collector_time": given.collector_time_us,
    }
    arrays = []
    for column in table.stored_columns:
        if column.maker is Maker.AGENT:
            arrays.append(rows.column(column.name))
        elif column.name == "sequence":
            arrays.append(pa.chunked_array([_count(given.first_sequence, count)]))
        elif column.name in values:
            arrays.append(pa.chunked_array([constant(column.kind, values[column.name], count)]))
        else:
            arrays.append(pa.chunked_array([zeros(column.kind, count)]))
    return pa.Table.from_arrays(arrays, schema=stored_schema(table))


def _count(first: int, count: int) -> Any:
    """`first`, `first + 1`, ..., without a Python object per row."""
    one: Any = pa.scalar(1, pa.uint64())
    after: Any = pc.cumulative_sum(pa.repeat(one, count), start=pa.scalar(first, pa.uint64()))
    return pc.subtract(after, one)
