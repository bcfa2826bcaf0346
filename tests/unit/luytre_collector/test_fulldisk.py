"""A full disk is met once, ends the process when there is room or time is over; and what that is good for, on the real
engine: a part that was damaged while the disk was full is made good by an end without order."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from luytre_collector.fulldisk import FullDisk
from luytre_collector.store import embedded, readonly
from luytre_common.telemetry import Counters

from tests.support.small_disk import Disk

ROOT = Path(__file__).parents[3]


class Engine:
    """Says how many errors there were, and how much is free."""

    def __init__(self) -> None:
        self.errors, self.free = 3, 10 << 30

    def query(self, sql_text: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        return pa.table({"value": [self.errors if "system.errors" in sql_text else self.free]})


def looking() -> tuple[Engine, FullDisk, list[float], list[str], Counters]:
    engine, now, ended, counters = Engine(), [1000.0], list[str](), Counters("disk")
    return engine, FullDisk(engine, lambda: now[0], lambda: ended.append("end"), counters), now, ended, counters


def test_what_was_before_is_no_news() -> None:
    engine, disk, _, ended, counters = looking()
    disk.run()
    disk.run()
    assert (disk.met, ended, counters.get("disk_met_full")) == (False, [], 0)
    assert engine.errors == 3


def test_it_ends_once_there_is_room() -> None:
    engine, disk, now, ended, counters = looking()
    disk.run()
    engine.errors, engine.free = 4, 1000
    disk.run()
    now[0] += 100
    disk.run()
    assert (disk.met, ended, counters.get("disk_met_full")) == (True, [], 1)
    engine.free = 1 << 30
    disk.run()
    assert ended == ["end"]


@pytest.mark.parametrize("later", [241.0, -5.0])
def test_it_does_not_wait_for_ever(later: float) -> None:
    engine, disk, now, ended, _ = looking()
    disk.run()
    engine.errors, engine.free = 4, 0
    disk.run()
    now[0] += later
    disk.run()
    assert ended == ["end"]


def test_the_real_engine_answers(tmp_path: Path) -> None:
    store = embedded.EmbeddedStore(embedded.Config(tmp_path / "store"), readonly.Config())
    store.open()
    try:
        disk = FullDisk(store, lambda: 0.0, lambda: pytest.fail("nothing was full"), Counters("disk"))
        disk.run()
        assert not disk.met
    finally:
        store.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "disk", 400)
    yield disk
    disk.unmount()


_FILL = """
import os, sys, time
from pathlib import Path
import pyarrow as pa
from luytre_common.schema import TABLES
from luytre_common.telemetry import Counters
from luytre_collector.fulldisk import FullDisk
from luytre_collector.store import embedded, readonly
from tests.contract.rows import make
from tests.support.small_disk import fill, relieve
folder = Path(sys.argv[1])
store = embedded.EmbeddedStore(embedded.Config(folder / "store"), readonly.Config())
store.open()
store.migrate()
base = make(TABLES["logins"], 1500, nasty=False)
at = base.schema.names.index("sequence")
kept = 0
def insert():
    global kept
    numbers = pa.array(range(kept, kept + 1500), pa.uint64())
    try:
        store.insert("logins", base.set_column(at, base.schema.field("sequence"), numbers), str(kept))
        kept += 1500
    except Exception:
        time.sleep(0.05)
watch = FullDisk(store, time.time, lambda: None, Counters("disk"))
watch.run()
deadline = time.monotonic() + 60
while not watch.met and time.monotonic() < deadline:
    for _ in range(12):
        insert()
    fill(folder)
    for _ in range(12):
        insert()
    watch.run()
    relieve(folder)
print(kept, watch.met, flush=True)
os._exit(0)
"""


@pytest.mark.root
def test_nothing_is_lost_when_the_disk_was_full_to_the_last_byte(small: Disk) -> None:
    if not small.fillable:
        pytest.skip("no tmpfs can be mounted here")
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", _FILL, str(small.path)], cwd=ROOT, capture_output=True, text=True, timeout=120,
            check=True,
        )  # fmt: skip
        kept, met = done.stdout.split()
        assert met == "True"
        store = embedded.EmbeddedStore(embedded.Config(small.path / "store"), readonly.Config())
        store.open()
        try:
            (row,) = store.query(
                "SELECT count() AS rows, uniqExact(sequence) AS numbers, sum(cityHash64(*)) AS read FROM luytre.logins"
            ).to_pylist()
            assert (row["rows"], row["numbers"]) == (int(kept), int(kept)), json.dumps(row)
            store.command("TRUNCATE TABLE luytre.logins")
        finally:
            store.close()
