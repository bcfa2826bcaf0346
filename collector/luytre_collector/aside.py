"""Table `quarantine`: rows of other tables whose time is not believed (see `clocks`), each once, as everywhere.

They are stored before the rows of the same batches that are believed. When a crash falls between the two, the numbers
say so: of those behind the table's last one, not all are here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from luytre_common.schema import Table
from luytre_common.telemetry import Counters

from luytre_collector import clocks
from luytre_collector.store.base import Numbering, Store

_NAME = clocks.TABLE.name


class Aside:
    """Driven by the pipeline's thread. Every method may raise StoreUnavailableError, and is then called again."""

    def __init__(self, store: Store, counters: Counters) -> None:
        self._store = store
        self._counters = counters
        self._any: bool | None = None

    def put(self, table: Table, found: clocks.Split, numberings: Iterable[Numbering], token: str) -> None:
        """Store the rows that are not believed, but for those that are there since before a crash."""
        rows = clocks.quarantine_rows(table, found)
        here = self._store.last_sequences(_NAME, [_here(table.name, one) for one in numberings])
        for numbering, last in here.items():
            rows = rows.filter(_after(rows, numbering, last))
        if rows.num_rows:
            self._any = True
            self._store.insert(_NAME, rows, token)
            reasons: Any = pc.value_counts(rows.column("quarantine_reason").cast(pa.string()))
            for one in reasons.to_pylist():
                self._counters.add("rows_quarantined", one["counts"], f"{table.name}/{one['values']}")

    def last_stored(self, table: str, numberings: Sequence[Numbering]) -> Mapping[Numbering, int]:
        """The last number that is stored of each numbering, in the table or, behind that, here; none if none is."""
        found = dict(self._store.last_sequences(table, numberings))
        if not self._has_any():
            return found
        here = self._store.last_sequences(_NAME, [_here(table, one) for one in numberings])
        for one in numberings:
            last, most = found.get(one, -1), here.get(_here(table, one), -1)
            if most > last and self._between(_here(table, one), last) == most - last:
                found[one] = most  # else between them are rows of the table that are not stored yet
        return found

    def _between(self, numbering: Numbering, last: int) -> int:
        """How many rows of a numbering here come after `last`."""
        agent_id, boot_id, stream = numbering
        found = self._store.query(
            f"SELECT count() AS rows FROM {_NAME} WHERE agent_id = {{agent:String}} AND boot_id = {{boot:String}}"
            " AND stream = {stream:String} AND toInt64(sequence) > {last:Int64}",
            {"agent": agent_id, "boot": boot_id, "stream": stream, "last": last},
        )
        return int(found.column("rows")[0].as_py())

    def _has_any(self) -> bool:
        """Mostly there is nothing here, and then a question for each new numbering is saved."""
        if self._any is None:
            found = self._store.query(f"SELECT count() AS rows FROM {_NAME}")
            self._any = bool(found.column("rows")[0].as_py())
        return self._any


def _here(table: str, numbering: Numbering) -> Numbering:
    """What a numbering of another table is called here."""
    agent_id, boot_id, stream = numbering
    return agent_id, boot_id, clocks.stream_of(table, stream)


def _after(rows: pa.Table, numbering: Numbering, last: int) -> Any:
    """Which rows are of another numbering, or come after its `last`."""
    sequences: Any = rows.column("sequence")
    mask: Any = pc.greater(sequences, pa.scalar(last, pa.uint64()))
    for name, value in zip(("agent_id", "boot_id", "stream"), numbering, strict=True):
        others: Any = rows.column(name).cast(pa.string())
        mask = pc.or_(mask, pc.not_equal(others, pa.scalar(value)))
    return mask
