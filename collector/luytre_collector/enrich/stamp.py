"""The columns that every table ends with: who sent the row, its number, when it was sent and received. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from luytre_common.schema import Kind, Maker, Table

from luytre_collector.columns import constant, numbered, stored_schema, zeros


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the rows of one batch have in common. Times in microseconds since 1970 UTC; rows are numbered from
    `first_sequence`."""

    agent_id: str
    host_name: str
    boot_id: str
    stream: str
    first_sequence: int
    agent_time: int
    collector_time: int


def stamp(table: Table, pieces: Sequence[tuple[pa.Table, Stamp]]) -> pa.Table:
    """Rows of the agent-made columns of some batches to rows of every stored column, in one chunk: the common ones
    filled in, and those that an enricher or the detection makes still zero."""
    together = pa.concat_tables([rows for rows, _ in pieces]).unify_dictionaries().combine_chunks()
    runs = [(given, rows.num_rows) for rows, given in pieces]
    arrays = []
    for column in table.stored_columns:
        if column.maker is Maker.AGENT:
            arrays.append(together.column(column.name))
        elif column.name == "sequence":
            arrays.append(_joined([numbered(given.first_sequence, count) for given, count in runs]))
        elif column.name in _SAID:
            arrays.append(_runs(column.kind, [(getattr(given, column.name), count) for given, count in runs]))
        else:
            arrays.append(pa.chunked_array([zeros(column.kind, together.num_rows)]))
    return pa.Table.from_arrays(arrays, schema=stored_schema(table))


#: Columns that are the same in all rows of a batch, and are called as in `Stamp`.
_SAID = frozenset({"agent_id", "host_name", "boot_id", "stream", "agent_time", "collector_time"})


def _runs(kind: Kind, runs: Sequence[tuple[Any, int]]) -> Any:
    """One value after another, each so many times."""
    if kind is not Kind.NAME:
        return _joined([constant(kind, value, count) for value, count in runs])
    places = {value: at for at, value in enumerate(dict.fromkeys(value for value, _ in runs))}
    indices: Any = [constant(Kind.I32, places[value], count) for value, count in runs]
    return pa.chunked_array([pa.DictionaryArray.from_arrays(pa.concat_arrays(indices), pa.array(places, pa.string()))])


def _joined(arrays: Sequence[Any]) -> Any:
    return pa.chunked_array([arrays[0] if len(arrays) == 1 else pa.concat_arrays(arrays)])
