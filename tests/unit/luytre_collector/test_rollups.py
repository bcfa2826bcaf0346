"""Sums are exact: after crashes at every statement, after late arrivals, and day by day."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pytest
from luytre_collector.columns import arrow_type
from luytre_collector.rollups import Config, Rollups
from luytre_collector.store import derived, embedded, readonly, sql
from luytre_collector.store.base import StoreUnavailableError
from luytre_common.schema import TABLES, Kind
from luytre_common.telemetry import Counters

from tests.contract.rows import make

DAY_S = 86_400
#: Noon of some day within what the tables keep.
NOON = (int(time.time()) // DAY_S - 20) * DAY_S + DAY_S // 2


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.EmbeddedStore]:
    store = embedded.EmbeddedStore(embedded.Config(tmp_path_factory.mktemp("store")), readonly.Config())
    store.open()
    store.migrate()
    yield store
    store.close()


@pytest.fixture
def store(engine: embedded.EmbeddedStore) -> embedded.EmbeddedStore:
    for name in (*TABLES, *dict(derived.tables())):
        engine.command(f"TRUNCATE TABLE {sql.DATABASE}.{name}")
    return engine


class Dying:
    """A store that is gone with its `at`th statement: before the statement is run, or just after."""

    def __init__(self, store: embedded.EmbeddedStore, at: int, after: bool) -> None:
        self.store, self.left, self.after = store, at, after
        self.statements = 0

    def command(self, statement: str) -> None:
        self.left -= 1
        self.statements += 1
        if self.left == 0 and not self.after:
            raise StoreUnavailableError("gone")
        self.store.command(statement)
        if self.left == 0:
            raise StoreUnavailableError("gone")

    def query(self, sql_text: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        return self.store.query(sql_text, parameters)


def insert(store: embedded.EmbeddedStore, arrived: float, count: int = 40, **values: list[Any]) -> None:
    """`count` rows of flows that arrived at `arrived`, and the same of the other sources."""
    for name in ("flows", "dns", "tls", "processes"):
        table = TABLES[name]
        rows = make(table, count, seed=int(arrived), nasty=False)
        when = [int(arrived * 1_000_000)] * count
        for column in ("collector_time", "flow_start", "flow_end", "event_time"):
            if column in rows.column_names:
                rows = _put(rows, column, when)
        for column, given in values.items():
            if column in rows.column_names:
                rows = _put(rows, column, given)
        store.insert(name, rows, f"{name}/{arrived}/{count}")


def _put(rows: pa.Table, name: str, values: list[Any]) -> pa.Table:
    kind = arrow_type(Kind.TIME if "time" in name or name in ("flow_start", "flow_end") else Kind.NAME)
    array: Any = pa.array(values, pa.string()).dictionary_encode() if pa.types.is_dictionary(kind) else pa.array(values)
    at = rows.schema.get_field_index(name)
    return rows.set_column(at, rows.schema.field(at), array.cast(kind))


def rollups(store: Any, now: float, waiting: int | None = None, counters: Counters | None = None) -> Rollups:
    return Rollups(store, Config(), lambda: now, lambda: waiting, counters or Counters("rollups"))


def summed(store: embedded.EmbeddedStore) -> list[dict[str, Any]]:
    """What the sums say, and what the rows say."""
    tables = ("flows_1m", "flows_1h")
    sums = "sum(source_bytes) AS bytes, sum(destination_packets) AS packets"
    found = [f"SELECT sum(rows) AS n, sum(flows) AS ended, {sums} FROM luytre.{name}" for name in tables]
    found.append(f"SELECT count() AS n, countIf(flow_end_reason != 'active') AS ended, {sums} FROM luytre.flows")
    return [store.query(one).to_pylist()[0] for one in found]


def assert_exact(store: embedded.EmbeddedStore, rows: int) -> None:
    by_minute, by_hour, truth = summed(store)
    assert truth["n"] == rows
    assert by_minute == truth
    assert by_hour == truth


def test_each_row_counts_once(store: embedded.EmbeddedStore) -> None:
    counters = Counters("rollups")
    for minute in range(3):
        insert(store, NOON + 60 * minute)
        rollups(store, NOON + 60 * minute + 30, counters=counters).run()
    rollups(store, NOON + 200, counters=counters).run()
    assert_exact(store, 120)
    assert {sample.name for sample in counters.samples()} >= {"windows", "through_s"}
    seen = store.query(
        "SELECT kind, uniqExact(value) AS n FROM luytre_local.first_seen GROUP BY kind ORDER BY kind"
    ).to_pylist()
    truth = store.query(
        "SELECT uniqExact(process_executable) AS n FROM luytre.processes"
        " WHERE event_action IN ('exec', 'seed') AND process_executable != ''"
    ).to_pylist()[0]["n"]
    assert {row["kind"]: row["n"] for row in seen}.get("executable", 0) == truth
    assert {row["kind"] for row in seen} >= {"domain", "server_name"}


def test_what_may_still_be_on_its_way_is_waited_for(store: embedded.EmbeddedStore) -> None:
    insert(store, NOON)
    rollups(store, NOON + 100, waiting=NOON * 1_000_000).run()
    assert summed(store)[0]["n"] == 0
    rollups(store, NOON + 4).run()
    assert summed(store)[0]["n"] == 0
    insert(store, NOON + 1)
    rollups(store, NOON + 100).run()
    assert_exact(store, 80)


def test_how_far_the_sums_are_behind_is_told_also_while_the_store_does_not_answer(
    store: embedded.EmbeddedStore,
) -> None:
    class Away(Dying):
        def query(self, sql_text: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
            if self.left <= 0:
                raise StoreUnavailableError("gone")
            return super().query(sql_text, parameters)

    def lag(now: float) -> tuple[int, int]:
        clock[0] = now
        with contextlib.suppress(StoreUnavailableError):
            one.run()
        return counters.get("lag_s", "flows_1m"), counters.get("through_s", "flows_1m") - NOON

    counters, clock, away = Counters("rollups"), [0.0], Away(store, 1000, after=False)
    one = Rollups(away, Config(), lambda: clock[0], lambda: waiting, counters)
    waiting: int | None = None
    insert(store, NOON)
    assert lag(NOON + 30) == (5, 25)  # settle_s
    waiting = (NOON + 40) * 1_000_000
    assert lag(NOON + 100) == (60, 40)
    away.left = 0
    assert lag(NOON + 400) == (360, 40)
    waiting, away.left = None, 1000
    assert lag(NOON + 460) == (5, 455)


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_statement_changes_nothing(store: embedded.EmbeddedStore, after: bool) -> None:
    insert(store, NOON - DAY_S)
    insert(store, NOON)
    counters = Counters("rollups")
    crashes = 0
    for at in range(1, 200):
        dying = Dying(store, at % 5 + 1, after)
        try:
            rollups(dying, NOON + 60, counters=counters).run()
        except StoreUnavailableError:
            crashes += 1
            continue
        break
    assert crashes > 5
    assert_exact(store, 80)
    assert any(sample.name == "windows_repeated" and sample.value for sample in counters.samples())


def test_a_day_that_differs_is_made_again(store: embedded.EmbeddedStore) -> None:
    counters = Counters("rollups")
    insert(store, NOON)
    one = rollups(store, NOON + 60, counters=counters)
    one.run()
    insert(store, NOON - 3600, count=7)  # kept by another collector: it reaches the store after its window
    assert summed(store)[0]["n"] == 40
    one.run()
    assert summed(store)[0]["n"] == 40
    rollups(store, NOON + DAY_S, counters=counters).run()
    assert_exact(store, 47)
    assert {sample.name: sample.value for sample in counters.samples() if sample.label == "flows_1m"}[
        "days_made_again"
    ] == 1


def test_an_empty_store_is_no_work(store: embedded.EmbeddedStore) -> None:
    dying = Dying(store, 0, False)
    rollups(dying, NOON).run()
    assert dying.statements == 0
