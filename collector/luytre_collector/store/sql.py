"""The statements that every store sends, and how values travel in them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
from luytre_common.schema import Table

from luytre_collector.store import ddl
from luytre_collector.store.base import Numbering
from luytre_collector.store.rows import MAX_ROWS

#: Database of the tables, times in UTC.
DATABASE = "luytre"

#: Database of views on the tables, times in the zone of the configuration.
LOCAL_DATABASE = "luytre_local"

#: Database of the replicated tables behind them, on a cluster only: see `store.cluster`.
SHARD_DATABASE = "luytre_shard"

#: One insert becomes one block, hence one part: it is there whole or not at all.
INSERT_SETTINGS: Mapping[str, int] = {
    "async_insert": 0,
    "insert_deduplicate": 1,
    "max_block_size": 1 << 20,
    "max_insert_block_size": 1 << 20,
    "min_insert_block_size_rows": 1 << 20,
    "min_insert_block_size_bytes": 0,
    "max_insert_threads": 1,
}

#: Numberings that are asked about in one statement: some 150 bytes each.
MAX_NUMBERINGS = 1000

assert MAX_ROWS <= 1 << 20, "an insert must fit into one block"


def column_list(table: Table) -> str:
    """The stored columns as an INSERT names them."""
    return ", ".join(ddl.name(column.name) for column in table.stored_columns)


def settings_clause(values: Mapping[str, int | str]) -> str:
    """What follows SET or SETTINGS."""
    return ", ".join(f"{key} = {value if isinstance(value, int) else ddl.text(value)}" for key, value in values.items())


def last_sequences(table: Table, numberings: Sequence[Numbering]) -> Iterator[str]:
    """The largest sequence of each numbering that has one, in a form that the projection `last_sequence` answers.

    As many statements as it takes: a server reads no more than 256 KiB of one.
    """
    keys = ", ".join(ddl.NUMBERING)
    for start in range(0, len(numberings), MAX_NUMBERINGS):
        some = ", ".join(f"({', '.join(map(ddl.text, one))})" for one in numberings[start : start + MAX_NUMBERINGS])
        yield (
            f"SELECT {keys}, max(sequence) AS last FROM {DATABASE}.{ddl.name(table.name)}"
            f" WHERE ({keys}) IN ({some}) GROUP BY {keys}"
        )


def found_sequences(rows: pa.Table) -> Iterator[tuple[Numbering, int]]:
    """What such a statement found."""
    columns = [rows.column(name).cast(pa.string()).to_pylist() for name in ddl.NUMBERING]
    yield from zip(zip(*columns, strict=True), rows.column("last").to_pylist(), strict=True)


def parameter(value: Any) -> str:
    """A query parameter as ClickHouse reads it: the text of a value, escaped as in TabSeparated.

    Elements of lists are quoted literals. ValueError for what is not str, int, float, bool or a list of these.
    """
    if isinstance(value, str):
        return value.translate(_ESCAPES)
    if isinstance(value, list | tuple):
        return "[" + ",".join(ddl.text(one) if isinstance(one, str) else parameter(one) for one in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    raise ValueError(f"{type(value).__name__} cannot be a query parameter")


def parameters(values: Mapping[str, Any] | None) -> dict[str, str]:
    """All parameters of a query as text."""
    return {name: parameter(value) for name, value in (values or {}).items()}


_ESCAPES = {ord("\\"): "\\\\", ord("\t"): "\\t", ord("\n"): "\\n", 0: "\\0"}
