"""Rows whose clock cannot be right: they are kept with the reason, rules see them, and numbers still close."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from luytre_collector import clocks
from luytre_collector.clocks import Config, believable
from luytre_collector.detect.alert import Alert
from luytre_collector.enrich.stamp import Stamp, stamp
from luytre_collector.ingest.admit import Refused
from luytre_collector.ingest.quarantine import Config as FolderConfig
from luytre_collector.ingest.quarantine import Quarantine
from luytre_collector.notify.outbox import Config as OutboxConfig
from luytre_collector.notify.outbox import Outbox
from luytre_collector.pipeline import MAX_QUARANTINED, AlertRaiser, Pipeline, StoppingError, Stored
from luytre_collector.store import embedded, readonly
from luytre_collector.store.base import StoreUnavailableError
from luytre_common.schema import TABLES
from luytre_common.telemetry import Counters

from tests.support.alerts import alert
from tests.support.batches import NOW_US, admitted, message, rows

YEAR_US = 366 * 86_400_000_000
DAY_US = 86_400_000_000
CONFIG = Config()


def flows(times: list[int]) -> pa.Table:
    given = pa.Table.from_batches([rows("flows", len(times), {"flow_end": times})])
    return stamp(TABLES["flows"], [(given, Stamp("a", "a.example", "b", "flows", 7, NOW_US, NOW_US))])


@given(st.lists(st.integers(0, 7_258_118_400_000_000), min_size=1, max_size=20))
def test_every_row_is_on_one_side_and_the_reason_is_true(times: list[int]) -> None:
    found = clocks.split(TABLES["flows"], flows(times), CONFIG)
    wrong = [time for time in times if not NOW_US - 5 * YEAR_US <= time <= NOW_US + DAY_US]
    assert clocks.count(pa.array(times, pa.timestamp("us", "UTC")), NOW_US, CONFIG) == len(wrong)
    if found is None:
        assert wrong == []
        return
    assert found.believed.num_rows == len(times) - len(wrong)
    assert found.others.column("flow_end").cast(pa.int64()).to_pylist() == wrong
    assert found.reasons.to_pylist() == ["ahead" if time > NOW_US else "behind" for time in wrong]


def test_a_row_is_kept_unchanged() -> None:
    found = clocks.split(TABLES["flows"], flows([NOW_US, NOW_US + 10 * YEAR_US]), CONFIG)
    assert found is not None
    (row,) = clocks.quarantine_rows(TABLES["flows"], found).to_pylist()
    assert row["sequence"] == 8
    assert (row["quarantine_table"], row["quarantine_reason"], row["stream"]) == ("flows", "ahead", "flows/flows")
    kept = json.loads(row["quarantine_row"])
    assert kept["flow_end"] == "2036-11-30T02:13:20.000000Z"
    (original,) = found.others.to_pylist()
    assert (kept["source_ip"], kept["flow_id"]) == ("10.0.0.2", original["flow_id"])
    assert kept["server_name" if "server_name" in kept else "connection_state"] == original["connection_state"]
    assert "agent_id" not in kept


def test_an_alert_is_told_at_a_time_that_can_be_believed() -> None:
    good = alert(1)
    assert believable(good, CONFIG) is good
    for off in (11 * YEAR_US, -11 * YEAR_US):
        told = believable(replace(good, event_time=NOW_US + off), CONFIG)
        assert (told.event_time, told.alert_id) == (good.alert_created, good.alert_id)
        year = datetime.fromtimestamp((NOW_US + off) / 1e6, UTC).year
        assert told.evidence["event_time_stated"].startswith(str(year))


class Everything:
    """A rule that matches every row."""

    def scan(self, table: str, given: pa.Table) -> list[Alert]:
        times = given.column(TABLES[table].event_time).cast(pa.int64()).to_pylist()
        return [alert(at, event_time=time, alert_created=NOW_US) for at, time in enumerate(times)]


class Bench:
    """A pipeline on the engine, from which inserts can be kept."""

    def __init__(self, store: embedded.EmbeddedStore, folder: Path, boot: str) -> None:
        self.store, self.boot, self.folder = store, boot, folder
        self.away: set[str] = set()
        self.counters = Counters("pipeline")
        self.outbox = Outbox(OutboxConfig(folder / "outbox"), [], Counters("outbox"), lambda: 0.5)
        self.outbox.open()

    def fresh(self) -> Pipeline:
        """As after a start."""
        here: Any = self
        return Pipeline(
            here, Everything(), {}, AlertRaiser(here, self.outbox, self.counters),
            Quarantine(FolderConfig(self.folder / "q"), Counters("quarantine"), lambda: 1.0), self.counters,
            lambda failures: False,
        )  # fmt: skip

    def insert(self, table: str, given: pa.Table, token: str) -> None:
        if table in self.away:
            raise StoreUnavailableError("away")
        self.store.insert(table, given, token)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def batch(self, first: int, times: list[int]) -> Any:
        record = rows("flows", len(times), {"flow_end": times}, first)
        return admitted(message("flows", len(times), first, record=record, boot=self.boot))

    def numbers(self, table: str) -> list[int]:
        found = self.store.query(f"SELECT sequence FROM luytre.{table} WHERE boot_id = '{self.boot}' ORDER BY sequence")
        return [int(row["sequence"]) for row in found.to_pylist()]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.EmbeddedStore]:
    one = embedded.EmbeddedStore(embedded.Config(tmp_path_factory.mktemp("store") / "store"), readonly.Config())
    one.open()
    one.migrate()
    yield one
    one.close()


_boots = iter(range(100))


@pytest.fixture
def bench(engine: embedded.EmbeddedStore, tmp_path: Path) -> Iterator[Bench]:
    engine.command("TRUNCATE TABLE luytre.alerts")
    made = Bench(engine, tmp_path, f"00000000-0000-4000-9000-{next(_boots):012d}")
    yield made
    made.outbox.close(0)


GOOD, AHEAD, BEHIND = NOW_US, NOW_US + 10 * YEAR_US, NOW_US - 10 * YEAR_US


def test_rows_go_aside_and_rules_see_them(bench: Bench) -> None:
    batch = bench.batch(0, [GOOD, AHEAD, GOOD, BEHIND, BEHIND])
    assert bench.fresh().process([batch]) == [Stored()]
    assert (bench.numbers("flows"), bench.numbers("quarantine")) == ([0, 2], [1, 3, 4])
    assert bench.counters.get("rows_quarantined", "flows/ahead") == 1
    assert bench.counters.get("rows_quarantined", "flows/behind") == 2
    assert bench.counters.get("rows_stored", "flows") == 2
    assert bench.counters.get("alert_times_moved") == 3
    (found,) = bench.store.query(
        "SELECT count() AS n, min(event_time) = max(event_time) AS same FROM alerts"
    ).to_pylist()
    assert found == {"n": 5, "same": 1}


@pytest.mark.parametrize("away", ["quarantine", "flows"])
@pytest.mark.parametrize(
    "times",
    [[AHEAD, GOOD, AHEAD], [GOOD, AHEAD, AHEAD], [AHEAD, AHEAD], [AHEAD, GOOD], [BEHIND, GOOD, AHEAD, GOOD, AHEAD]],
)
def test_a_crash_anywhere_leaves_every_number_once(bench: Bench, away: str, times: list[int]) -> None:
    earlier, batch = bench.batch(0, [GOOD, AHEAD]), bench.batch(2, times)
    assert bench.fresh().process([earlier]) == [Stored()]
    bench.away = {away}
    try:
        bench.fresh().process([batch])
    except StoppingError:
        bench.away = set()
    bench.away = set()
    after = 2 + len(times)
    pipeline = bench.fresh()
    assert pipeline.process([earlier, batch]) == [Stored()] * 2
    assert bench.fresh().process([batch, bench.batch(after, [GOOD])]) == [Stored()] * 2
    assert sorted(bench.numbers("flows") + bench.numbers("quarantine")) == list(range(after + 1))
    assert bench.counters.get("sequence_gap", "flows") == 0


def test_a_thousand_months_are_no_thousand_partitions(bench: Bench) -> None:
    months = [number * 30 * DAY_US for number in range(2500)]
    assert bench.fresh().process([bench.batch(0, months)]) == [Stored()]
    found = bench.store.query(
        "SELECT table, uniqExact(partition) AS n FROM system.parts WHERE database = 'luytre' AND active GROUP BY table"
    )
    partitions = {row["table"]: row["n"] for row in found.to_pylist()}
    assert partitions["alerts"] < 70
    assert partitions["flows"] == partitions["quarantine"] == 1
    assert sorted(bench.numbers("flows") + bench.numbers("quarantine")) == list(range(2500))


def test_more_than_can_be_written_out_are_refused(bench: Bench) -> None:
    count = MAX_QUARANTINED + 1
    record = rows("agent_health", count, {"event_time": [AHEAD] * count})
    (verdict,) = bench.fresh().process([admitted(message("agent_health", count, record=record, boot=bench.boot))])
    assert isinstance(verdict, Refused)
    assert f"{count} rows whose time is years off" in verdict.message
    assert bench.counters.get("refused", "bad_body") == 1


def test_a_million_names_in_one_insert_take_bounded_memory(bench: Bench) -> None:
    """As many different values as five of the largest batches can hold in a column that is made for few."""

    def batch(number: int) -> Any:
        names = [f"{bench.boot}/{number}/{value}" for value in range(200_000)]
        one = pa.array([""] * 200_000).dictionary_encode()
        zero = pa.array([0] * 200_000, pa.uint64())
        times = pa.array([AHEAD - 10 * YEAR_US] * 200_000, pa.timestamp("us", "UTC"))
        arrays: list[Any] = [times, one, pa.array(names).dictionary_encode(), one, zero]
        record = pa.RecordBatch.from_arrays(arrays, ["event_time", "component", "counter", "label", "value"])
        return admitted(message("agent_health", 200_000, number * 200_000, record=record, boot=bench.boot))

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    folder = Quarantine(FolderConfig(bench.folder / "q"), Counters("quarantine"), lambda: 1.0)
    quiet = Pipeline(bench.store, Nothing(), {}, lambda alerts: None, folder, bench.counters, lambda _: False)
    assert quiet.process([batch(number) for number in range(5)]) == [Stored()] * 5
    (found,) = bench.store.query(
        f"SELECT count() AS n, uniqExact(counter) AS d FROM agent_health WHERE boot_id = '{bench.boot}'"
    ).to_pylist()
    assert found == {"n": 1_000_000, "d": 1_000_000}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_500_000  # KiB


class Nothing:
    """Rules that match nothing."""

    def scan(self, table: str, given: pa.Table) -> list[Alert]:
        return []


def test_nul_is_kept_and_what_is_no_utf8_is_refused(bench: Bench) -> None:
    quiet = bench.fresh()
    text = pa.array(["a\0b", "tre"])
    broken = pa.Array.from_buffers(pa.string(), 2, [None, text.buffers()[1], pa.py_buffer(b"\xff\xfe\xfdtre")])
    for first, values, stored in ((0, text, True), (2, broken, False)):
        record = rows("processes", 2, first=first)
        at = record.schema.names.index("process_command_line")
        record = record.set_column(at, "process_command_line", values)
        (verdict,) = quiet.process([admitted(message("processes", 2, first, record=record, boot=bench.boot))])
        assert (verdict == Stored()) is stored
    found = bench.store.query(f"SELECT process_command_line AS c FROM processes WHERE boot_id = '{bench.boot}'")
    assert sorted(row["c"] for row in found.to_pylist()) == ["a\0b", "tre"]
    assert bench.counters.get("refused", "bad_body") == 1
