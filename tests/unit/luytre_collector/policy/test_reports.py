from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from luytre_collector.detect.alert import Alert
from luytre_collector.policy.control import Heard
from luytre_collector.policy.reports import Reports, policy_alert, report_rows
from luytre_collector.store import embedded, readonly
from luytre_collector.store.base import StoreUnavailableError
from luytre_common.telemetry import Counters

HOUR_US = 3_600_000_000
ONE = Heard("web-01", "web-01.hue.example", HOUR_US, 3, "trying", "")


class Table:
    """A store that can be away."""

    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []
        self.tokens: list[str] = []
        self.away = False
        self.asked = 0

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        self.asked += 1
        return pa.table({name: pa.array([], pa.string()) for name in ("agent_id", "version", "state", "message")})

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        assert table == "policy_reports"
        if self.away:
            raise StoreUnavailableError("away")
        self.rows += rows.to_pylist()
        self.tokens.append(token)


class Bench:
    def __init__(self) -> None:
        self.table, self.alerts, self.counters = Table(), list[Alert](), Counters("policy")
        self.waiting: list[Heard] = []
        self.reports = Reports(self.take, self.table, self.raise_alerts, "c", self.counters, "boot")

    def take(self) -> list[Heard]:
        taken, self.waiting = self.waiting, []
        return taken

    def raise_alerts(self, alerts: Sequence[Alert]) -> None:
        self.alerts += alerts

    def hear(self, *heard: Heard) -> None:
        self.waiting += heard
        self.reports.run()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_reports_become_numbered_rows(bench: Bench) -> None:
    bench.hear()
    bench.hear(ONE, replace(ONE, state="applied"))
    bench.hear(replace(ONE, agent_id="web-02"))
    assert [
        (row["agent_id"], row["policy_version"], row["policy_state"], row["sequence"]) for row in bench.table.rows
    ] == [
        ("web-01", 3, "trying", 0),
        ("web-01", 3, "applied", 1),
        ("web-02", 3, "trying", 2),
    ]
    assert bench.table.tokens == ["c/boot/policy_reports/0", "c/boot/policy_reports/2"]
    assert bench.alerts == []


def test_what_is_said_again_on_every_connection_is_one_row(bench: Bench) -> None:
    bench.hear(ONE, ONE)
    bench.hear(ONE)
    assert len(bench.table.rows) == 1


def test_what_was_said_to_the_collector_before_is_no_news(tmp_path: Path) -> None:
    store = embedded.EmbeddedStore(embedded.Config(tmp_path / "store"), readonly.Config())
    store.open()
    store.migrate()
    alerts: list[Alert] = []
    said = [replace(ONE, state="rolled_back", message="m"), replace(ONE, agent_id="web-02", state="applied")]
    Reports(lambda: [ONE, *said], store, alerts.extend, "c", Counters("policy"), "first").run()
    Reports(lambda: said, store, alerts.extend, "c", Counters("policy"), "second").run()
    found = store.query("SELECT boot_id, count() AS n FROM policy_reports GROUP BY boot_id").to_pylist()
    assert [(row["boot_id"], row["n"]) for row in found] == [("first", 3)]
    assert len(alerts) == 1
    store.close()


def test_what_did_not_come_through_is_an_alert_in_both_languages(bench: Bench) -> None:
    bench.hear(replace(ONE, state="rolled_back", message="files is gone"), replace(ONE, version=4, state="refused"))
    first, second = bench.alerts
    assert (first.rule_level, second.rule_level) == ("high", "medium")
    assert first.rule_name == "Policy Taken Back by an Agent: It Was Not Well With It"
    assert first.rule_name_vi == "Agent đã hoàn tác chính sách: hoạt động không ổn định khi áp dụng"
    assert first.evidence == {"policy_version": 3, "policy_state": "rolled_back", "policy_message": "files is gone"}
    again = policy_alert(replace(ONE, state="rolled_back", at_us=9 * HOUR_US, message="files is gone"))
    assert again.alert_id == first.alert_id != second.alert_id


def test_a_store_that_is_away_loses_nothing(bench: Bench) -> None:
    bench.table.away = True
    with pytest.raises(StoreUnavailableError):
        bench.hear(ONE)
    bench.table.away = False
    bench.hear(replace(ONE, state="applied"))
    assert [row["policy_state"] for row in bench.table.rows] == ["trying", "applied"]


def test_nobody_fills_the_table(bench: Bench) -> None:
    bench.hear(*(replace(ONE, message=str(number)) for number in range(100)))
    assert (len(bench.table.rows), bench.counters.get("reports_dropped", "too_many")) == (60, 40)
    bench.hear(replace(ONE, at_us=2 * HOUR_US, message="later"))
    assert len(bench.table.rows) == 61


def test_rows_fit_the_table() -> None:
    assert report_rows([ONE], "boot", 7).num_rows == 1
