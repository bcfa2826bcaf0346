"""The queue before the spool, with a disk that a test can stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from luytre_agent.keeper import Keeper
from luytre_agent.spool.classes import class_of

from tests.support.sources import Batch


class Disk:
    """Takes batches while it is not stalled."""

    def __init__(self) -> None:
        self.kept: list[Batch] = []
        self.lost: list[Batch] = []
        self.free = threading.Event()
        self.free.set()
        self.asked = threading.Semaphore(0)

    def append(self, batch: Batch) -> bool:
        self.asked.release()
        assert self.free.wait(30)
        if batch.table == "odd":
            raise RuntimeError("odd")
        self.kept.append(batch)
        return True


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk()
    yield disk
    disk.free.set()


def keeper(disk: Disk, most_bytes: int = 1 << 20) -> Keeper:
    made = Keeper(disk.append, disk.lost.append, class_of, most_bytes, time.monotonic)  # type: ignore[arg-type]
    made.start()
    return made


def test_batches_are_spooled_in_the_order_in_which_they_came(disk: Disk) -> None:
    one = keeper(disk)
    batches = [Batch(table, rows) for rows in range(1, 9) for table in ("flows", "logins", "sockets")]
    for batch in batches:
        one.take(batch)
    one.stop()
    assert disk.kept == batches
    assert one.counters.get("rows_lost", "flows") == 0


def test_who_must_not_wait_does_not_and_who_can_does(disk: Disk) -> None:
    one = keeper(disk)
    disk.free.clear()
    one.take(Batch("flows", 1))
    assert disk.asked.acquire(timeout=30), "the disk holds the first one"
    one.take(Batch("flows", 2))
    done = threading.Event()
    patient = threading.Thread(target=lambda: (one.take(Batch("logins", 3), True), done.set()))
    patient.start()
    assert not done.wait(0.2)
    samples = {sample.name: sample.value for sample in one.samples()}
    assert samples["queue_batches"] in (1, 2), "this, too, is answered while the disk is stalled"
    disk.free.set()
    assert done.wait(30)
    patient.join()
    assert [batch.rows for batch in disk.kept] == [1, 2, 3]
    one.stop()
    assert {sample.name: sample.value for sample in one.samples()} == {"queue_bytes": 0, "queue_batches": 0}


def test_what_is_too_much_is_dropped_the_least_important_first_and_counted(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    body = b"x" * 9488
    one = keeper(disk, most_bytes=100_000)
    disk.free.clear()
    one.take(Batch("ledger", 1, body))
    assert disk.asked.acquire(timeout=30)
    order = ["processes", "flows", "sockets", "dns", "logins", "flows", "files", "flows", "processes", "sockets"]
    for rows, table in enumerate(order, 1):
        one.take(Batch(table, rows, body))
    assert one.fill == pytest.approx(1.0)
    assert one.counters.get("rows_lost", "flows") == 0
    waiting = threading.Event()
    patient = threading.Thread(target=lambda: (one.take(Batch("inventory", 50, body), True), waiting.set()))
    patient.start()
    while one.counters.get("rows_lost", "flows") == 0:
        time.sleep(0.01)
    for rows in range(101, 106):
        one.take(Batch("processes", rows, body))
    lost = {sample.label: sample.value for sample in one.samples() if sample.name == "rows_lost"}
    assert lost == {"flows": 2 + 6 + 8, "dns": 4, "sockets": 3 + 10}, "the oldest of the lowest class first"
    assert one.counters.get("batches_lost", "flows") == 3
    assert sum(batch.rows for batch in disk.lost) == sum(lost.values())
    one.take(Batch("flows", 900, body))
    assert one.counters.get("rows_lost", "flows") == 916, "the lowest of all is what just came"
    one.take(Batch("processes", 999, body))
    assert one.counters.get("rows_lost", "processes") == 1, "and at last the oldest of the first class"
    assert caplog.text == "", "who reads a ring does not wait for the log either"
    disk.free.set()
    assert waiting.wait(30), "what is waited for is never dropped"
    patient.join()
    one.stop()
    assert sorted(batch.rows for batch in disk.kept) == [1, 5, 7, 9, 50, *range(101, 106), 999]
    assert "the disk of the spool is too slow: 916 rows of flows dropped" in caplog.text
    assert "13 rows of sockets" in caplog.text


def test_one_batch_that_cannot_be_spooled_does_not_stop_the_others(disk: Disk) -> None:
    one = keeper(disk)
    one.take(Batch("odd", 1), True)
    one.take(Batch("flows", 2), True)
    one.stop()
    assert [batch.rows for batch in disk.kept] == [2]
    assert one.counters.get("append_failures", "odd") == 1
