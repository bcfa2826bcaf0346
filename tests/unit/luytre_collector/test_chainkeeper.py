"""Links and gaps in the tables of a real store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from luytre_collector import chainkeeper
from luytre_collector.alert_rows import alert_rows
from luytre_collector.chainkeeper import ChainKeeper, Config, stored_link, uncovered
from luytre_collector.columns import arrow_type, stored_schema
from luytre_collector.detect.alert import Alert
from luytre_collector.ingest.chain import Chains, Gap
from luytre_collector.ingest.dedupe import Dedupe
from luytre_collector.store import embedded, readonly
from luytre_collector.store.base import StoreUnavailableError
from luytre_common.schema import TABLES
from luytre_common.telemetry import Counters
from luytre_common.wire.v1 import ingest_pb2 as pb

from tests.support.batches import BOOT, NOW_US, admitted
from tests.support.chained import Chained

SECOND = 1_000_000
NUMBERING = ("web-01", BOOT, "flows")


@pytest.mark.parametrize(
    ("explained", "missing"),
    [
        ([], 10),
        ([(10, 19)], 0),
        ([(0, 100)], 0),
        ([(10, 14)], 5),
        ([(15, 30)], 5),
        ([(12, 13), (11, 12), (30, 40), (0, 3)], 7),
        ([(10, 14), (15, 19)], 0),
        ([(15, 19), (10, 15)], 0),
        ([(19, 19), (10, 10)], 8),
    ],
)
def test_numbers_that_no_range_has(explained: list[tuple[int, int]], missing: int) -> None:
    assert uncovered(10, 19, explained) == missing


@given(st.integers(0, 30), st.integers(0, 30), st.lists(st.tuples(st.integers(0, 40), st.integers(0, 8)), max_size=8))
def test_numbers_that_no_range_has_however_they_lie(first: int, length: int, ranges: list[tuple[int, int]]) -> None:
    given_ = [(begin, begin + size) for begin, size in ranges]
    covered = {number for begin, end in given_ for number in range(begin, end + 1)}
    assert uncovered(first, first + length, given_) == len(set(range(first, first + length + 1)) - covered)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[embedded.EmbeddedStore]:
    one = embedded.EmbeddedStore(embedded.Config(directory=tmp_path / "store"), readonly.Config())
    one.open()
    one.migrate()
    yield one
    one.close()


class Away:
    """A store that can be away."""

    def __init__(self, store: embedded.EmbeddedStore) -> None:
        self.store, self.is_away = store, False

    def query(self, sql: str, parameters: Any = None) -> pa.Table:
        return self.store.query(sql, parameters)

    def command(self, statement: str) -> None:
        if self.is_away:
            raise StoreUnavailableError("away")
        self.store.command(statement)


class Kept:
    """A collector's chains with their keeper."""

    def __init__(self, store: embedded.EmbeddedStore, rows: int = -1) -> None:
        self.store = Away(store)
        self.counters = Counters("chain")
        self.chains = Chains(lambda numbering: stored_link(self.store, numbering), self.counters)
        self.dedupe = Dedupe(lambda _table, asked: dict.fromkeys(asked, rows), Counters("pipeline"))
        self.now_us = NOW_US
        self.caught_up_us = 0
        self.alerts: list[Alert] = []
        self.keeper = ChainKeeper(
            self.chains, self.store, Config(patience_s=60), lambda _, us: self.caught_up_us > us, self._raise,
            self.counters, lambda: self.now_us / SECOND,
        )  # fmt: skip

    def _raise(self, given: Sequence[Alert]) -> None:
        self.store.store.insert("alerts", alert_rows(given), given[0].alert_id)
        self.alerts.extend(given)

    def take(self, *batches: pb.Batch) -> None:
        for one in batches:
            batch = admitted(one, now_us=self.now_us)
            assert self.chains.check(batch, self.dedupe.judge(batch)) is None

    def run(self, after_s: float = 10) -> None:
        self.now_us += int(after_s * SECOND)
        self.keeper.run()

    def gaps(self) -> list[tuple[int, int, str, str]]:
        rows = self.store.query(
            "SELECT toInt64(first_sequence) AS first, toInt64(last_sequence) AS last, state, cause"
            " FROM luytre.gaps FINAL ORDER BY first"
        ).to_pylist()
        return [(row["first"], row["last"], row["state"], row["cause"]) for row in rows]


def insert(store: embedded.EmbeddedStore, name: str, first: int, rows: Sequence[dict[str, Any]]) -> None:
    table = TABLES[name]
    common = {
        "event_time": NOW_US, "flow_start": NOW_US, "flow_end": NOW_US, "agent_id": "web-01", "boot_id": BOOT,
        "stream": name, "agent_time": NOW_US, "collector_time": NOW_US,
    }  # fmt: skip
    arrays = []
    for column in table.stored_columns:
        zero: Any = {"u8": 0, "u16": 0, "u32": 0, "u64": 0, "i32": 0, "time": 0, "ip": bytes(16), "text": "",
                     "name": "", "texts": [], "u32s": []}[column.kind.value]  # fmt: skip
        cells = [{**common, "sequence": first + at, **row}.get(column.name, zero) for at, row in enumerate(rows)]
        arrays.append(pa.array(cells, arrow_type(column.kind)))
    store.insert(name, pa.Table.from_arrays(arrays, schema=stored_schema(table)), f"{name}{first}")


def explain(store: embedded.EmbeddedStore, first: int, last: int, cause: str, number: int = 0) -> None:
    insert(store, "ledger", number, [{
        "ledger_entry": "gap", "ledger_cause": cause, "ledger_boot_id": BOOT, "ledger_stream": "flows",
        "ledger_count": last + 1 - first, "ledger_first_sequence": first, "ledger_last_sequence": last,
    }])  # fmt: skip


def test_the_next_collector_goes_on_where_this_one_was(store: embedded.EmbeddedStore) -> None:
    made = Chained()
    first = Kept(store)
    first.take(*made.batches(3))
    first.run()
    assert first.counters.get("links_saved") == 1
    first.run()
    assert first.counters.get("links_saved") == 1
    assert stored_link(first.store, NUMBERING) == (8, made.link)
    assert stored_link(first.store, ("web-02", BOOT, "flows")) is None
    first.take(*made.batches(2))
    first.run()
    second = Kept(store, rows=14)
    second.take(*made.batches(2))  # before it has recalled anything: it asks
    assert second.counters.get("batches_verified", "flows") == 2
    third = Kept(store, rows=20)
    third.run()
    second.run()
    assert third.counters.get("batches_unverified", "flows") == 0
    assert stored_link(third.store, NUMBERING) == (20, made.link)


def test_what_could_not_be_written_is_written_later(store: embedded.EmbeddedStore) -> None:
    one, made = Kept(store), Chained()
    batches = made.batches(3)
    one.take(batches[0], batches[2])
    one.store.is_away = True
    with pytest.raises(StoreUnavailableError):
        one.run()
    one.store.is_away = False
    one.run()
    assert stored_link(one.store, NUMBERING) == (8, made.link)
    assert one.gaps() == [(3, 5, "open", "")]


def test_many_links_at_a_time(store: embedded.EmbeddedStore) -> None:
    one = Kept(store)
    for number in range(1203):
        one.take(Chained(boot=f"00000000-0000-4000-8000-{number:012d}").batch())
    one.run()
    assert one.counters.get("links_saved") == 1203
    assert one.store.query("SELECT count() AS n FROM luytre.chains FINAL").to_pylist() == [{"n": 1203}]


def with_gap(store: embedded.EmbeddedStore) -> Kept:
    """Rows 3 to 8 are missing."""
    one, made = Kept(store), Chained()
    batches = made.batches(4)
    one.take(batches[0], batches[3])
    one.run()
    assert one.gaps() == [(3, 8, "open", "")]
    assert one.counters.get("gaps_open") == 1
    return one


def test_a_gap_that_the_ledger_explains(store: embedded.EmbeddedStore) -> None:
    one = with_gap(store)
    explain(store, 3, 5, "quota")
    one.run()
    assert one.gaps()[0][2] == "open"
    explain(store, 6, 8, "quota", number=1)
    one.run()
    assert one.gaps() == [(3, 8, "explained", "quota")]
    assert one.counters.get("gaps_explained", "quota") == 1
    assert one.counters.get("gaps_open") == 0
    assert one.alerts == []


def test_words_of_an_agent_are_no_labels(store: embedded.EmbeddedStore) -> None:
    one = with_gap(store)
    for at in range(3, 9):
        explain(store, at, at, f"made up {at}", number=at)
    one.run()
    assert one.gaps() == [(3, 8, "explained", "other")]
    assert one.counters.get("gaps_explained", "other") == 1


def test_an_agent_with_many_gaps_does_not_keep_those_of_others_from_being_told(
    store: embedded.EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chainkeeper, "_AT_ONCE", 8)
    monkeypatch.setattr(chainkeeper, "_OF_ONE_AGENT", 4)
    one = Kept(store)
    many = [Gap(NUMBERING, "flows", "web-01", 10 * at, 10 * at + 5, NOW_US) for at in range(20)]
    late = Gap(("web-02", BOOT, "flows"), "flows", "web-02", 0, 5, NOW_US + SECOND)
    one.chains.give_back([], [*many, late])
    one.caught_up_us = NOW_US + 3600 * SECOND
    one.run()
    assert {alert.agent_id for alert in one.alerts} == {"web-01", "web-02"}
    states = [state for *_, state, _ in one.gaps()]
    assert states.count("unexplained") == 5
    for _ in range(4):
        one.run(100)
    assert {state for *_, state, _ in one.gaps()} == {"unexplained"}


def test_a_gap_that_nobody_explains_is_an_alert_once_the_agent_has_caught_up(store: embedded.EmbeddedStore) -> None:
    one = with_gap(store)
    one.run(3600)
    assert one.alerts == []  # much waits in its spool, and the explanation may be behind it
    one.caught_up_us = NOW_US + 61 * SECOND
    one.run()
    (alert,) = one.alerts
    assert (alert.rule_name, alert.rule_level) == ("Rows of an Agent Missing Without Explanation", "high")
    assert alert.evidence["rows"] == 6
    assert (alert.evidence["first_sequence"], alert.evidence["last_sequence"]) == (3, 8)
    assert one.gaps() == [(3, 8, "unexplained", "")]
    assert one.counters.get("gaps_unexplained") == 1
    one.run()
    assert len(one.alerts) == 1


def test_an_agent_that_is_never_heard_again_has_a_day(store: embedded.EmbeddedStore) -> None:
    one = with_gap(store)
    one.run(86_401)
    assert [alert.rule_name for alert in one.alerts] == ["Rows of an Agent Missing Without Explanation"]


def test_an_explanation_that_covers_not_all(store: embedded.EmbeddedStore) -> None:
    one = with_gap(store)
    explain(store, 5, 30, "disk")
    one.caught_up_us = NOW_US + 61 * SECOND
    one.run()
    assert one.alerts[0].evidence["rows"] == 2
    assert one.gaps() == [(3, 8, "unexplained", "disk")]


def test_a_damaged_spool_is_an_explanation_and_an_alert(store: embedded.EmbeddedStore) -> None:
    one = with_gap(store)
    explain(store, 3, 8, "corrupt")
    one.run()
    (alert,) = one.alerts
    assert (alert.rule_name, alert.rule_level) == ("Rows of an Agent Lost to a Damaged Spool", "medium")
    assert one.gaps() == [(3, 8, "explained", "corrupt")]


def test_rows_that_came_by_way_of_another_collector(store: embedded.EmbeddedStore) -> None:
    one = with_gap(store)
    insert(store, "flows", 3, [{}] * 6)
    one.run()
    assert one.gaps() == [(3, 8, "late", "")]
    assert one.counters.get("gaps_late") == 1
    assert one.alerts == []


def test_two_collectors_tell_of_a_gap_once(store: embedded.EmbeddedStore) -> None:
    one, other = with_gap(store), Kept(store)
    for each in (one, other):
        each.caught_up_us = NOW_US + 100 * SECOND
    one.run()
    one.chains.give_back([], [Gap(NUMBERING, "flows", "web-01.hue.example", 3, 8, NOW_US)])  # and again
    one.run(100)
    other.run(1000)
    assert len({alert.alert_id for alert in (*one.alerts, *other.alerts)}) == 1


def test_an_agent_that_leaves_many_rows_out_is_told_of_once_an_hour(store: embedded.EmbeddedStore) -> None:
    one, made = Kept(store), Chained()
    one.take(*made.batches(60)[::2])
    one.caught_up_us = NOW_US + 61 * SECOND
    one.run()
    assert len(one.gaps()) == 29
    assert {state for _, _, state, _ in one.gaps()} == {"unexplained"}
    assert len(one.alerts) == 1
    assert one.counters.get("gap_alerts_left_out") == 28
    one.take(*made.batches(2)[1:])
    one.caught_up_us = one.now_us + 3700 * SECOND
    one.run(3600)
    assert len(one.alerts) == 2
    one.now_us -= 86_400 * SECOND  # our clock was set back
    one.take(*made.batches(2)[1:])
    one.run()
    assert len(one.alerts) == 3
