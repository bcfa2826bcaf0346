from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import luytre_rules
import pytest
from luytre_collector.alert_rows import alert_rows
from luytre_collector.detect import query
from luytre_collector.detect.examples import replay
from luytre_collector.detect.model import Head, QueryRule, RuleSet
from luytre_collector.detect.query import Scheduler
from luytre_collector.detect.rules import load
from luytre_collector.store.base import StoreError
from luytre_collector.store.embedded import EmbeddedStore
from luytre_common.telemetry import Counters

BEACON = load([luytre_rules.FOLDER]).queries[0]
START_US = (int(time.time()) - 7200) * 1_000_000
HEAD = Head("query-1", "", "Q", "Q", "", "", "low", "test", (), (), Path("q.yml"), 1)
NUMBERS = (
    "SELECT number AS who, {from:DateTime64(6, 'UTC')} AS event_time, 'a' AS word, ['flows/a/b/c/1'] AS evidence_ids"
    " FROM numbers(3) WHERE {from:DateTime64(6, 'UTC')} < {to:DateTime64(6, 'UTC')}"
)


def rule(sql: str = NUMBERS, **changed: Any) -> QueryRule:
    return replace(QueryRule(HEAD, sql, ("who",), 10_000_000, 60_000_000, 3_600_000_000), **changed)


def scheduler(store: EmbeddedStore, one: QueryRule, clock: list[float], counters: Counters | None = None) -> Scheduler:
    return Scheduler(RuleSet(queries=(one,)), store, lambda: clock[0], counters)


def test_every_row_is_an_alert_about_its_group(store: EmbeddedStore) -> None:
    counters = Counters("query_rules")
    alerts = scheduler(store, rule(), [1000.5], counters).run()
    assert [alert.evidence["group"] for alert in alerts] == [{"who": 0}, {"who": 1}, {"who": 2}]
    assert alerts[0].event_time == 940_500_000
    assert alerts[0].evidence["word"] == "a"
    assert alerts[0].evidence_ids == ("flows/a/b/c/1",)
    assert len({alert.alert_id for alert in alerts}) == 3
    assert counters.get("rule_matches", "query-1") == 3


def test_it_runs_on_its_schedule_and_says_a_thing_once(store: EmbeddedStore) -> None:
    clock = [1000.0]
    running = scheduler(store, rule(), clock)
    assert len(running.run()) == 3
    clock[0] = 1009.0
    assert running.run() == [], "not due"
    clock[0] = 1011.0
    assert running.run() == [], "due, and quiet"
    clock[0] = 1000.0 + 3601
    assert len(running.run()) == 3


def test_a_restart_and_a_second_collector_make_no_second_alert(store: EmbeddedStore) -> None:
    now = time.time()
    alerts = scheduler(store, rule(), [now]).run()
    again = scheduler(store, rule(), [now]).run()
    assert [one.alert_id for one in again] == [one.alert_id for one in alerts]
    store.insert("alerts", alert_rows(alerts), "query-alerts")
    assert scheduler(store, rule(), [now + 60]).run() == []


def test_too_many_rows_are_cut_and_counted(store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "MAX_ROWS", 2)
    counters = Counters("query_rules")
    assert len(scheduler(store, rule(), [1000.0], counters).run()) == 2
    assert counters.get("rows_over_limit", "query-1") == 1


def test_a_group_that_the_query_does_not_return_is_counted(store: EmbeddedStore) -> None:
    counters = Counters("query_rules")
    assert scheduler(store, rule(group=("nobody",)), [1000.0], counters).run() == []
    assert counters.get("columns_missing", "query-1") == 1


def test_a_statement_that_the_store_refuses_is_counted(store: EmbeddedStore) -> None:
    counters = Counters("query_rules")
    wrong = rule("SELECT nothing FROM nowhere")
    assert scheduler(store, wrong, [1000.0], counters).run() == []
    assert counters.get("rule_errors", "query-1") == 1
    with pytest.raises(StoreError):
        scheduler(store, wrong, [1000.0]).run(strict=True)


@pytest.mark.parametrize(
    "statement", ["DROP TABLE flows", "INSERT INTO flows SELECT 1", "SELECT 1) ; DROP TABLE flows --"]
)
def test_only_a_select_parses_as_a_subquery(store: EmbeddedStore, statement: str) -> None:
    with pytest.raises(StoreError):
        scheduler(store, rule(statement), [1000.0]).run(strict=True)
    assert store.query("SELECT count() AS rows FROM flows").num_rows == 1


def test_a_beacon_says_how_regular_it_is(store: EmbeddedStore) -> None:
    (alert,) = replay(BEACON, BEACON.examples.match[0], store, START_US)
    assert alert.evidence["group"] == {
        "source_ip": "10.1.0.80",
        "destination_ip": "203.0.113.9",
        "destination_port": 443,
    }
    assert alert.evidence["connections"] == 14
    assert 4.9 < alert.evidence["interval_s"] < 5.2
    assert alert.threat_technique_id == ("T1071.001", "T1573")
