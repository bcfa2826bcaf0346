from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from luytre_agent.limits import Config, Pressure
from luytre_agent.limits.cgroup import Allowance
from luytre_agent.limits.measure import Meter, Usage, cpu_seconds, free_bytes, resident_bytes

CONFIG = Config(cpu_percent=20, memory_mb=100, grace_seconds=0, spool_percent=50)
CALM = Usage(now=0, cpu=0, rss=10 << 20)


def used(pressures: object, budget: str) -> float:
    assert isinstance(pressures, list)
    found = [one.used for one in pressures if one.budget == budget]
    return max(found, default=-1.0)


def steady(config: Config, cores: float, seconds: int = 60, **facts: object) -> list[Pressure]:
    """What is said after so long of the same use."""
    meter = Meter(config)
    for second in range(0, seconds + 2, 2):
        found = meter.pressures(replace(CALM, now=100.0 + second, cpu=second * cores, **facts))  # type: ignore[arg-type]
    return list(found)


def test_cpu_is_a_share_of_one_core_smoothed_over_some_seconds() -> None:
    assert used(steady(CONFIG, 0.1), "cpu") == pytest.approx(0.5, abs=0.01)
    assert used(steady(CONFIG, 1.7), "cpu") == pytest.approx(8.5, abs=0.01), "several threads"
    assert used(steady(CONFIG, 0.1, seconds=2), "cpu") < 0.2
    assert 0.3 < used(steady(CONFIG, 0.1, seconds=8), "cpu") < 0.4


def test_cpu_is_not_judged_while_everything_is_looked_at_for_the_first_time() -> None:
    config = replace(CONFIG, grace_seconds=30)
    assert used(steady(config, 1.0, seconds=28), "cpu") == -1
    assert used(steady(config, 1.0, seconds=60), "cpu") > 4


def test_a_smaller_quota_of_the_control_group_is_the_budget() -> None:
    assert used(steady(CONFIG, 0.09, allowance=Allowance(cores=0.1)), "cpu") == pytest.approx(1.0, abs=0.01)
    assert used(steady(CONFIG, 0.09, allowance=Allowance(cores=8)), "cpu") == pytest.approx(0.45, abs=0.01)
    fine = steady(CONFIG, 0, allowance=Allowance(memory_bytes=1 << 40))
    assert used(fine, "memory") == pytest.approx(0.1)
    assert used(steady(CONFIG, 0, allowance=Allowance(memory_bytes=10 << 20)), "memory") == pytest.approx(1 / 0.9)


def test_a_group_that_is_kept_from_running_has_no_cpu_left() -> None:
    meter = Meter(CONFIG)
    meter.pressures(CALM)
    found = meter.pressures(replace(CALM, now=2, allowance=Allowance(throttled_us=400_000)))
    assert used(found, "cpu") == pytest.approx(2.0)
    found = meter.pressures(replace(CALM, now=4, allowance=Allowance(throttled_us=400_000)))
    assert used(found, "cpu") == 0


def test_a_group_that_has_run_out_of_memory_has_none_left() -> None:
    meter = Meter(CONFIG)
    assert used(meter.pressures(replace(CALM, allowance=Allowance(ooms=5))), "memory") < 1
    assert used(meter.pressures(replace(CALM, now=2, allowance=Allowance(ooms=6))), "memory") > 1
    assert used(meter.pressures(replace(CALM, now=4, allowance=Allowance(ooms=6))), "memory") < 1


@pytest.mark.parametrize(
    ("fill", "expected"), [(0.0, 0), (0.25, 0.5), (0.5, 1), (0.6, 1.2), (0.75, 1.5), (0.9, 1.8), (1.0, 2)]
)
def test_a_spool_that_fills_leads_down_a_step_for_each_fifth_of_the_rest(fill: float, expected: float) -> None:
    found = Meter(CONFIG).pressures(replace(CALM, spool_bytes=round(fill * 1000), spool_quota=1000))
    assert used(found, "spool") == pytest.approx(expected)
    assert all(one.slow for one in found if one.budget == "spool")


def test_free_disk_counts_only_while_batches_wait() -> None:
    short = replace(CALM, spool_free=128 << 20)
    assert used(Meter(CONFIG).pressures(short), "disk") == 0
    assert used(Meter(CONFIG).pressures(replace(short, spool_bytes=17 << 20)), "disk") == pytest.approx(2)
    nothing = replace(CONFIG, free_disk_mb=0)
    assert used(Meter(nothing).pressures(replace(short, spool_bytes=17 << 20)), "disk") == 0
    assert used(Meter(CONFIG).pressures(replace(CALM, spool_free=0, spool_bytes=17 << 20)), "disk") > 6


def test_a_queue_before_a_slow_disk_leads_down_from_half_full() -> None:
    assert used(Meter(CONFIG).pressures(replace(CALM, queue=0.6)), "disk") == pytest.approx(1.2)


def test_what_waits_for_a_thin_line_is_judged_by_the_time_it_needs() -> None:
    line = replace(CALM, uplink_rate=10_000.0, spool_bytes=6_000_000)
    assert used(Meter(CONFIG).pressures(line), "uplink") == pytest.approx(2.0)
    assert used(Meter(CONFIG).pressures(replace(line, uplink_rate=0)), "uplink") == -1, "no limit, or closed now"
    assert used(Meter(replace(CONFIG, uplink_backlog_seconds=0)).pressures(line), "uplink") == -1


def test_the_real_figures_of_this_process() -> None:
    before = cpu_seconds()
    work = threading.Thread(target=lambda: [time.process_time() < before + 0.5 or None for _ in range(200_000)])
    work.start()
    work.join()
    assert cpu_seconds() > before, "other threads count too"
    page = os.sysconf("SC_PAGE_SIZE")
    held = bytearray(64 << 20)
    held[::page] = b"x" * len(held[::page])
    assert resident_bytes() > 64 << 20
    assert resident_bytes(Path("/none")) == 0
    assert (free_bytes(Path("/tmp")) or 0) > 0
    assert free_bytes(Path("/none")) is None
