"""Room on the disks: the forecast, the mark, and a real file system that fills up and is emptied."""

from __future__ import annotations

import datetime
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
import pytest
from luytre_collector.detect.alert import Alert
from luytre_collector.disk import NEVER, Config, DiskWatch, full_in_days, low_water
from luytre_common.telemetry import Counters

from tests.support.batches import message
from tests.support.collector import CollectorProcess, stream

TODAY = datetime.date(2026, 11, 24)
GB = 1_000_000_000
BOOT = "00000000-0000-4000-8000-000000000001"


def days(*sizes: int) -> dict[datetime.date, int]:
    """What the days until yesterday brought, the last one last."""
    return {TODAY - datetime.timedelta(days=len(sizes) - at): size for at, size in enumerate(sizes)}


@pytest.mark.parametrize(
    ("free", "kept", "keep_days", "expected"),
    [
        (100, {}, 365, None),
        (100, {TODAY: 50}, 365, None),
        (100, days(10), 365, 10),
        (101, days(10), 365, 11),
        (100, days(5, 15), 365, 10),
        (100, days(1000, *[10] * 7), 365, 10),  # what came long ago says nothing
        (100, days(10, 0, 0, 0, 0), 365, 50),
        (5, days(*[10] * 30), 31, 1),
        (15, days(*[10] * 30), 30, NEVER),  # every day brings what the oldest one takes away
        (1, days(10), 3, 1),
        (100, days(0), 365, NEVER),
    ],
)
def test_the_forecast(free: int, kept: dict[datetime.date, int], keep_days: int, expected: int | None) -> None:
    assert full_in_days(free, kept, TODAY, keep_days) == expected


@pytest.mark.parametrize(
    ("given", "total", "mark"),
    [
        (0, 9000 * GB, 50 * GB),
        (0, 100 * GB, 5 * GB),
        (0, 20 * GB, 2 * GB),
        (0, 5 * GB, GB),
        (0, 100, 20),
        (7, 1000 * GB, 7),
    ],
)
def test_the_mark(given: int, total: int, mark: int) -> None:
    assert low_water(Config(low_water_bytes=given), total) == mark


class Disks:
    """What a store says of its disks."""

    def __init__(self) -> None:
        self.free, self.total = 50, 100
        self.kept: dict[datetime.date, int] = {}

    def query(self, sql_text: str, parameters: Any = None) -> pa.Table:
        if "system.disks" in sql_text:
            return pa.table({"free": [self.free], "total": [self.total]})
        return pa.table({"day": [str(day) for day in self.kept], "bytes": list(self.kept.values())})


class Watched:
    """A watch with everything around it."""

    def __init__(self) -> None:
        self.disks, self.counters = Disks(), Counters("disk")
        self.now = datetime.datetime(2026, 11, 24, 12, tzinfo=datetime.UTC).timestamp()
        self.holds: list[bool] = []
        self.alerts: list[Alert] = []
        self.fault: Exception | None = None
        self.watch = DiskWatch(
            self.disks, Config(), "collector-1", 365, lambda: self.now,
            lambda reason: self.holds.append(reason is not None), self._raise, self.counters,
        )  # fmt: skip

    def _raise(self, given: Sequence[Alert]) -> None:
        if self.fault:
            raise self.fault
        self.alerts.extend(given)

    def look(self, free: int) -> None:
        self.disks.free = free
        self.watch.run()


def test_it_holds_below_the_mark_and_lets_go_well_above() -> None:
    one = Watched()
    for free, holds in ((20, []), (19, [True]), (24, [True]), (25, [True, False]), (20, [True, False])):
        one.look(free)
        assert one.holds == holds
        assert one.counters.get("disk_free_bytes") == free
    assert one.counters.get("disk_total_bytes") == 100
    assert one.counters.get("disk_low") == 1
    assert one.counters.get("disk_holding") == 0
    assert one.counters.get("disk_full_in_days") == 0


def test_an_alert_a_day_with_the_same_name_however_often() -> None:
    one, after_a_restart = Watched(), Watched()
    one.look(1)
    one.look(1)
    after_a_restart.look(2)
    one.now += 86_400
    one.look(1)
    first, second = one.alerts
    assert first.rule_name == "Disk of the Store Nearly Full: Agents Keep Their Rows"
    assert "gần đầy" in first.rule_name_vi
    assert first.evidence == {"free_bytes": 1, "total_bytes": 100, "low_water_bytes": 20}
    assert first.alert_id != second.alert_id
    assert [alert.alert_id for alert in after_a_restart.alerts] == [first.alert_id]


def test_the_forecast_raises_an_alert() -> None:
    one = Watched()
    one.disks.kept = days(3)
    one.look(43)
    assert one.alerts == []
    assert one.counters.get("disk_full_in_days") == 15
    one.look(39)
    (alert,) = one.alerts
    assert (alert.rule_name, alert.rule_name_vi) == ("Disk of the Store Full Soon", "Ổ đĩa của kho dữ liệu sắp đầy")
    assert alert.evidence["full_in_days"] == 13
    assert one.holds == []


def test_what_cannot_be_told_is_held_all_the_same_and_told_later() -> None:
    one = Watched()
    one.fault = OSError(28, "No space left")
    with pytest.raises(OSError, match="No space"):
        one.look(1)
    assert one.holds == [True]
    one.fault = None
    one.look(1)
    assert len(one.alerts) == 1


def test_disks_of_others_are_not_watched() -> None:
    one = Watched()
    one.disks.total = 0
    one.look(0)
    assert (one.holds, one.alerts, one.counters.get("disk_total_bytes")) == ([], [], 0)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 96 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "luytre-test", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def wait(ready: Callable[[], bool], log: Callable[[], str]) -> None:
    deadline = time.monotonic() + 30
    while not ready():
        assert time.monotonic() < deadline, log()
        time.sleep(0.02)


@pytest.mark.root
def test_a_file_system_that_fills_up(small: Path, tmp_path: Path) -> None:
    home = tmp_path / "collector"
    home.mkdir()
    often = "[health]\ninterval_s = 0.1\n[disk]\ninterval_s = 0.1\n[notify.console]\n"
    collector = CollectorProcess(home, often)
    collector.config.write_text(collector.config.read_text().replace(f"{home}/store", f"{small}/store"))
    filler = small / "filler"

    def stored() -> int:
        return collector.value(f"SELECT count() AS n FROM flows WHERE boot_id = '{BOOT}'")

    collector.start()
    try:
        with stream(collector.address, collector.identity("web-01")) as agent:
            agent.hello()
            (answer,) = agent.deliver(message("flows", 50, 0, boot=BOOT))
            assert answer.ack.through_sequence == 49
            total = collector.counter("disk_total_bytes")
            assert total == 96 << 20
            filler.write_bytes(bytes(collector.counter("disk_free_bytes") - total // 8))
            wait(lambda: collector.counter("disk_holding") == 1, collector.log)
            for first in (50, 100):
                agent.send(message("flows", 50, first, boot=BOOT))
            wait(lambda: collector.counter("queued_batches") == 2, collector.log)
            wait(
                lambda: collector.value("SELECT count() AS n FROM alerts WHERE rule_level = 'critical'") == 1,
                collector.log,
            )
            assert stored() == 50  # and the counters above went in meanwhile
            filler.unlink()
            assert [agent.next().ack.through_sequence for _ in range(2)] == [99, 149]
            assert stored() == 150

            filler.write_bytes(bytes(collector.counter("disk_free_bytes") - total // 8))
            wait(lambda: collector.counter("disk_low") == 2, collector.log)
            agent.send(message("flows", 50, 150, boot=BOOT))
            wait(lambda: collector.counter("queued_batches") == 1, collector.log)
            collector.kill()
        collector.start()  # it finds the disk full before it takes the first batch
        with stream(collector.address, collector.identity("web-01")) as agent:
            agent.hello()
            agent.send(message("flows", 50, 150, boot=BOOT))
            wait(lambda: collector.counter("queued_batches") == 1, collector.log)
            assert stored() == 150
            filler.unlink()
            assert agent.next().ack.through_sequence == 199

            filler.write_bytes(bytes(collector.counter("disk_free_bytes") - total // 8))
            wait(lambda: collector.counter("disk_holding") == 1, collector.log)
            agent.send(message("flows", 50, 200, boot=BOOT))
            wait(lambda: collector.counter("queued_batches") == 1, collector.log)
            assert collector.stop() == 0
            with pytest.raises(grpc.RpcError) as ended:
                agent.next()
            assert ended.value.code() == grpc.StatusCode.UNAVAILABLE  # the agent keeps the batch
        assert "batches wait: make room" in collector.log()
        assert "Ổ đĩa của kho dữ liệu gần đầy" in (home / "stdout").read_text()
    finally:
        collector.close()
