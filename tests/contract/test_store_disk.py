"""Room on the disks, as every engine tells it."""

from __future__ import annotations

import time

from luytre_collector.disk import Config, DiskWatch
from luytre_collector.expiry import Expiry
from luytre_collector.retention import Config as RetentionConfig
from luytre_collector.retention import Keeping
from luytre_collector.store.base import Store
from luytre_common.telemetry import Counters

from tests.support import made

DAY_US = 86_400_000_000


def test_the_disks_are_found_and_days_are_measured(store: Store) -> None:
    now = int(time.time()) * 1_000_000
    for age in (1, 2):
        made.insert(store, "flows", [{"flow_end": now}] * 100, now - age * DAY_US)
    counters = Counters("disk")
    held: list[str | None] = []
    full = Config(low_water_bytes=1 << 60)
    watch = DiskWatch(store, full, "collector-1", 365, time.time, held.append, lambda alerts: None, counters)
    watch.run()
    assert 0 < counters.get("disk_free_bytes") <= counters.get("disk_total_bytes")
    assert counters.get("disk_full_in_days") > 0
    (reason,) = held
    assert "the disk of the store is nearly full" in str(reason)


def test_old_days_go(store: Store) -> None:
    now = int(time.time()) * 1_000_000
    for age in (1, 400):
        made.insert(store, "flows", [{"flow_end": now}] * 100, now - age * DAY_US)
    Expiry(store, Keeping(RetentionConfig()), time.time, Counters("retention")).run()
    assert store.query("SELECT count() AS n FROM flows").column("n")[0].as_py() == 100
