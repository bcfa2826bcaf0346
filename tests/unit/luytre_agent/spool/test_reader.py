"""Reading back: whose turn it is, and a disk that gives errors."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from luytre_agent.spool import Config, Spool
from luytre_agent.spool.classes import LAST

Make = Callable[..., Spool]
Told = Callable[[Spool], list[tuple[str, str, int, int]]]


def put(spool: Spool, sealed: Any, table: str, count: int = 1) -> None:
    for _ in range(count):
        assert spool.append(sealed(table=table), 1000.0)


def test_a_login_that_comes_late_goes_out_next(make_spool: Make, sealed: Any) -> None:
    spool = make_spool()
    put(spool, sealed, "flows", 5)
    reading = spool.pending()
    assert [next(reading).record.table for _ in range(2)] == ["flows", "flows"]
    put(spool, sealed, "logins")
    assert [one.record.table for one in reading] == ["logins", "flows", "flows", "flows"]


def test_flows_are_not_kept_waiting_for_ever(make_spool: Make, sealed: Any) -> None:
    spool = make_spool()
    large = sealed(table="processes", body=b"x" * 100_000)
    for _ in range(60):
        spool.append(large, 1000.0)
    put(spool, sealed, "flows", 3)
    order = [one.record.table for one in spool.pending()]
    assert order.index("flows") < 40
    assert len(order) == 63


def test_a_reader_goes_on_in_every_class_where_it_stopped(make_spool: Make, sealed: Any) -> None:
    spool = make_spool(segment_bytes=4096, max_bytes=1 << 20)
    for _ in range(40):
        for table in ("flows", "dns", "logins"):
            put(spool, sealed, table)
    whole = list(spool.pending())
    for at in range(0, 120, 7):
        rest = [one.record for one in spool.pending(whole[at].position)]
        assert rest == [one.record for one in whole[at + 1 :]]


def test_classes_that_may_not_go_wait_in_their_place(make_spool: Make, sealed: Any) -> None:
    spool = make_spool()
    put(spool, sealed, "flows", 3)
    put(spool, sealed, "logins", 2)
    held = True
    tables, position = [], None
    for waiting in spool.pending(position, lambda rank: rank < LAST or not held):
        tables.append(waiting.record.table)
        position = waiting.position
    assert tables == ["logins", "logins"]
    assert spool.unsettled() == 5
    held = False
    rest = list(spool.pending(position, lambda rank: rank < LAST or not held))
    assert [(one.record.table, one.record.first) for one in rest] == [("flows", 0), ("flows", 3), ("flows", 6)]


def test_what_was_dropped_is_not_sent_by_who_reads_it_just_then(make_spool: Make, sealed: Any) -> None:
    spool = make_spool(max_bytes=1 << 16)
    put(spool, sealed, "flows", 100)
    reading = spool.pending()
    assert next(reading).record.first == 0
    put(spool, sealed, "logins", 250)
    dropped = spool.counters.get("rows_evicted", "flows")
    assert dropped
    assert not [one for one in reading if one.record.table == "flows" and one.record.first < dropped]


def test_since_when_the_oldest_waits(make_spool: Make, sealed: Any) -> None:
    spool = make_spool()
    assert spool.oldest_us() == 0
    spool.append(sealed(table="logins"), 10.5)
    spool.append(sealed(table="flows"), 7.5)
    spool.append(sealed(table="flows"), 9.0)
    assert spool.oldest_us() == 7_500_000
    spool.acknowledge(spool.boot_id, "flows", 2)
    assert spool.oldest_us() == 9_000_000
    spool.acknowledge(spool.boot_id, "flows", 5)
    assert spool.oldest_us() == 10_500_000


class Disk:
    """The disk under a spool gives errors for the segments that are `broken`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.broken: set[str] = set()
        self.code = errno.EIO
        real = os.open

        def opens(path: Any, flags: int, *rest: Any, **more: Any) -> int:
            if Path(os.fspath(path)).name in self.broken and not flags & os.O_WRONLY:
                raise OSError(self.code, os.strerror(self.code), path)
            return real(path, flags, *rest, **more)

        monkeypatch.setattr(os, "open", opens)


@pytest.fixture
def clocked(tmp_path: Path, sealed: Any) -> tuple[Spool, list[float]]:
    times = [1000.0]
    spool = Spool(
        Config(directory=tmp_path / "spool"), lambda sealed, *_: bytes(sealed.body), lambda: times[-1], "kernel"
    )
    spool.open()
    return spool, times


def tables(spool: Spool) -> list[str]:
    return [one.record.table for one in spool.pending()]


def test_a_segment_that_cannot_be_read_for_a_while_holds_up_its_class_only(
    clocked: tuple[Spool, list[float]], sealed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, times = clocked
    put(spool, sealed, "flows", 2)
    put(spool, sealed, "logins")
    disk = Disk(monkeypatch)
    disk.broken = {"0000000000000000.seg"}
    assert tables(spool) == ["logins"]
    assert tables(spool) == ["logins"]
    assert spool.counters.get("read_failures", "EIO") == 1, "it is not tried at every turn"
    disk.broken.clear()
    assert tables(spool) == ["logins"]
    times.append(1031.0)
    assert tables(spool) == ["logins", "flows", "flows"]
    assert spool.counters.get("rows_unreadable", "flows") == 0


def test_what_is_only_out_of_reach_is_never_given_up(
    clocked: tuple[Spool, list[float]], sealed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, times = clocked
    put(spool, sealed, "flows", 2)
    disk = Disk(monkeypatch)
    disk.broken, disk.code = {"0000000000000000.seg"}, errno.EMFILE
    monkeypatch.setattr(Path, "read_bytes", lambda path: (_ for _ in ()).throw(OSError(errno.EMFILE, "too many")))
    for turn in range(20):
        times.append(1000.0 + 40 * turn)
        assert tables(spool) == []
    monkeypatch.undo()
    times.append(5000.0)
    assert tables(spool) == ["flows", "flows"]
