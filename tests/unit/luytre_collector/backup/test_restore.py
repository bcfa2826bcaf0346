"""Sums are exact after a backup that fell between a window and its rows."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from luytre_collector.backup.make import backup
from luytre_collector.backup.restore import restore
from luytre_collector.rollups import Config as RollupsConfig
from luytre_collector.rollups import Rollups
from luytre_collector.store import embedded
from luytre_collector.store.base import Store
from luytre_collector.store.choose import Config, make_store
from luytre_common.telemetry import Counters

from tests.support import made

DAY_US = 86_400_000_000


def summed(store: Store) -> tuple[int, int, int]:
    (row,) = store.query(
        "SELECT (SELECT count() FROM luytre.flows) AS rows, (SELECT sum(rows) FROM luytre.flows_1m) AS minutes,"
        " (SELECT sum(rows) FROM luytre.flows_1h) AS hours"
    ).to_pylist()
    return row["rows"], row["minutes"], row["hours"]


def add_up(store: Store) -> None:
    later = time.time() + 120
    Rollups(store, RollupsConfig(), lambda: later, lambda: None, Counters("rollups")).run()


@pytest.mark.parametrize(
    "torn", ["", "ALTER TABLE luytre.rollup_windows DELETE WHERE done = 1 SETTINGS mutations_sync = 1"]
)
def test_the_last_day_is_added_up_again(tmp_path: Path, torn: str) -> None:
    config = Config(embedded=embedded.Config(tmp_path / "store"))
    store = make_store(config)
    store.open()
    store.migrate()
    now = int(time.time()) * 1_000_000
    for age in (2, 1, 0):
        at = now - age * DAY_US
        made.insert(store, "flows", [{"flow_end": at, "source_ip": "192.0.2.1"}] * 10, at)
    add_up(store)
    assert summed(store) == (30, 30, 30)
    if torn:
        store.command(torn)
    store.close()
    lines: list[str] = []
    manifest = backup(config, tmp_path / "backup", lines.append, time.time())
    assert any(line.startswith("flows: 30 rows in 3 parts") for line in lines)
    assert manifest.tables["flows"].rows == 30
    other = Config(embedded=embedded.Config(tmp_path / "other"))
    assert restore(other, tmp_path / "backup", lines.append) == manifest
    store = make_store(other)
    store.open()
    try:
        assert store.migrate() == []
        rows, minutes, hours = summed(store)
        assert rows == 30
        assert minutes == hours < 30
        add_up(store)
        assert summed(store) == (30, 30, 30)
    finally:
        store.close()


def test_a_restore_that_fails_leaves_the_folder_empty(tmp_path: Path) -> None:
    config = Config(embedded=embedded.Config(tmp_path / "store"))
    store = make_store(config)
    store.open()
    store.migrate()
    store.close()
    backup(config, tmp_path / "backup", lambda _: None, 0.0)
    other = Config(embedded=embedded.Config(tmp_path / "other"))

    def interrupted(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore(other, tmp_path / "backup", interrupted)
    assert list((tmp_path / "other").iterdir()) == []


def test_a_target_without_room_is_left_empty(tmp_path: Path) -> None:
    config = Config(embedded=embedded.Config(tmp_path / "store"))
    store = make_store(config)
    store.open()
    store.migrate()
    store.close()

    def full(line: str) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        backup(config, tmp_path / "backup", full, 0.0)
    assert list((tmp_path / "backup").iterdir()) == []
