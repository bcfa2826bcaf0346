"""Counters as rows."""

from typing import Any

import pyarrow as pa
from luytre_collector.columns import stored_schema
from luytre_collector.health import TABLE, HealthWriter
from luytre_common.telemetry import Counters


class Kept:
    def __init__(self) -> None:
        self.inserts: list[tuple[str, pa.Table, str]] = []

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        self.inserts.append((table, rows, token))


def test_one_row_per_counter_numbered_without_gaps() -> None:
    ingest, pipeline, kept = Counters("ingest"), Counters("pipeline"), Kept()
    ingest.add("acks", 3)
    pipeline.add("rows", 7, "flows")
    store: Any = kept
    writer = HealthWriter(store, "c-1", [ingest, pipeline], lambda: 1_795_400_000.0, boot_id="b")
    assert writer.write() == 2
    pipeline.add("rows", 1, "dns")
    assert writer.write() == 3
    (table, first, token), (_, second, other) = kept.inserts
    assert table == TABLE.name
    assert token != other
    assert first.schema == stored_schema(TABLE)
    assert first.select(["component", "counter", "label", "value", "agent_id", "sequence"]).to_pylist() == [
        {"component": "ingest", "counter": "acks", "label": "", "value": 3, "agent_id": "c-1", "sequence": 0},
        {"component": "pipeline", "counter": "rows", "label": "flows", "value": 7, "agent_id": "c-1", "sequence": 1},
    ]  # fmt: skip
    assert second.column("sequence").to_pylist() == [2, 3, 4]


def test_nothing_counted_nothing_written() -> None:
    store: Any = Kept()
    assert HealthWriter(store, "c", [Counters("ingest")], lambda: 1.0).write() == 0
    assert store.inserts == []
