"""The governor with the real use of this process, and a clock that the test moves."""

from __future__ import annotations

import json
import logging
import time
from datetime import datetime
from typing import Any

import pytest
from luytre_agent import _core
from luytre_agent.ease import FULL, Ease
from luytre_agent.limits import Config, Gauges, Governor

from tests.support.waiting import until

TIGHT = Config(
    cpu_percent=0.5,
    memory_mb=100_000,
    grace_seconds=0.0,
    over_seconds=3.0,
    under_seconds=50.0,
    interval_seconds=0.1,
    lowest_step=4,
)


class Bench:
    def __init__(self, config: Config = TIGHT, gauges: Gauges | None = None) -> None:
        self.now = 1000.0
        self.eased: list[Ease] = []
        self.rows: list[dict[str, Any]] = []
        self.gauges = gauges or Gauges()
        self.governor = Governor(
            config,
            lambda: self.gauges,
            self.eased.append,
            self.keep,
            lambda: "boot",
            lambda: self.now,
            lambda: self.now,
        )

    def keep(self, batch: Any) -> None:
        self.rows += [json.loads(line) for line in _core.to_json_lines(batch).splitlines()]

    def busy(self, seconds: int) -> None:
        """Each second some hundredths of a core."""
        for _ in range(seconds):
            until = time.process_time() + 0.03
            while time.process_time() < until:
                pass
            self.now += 1.0
            self.governor.look()

    def idle(self, looks: int) -> None:
        for _ in range(looks):
            self.now += 1000.0
            self.governor.look()

    def told(self) -> list[tuple[str, str, int]]:
        return [(row["ledger_entry"], row["ledger_cause"], row["ledger_count"]) for row in self.rows]


def test_every_step_is_a_row_a_counter_a_gauge_and_a_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench = Bench()
    governor = bench.governor
    bench.busy(13)
    assert governor.step == 3
    assert governor.reason == "cpu: sampled_flows"
    assert [ease.one_in for ease in bench.eased] == [1, 1, 16]
    assert governor.counters.get("degradation_step") == 3
    assert governor.counters.get("steps_down", "cpu") == 3
    assert governor.counters.get("cpu_permille") > 5
    assert governor.counters.get("resident_bytes") > 1 << 20
    assert governor.counters.get("budget_percent", "cpu") > 100
    bench.idle(4)
    assert governor.step == 0
    assert governor.reason == ""
    assert bench.eased[-1] is FULL
    assert governor.counters.get("steps_up", "cpu") == 3
    assert bench.told() == [
        *(("degraded", "cpu", step) for step in (1, 2, 3)),
        *(("restored", "cpu", step) for step in (3, 2, 1)),
    ]
    assert {row["ledger_boot_id"] for row in bench.rows} == {"boot"}
    times = [datetime.fromisoformat(row["event_time"]).timestamp() for row in bench.rows]
    assert 1003 < times[0] < 1013, "when it began"
    assert times == sorted(times)
    assert "over the budget of cpu: step 1, longer_batches" in caplog.text
    assert "room again (cpu): back to step 0, full" in caplog.text


def test_a_start_ends_what_an_earlier_one_left_and_a_stop_what_lasts() -> None:
    bench = Bench()
    bench.governor.start()
    bench.governor.stop()
    assert bench.told() == [("restored", "start", 0)]
    bench = Bench()
    bench.busy(9)
    bench.governor.start()
    bench.governor.stop()
    assert bench.told()[-3:] == [("restored", "start", 0), ("restored", "stop", 2), ("restored", "stop", 1)]


def test_the_spool_the_queue_and_the_line_are_judged_too() -> None:
    for gauges, budget in [
        (Gauges(spool_bytes=700, spool_quota=1000), "spool"),
        (Gauges(queue=0.7), "disk"),
        (Gauges(spool_bytes=1 << 20, uplink_rate=2000.0), "uplink"),
    ]:
        bench = Bench(Config(cpu_percent=1e5, memory_mb=100_000, over_seconds=1.0, spool_percent=50), gauges)
        bench.idle(9)
        assert (bench.governor.step, bench.governor.reason[: len(budget)]) == (4 if budget == "uplink" else 2, budget)


def test_without_budgets_nothing_is_judged_but_priorities_are_set() -> None:
    bench = Bench(Config(enabled=False))
    bench.governor.prepare()
    bench.governor.start()
    bench.governor.stop()
    assert bench.rows == []
    assert bench.governor.counters.get("priorities_refused", "oom_score_adj") == 0


def test_what_cannot_be_measured_is_counted_and_it_goes_on() -> None:
    bench = Bench()

    def gone() -> Gauges:
        raise RuntimeError("odd")

    bench.governor._gauges = gone
    bench.governor.start()
    until(lambda: bench.governor.counters.get("measure_failures") >= 2)
    bench.governor.stop()
    assert bench.governor.counters.get("measure_failures") >= 2
    assert bench.governor.counters.get("throttled_us") == bench.governor.counters.get("memory_ooms") == 0
