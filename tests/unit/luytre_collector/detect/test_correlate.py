# ruff: noqa: E501
"""Correlations over real tables: once per story, through re-runs, restarts, late rows and a second collector."""

from __future__ import annotations

import itertools
import time
from ipaddress import ip_address
from typing import Any

import luytre_rules
import pytest
from luytre_collector.alert_rows import alert_rows
from luytre_collector.detect import correlate
from luytre_collector.detect.alert import Alert
from luytre_collector.detect.correlate import Config, Correlator, iso
from luytre_collector.detect.leaves import packed
from luytre_collector.detect.logsource import ROUTES
from luytre_collector.detect.model import Base, CorrelationRule, RuleSet
from luytre_collector.detect.rules import load
from luytre_collector.detect.tree import Present
from luytre_collector.store.base import StoreUnavailableError
from luytre_collector.store.embedded import EmbeddedStore
from luytre_common.schema import TABLES
from luytre_common.telemetry import Counters

from tests.support.rule_trees import batch, rule

RULES = load([luytre_rules.FOLDER])
SCAN = RuleSet(correlations=tuple(rule for rule in RULES.correlations if rule.head.title == "TCP Port Scan"))
SCAN_ID = SCAN.correlations[0].head.id
NOW = int(time.time()) - 7200
_tokens = itertools.count()


def scan(
    at_s: float,
    ports: range,
    *,
    every_s: float = 0.1,
    source: str = "10.1.0.7",
    arrives_s: float | None = None,
    **more: Any,
) -> list[dict[str, Any]]:
    return [
        {
            "flow_start": int((at_s + number * every_s) * 1e6), "flow_end": int((at_s + number * every_s) * 1e6),
            "collector_time": int((arrives_s if arrives_s is not None else at_s + number * every_s + 1) * 1e6),
            "source_ip": packed(ip_address(source)), "destination_ip": packed(ip_address("10.1.0.80")),
            "source_port": 40_000 + number % 25_000, "destination_port": port, "network_transport": "tcp", "connection_state": "REJ",
            "sequence": next(_tokens), **more,
        }
        for number, port in enumerate(ports)
    ]  # fmt: skip


def put(store: EmbeddedStore, rows: list[dict[str, Any]]) -> None:
    store.insert("flows", batch("flows", rows), f"flows-{next(_tokens)}")


def keep(store: EmbeddedStore, alerts: list[Alert]) -> None:
    store.insert("alerts", alert_rows(alerts), f"alerts-{next(_tokens)}")


def correlator(store: Any, at_s: float, counters: Counters | None = None, config: Config | None = None) -> Correlator:
    return Correlator(SCAN, store, lambda: at_s, counters, config)


def test_the_alert_of_a_scan(store: EmbeddedStore) -> None:
    put(store, scan(NOW, range(100, 130), host_name="web-01", process_pid=5))
    counters = Counters("correlate")
    (alert,) = correlator(store, NOW + 10, counters).run()
    assert alert.event_time == int((NOW + 1.9) * 1e6), "the twentieth port completes the match"
    assert alert.alert_created == (NOW + 10) * 1_000_000
    assert alert.source_ip == packed(ip_address("10.1.0.7"))
    assert (alert.rule_level, alert.rule_kind, alert.host_name) == ("high", "correlation", "web-01")
    assert "T1046" in alert.threat_technique_id
    assert alert.evidence["group"] == {"source_ip": "10.1.0.7", "destination_ip": "10.1.0.80"}
    assert (alert.evidence["events"], alert.evidence["distinct"]) == (30, 30)
    assert alert.evidence["first"] == iso(NOW * 1_000_000)
    assert len(alert.evidence_ids) == 20
    assert counters.get("rule_matches", SCAN_ID) == 1


@pytest.mark.parametrize("table", sorted({one.table for one in ROUTES}))
def test_rows_of_every_table_that_a_rule_may_name_can_be_counted(table: str, store: EmbeddedStore) -> None:
    described = TABLES[table]
    base = Base(rule(1, table, Present(described.column("agent_id"))), (described.column("host_name"),), ())
    counting = CorrelationRule(base.rule.head, "event_count", (base,), ("host_name",), 60_000_000, ">=", 2)
    times = {described.event_time: NOW * 1_000_000, "collector_time": (NOW + 1) * 1_000_000, "host_name": "web-01"}
    rows = [{**times, "flow_id": number, "source_port": number} for number in (1, 2)]
    store.insert(table, batch(table, rows), f"{table}-{next(_tokens)}")
    (alert,) = Correlator(RuleSet(correlations=(counting,)), store, lambda: NOW + 10).run(strict=True)
    assert alert.evidence["events"] == 2
    assert len(alert.evidence_ids) == 2


def test_runs_restarts_and_a_second_collector_make_one_alert(store: EmbeddedStore) -> None:
    put(store, scan(NOW, range(100, 130)))
    first = correlator(store, NOW + 10)
    alerts = first.run()
    assert first.run() == [], "before the alert is stored"
    (same,) = correlator(store, NOW + 11).run()
    assert same.alert_id == alerts[0].alert_id, "a second collector, at the same time"
    keep(store, alerts)
    assert correlator(store, NOW + 20).run() == [], "after a restart"


def test_a_story_that_goes_on_is_one_alert(store: EmbeddedStore) -> None:
    clock = [float(NOW)]
    running = Correlator(SCAN, store, lambda: clock[0])
    raised = []
    for step in range(8):
        put(store, scan(NOW + step * 30, range(step * 100, step * 100 + 25)))
        clock[0] = NOW + step * 30 + 10
        raised += running.run()
    assert len(raised) == 1


def test_two_scans_with_a_pause_are_two_alerts(store: EmbeddedStore) -> None:
    put(store, scan(NOW, range(100, 130)))
    put(store, scan(NOW + 300, range(100, 130)))
    assert len(correlator(store, NOW + 310).run()) == 2


def test_each_source_is_a_story_of_its_own(store: EmbeddedStore) -> None:
    put(
        store,
        [
            *scan(NOW, range(100, 130)),
            *scan(NOW, range(100, 130), source="fd00::9"),
            *scan(NOW, range(19), source="10.1.0.8"),
        ],
    )
    alerts = correlator(store, NOW + 10).run()
    assert {alert.evidence["group"]["source_ip"] for alert in alerts} == {"10.1.0.7", "fd00::9"}


def test_a_row_that_arrives_late_completes_a_window(store: EmbeddedStore) -> None:
    put(store, scan(NOW, range(100, 119)))
    clock = [NOW + 10.0]
    running = Correlator(SCAN, store, lambda: clock[0])
    assert running.run() == []
    clock[0] = NOW + 900.0
    put(store, scan(NOW + 1, range(500, 501), arrives_s=NOW + 899))
    (alert,) = running.run()
    assert alert.event_time == int((NOW + 1.8) * 1e6)


def test_rows_that_are_too_late_are_counted(store: EmbeddedStore) -> None:
    put(store, scan(NOW, range(100, 130), arrives_s=NOW + 1000))
    counters = Counters("correlate")
    assert correlator(store, NOW + 1001, counters, Config(lateness_s=600.0)).run() == []
    assert counters.get("late_rows", SCAN_ID) == 30


def test_more_groups_than_the_limit_are_counted(store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correlate, "MAX_GROUPS", 2)
    for source in range(3):
        put(store, scan(NOW, range(100, 130), source=f"10.9.0.{source}"))
    counters = Counters("correlate")
    assert len(correlator(store, NOW + 10, counters).run()) == 2
    assert counters.get("groups_over_limit", SCAN_ID) == 1


def test_a_store_that_is_away_is_asked_again(store: EmbeddedStore) -> None:
    put(store, scan(NOW, range(100, 130)))

    class Flaky:
        away = True

        def query(self, sql: str, parameters: Any = None) -> Any:
            if self.away:
                raise StoreUnavailableError("full")
            return store.query(sql, parameters)

    flaky, counters = Flaky(), Counters("correlate")
    running = correlator(flaky, NOW + 10, counters)
    assert running.run() == []
    assert counters.get("rule_errors", SCAN_ID) == 1
    with pytest.raises(StoreUnavailableError):
        running.run(strict=True)
    flaky.away = False
    assert len(running.run()) == 1


def test_evidence_that_could_not_be_read_loses_no_alert(store: EmbeddedStore) -> None:
    for source in range(3):
        put(store, scan(NOW, range(100, 130), source=f"10.9.0.{source}"))

    class Breaks:
        left = 2

        def query(self, sql: str, parameters: Any = None) -> Any:
            if "groupUniqArray" in sql:
                self.left -= 1
                if self.left == 0:
                    raise StoreUnavailableError("away")
            return store.query(sql, parameters)

    running = correlator(Breaks(), NOW + 10)
    assert running.run() == []
    assert len(running.run()) == 3


def test_a_flood_in_one_group_is_read_in_one_pass(store: EmbeddedStore) -> None:
    """Sixty thousand ports in a minute: counting every window anew would take billions of steps."""
    put(store, scan(NOW, range(1, 60_001), every_s=0.0009))
    (alert,) = correlator(store, NOW + 60).run()
    assert alert.evidence["events"] == 60_000
