"""Numbers, the chain, and gaps that are told once."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from luytre_agent.batch import Key, SealedBatch
from luytre_agent.spool import Config, Spool, books, gaps
from luytre_agent.spool import ledger as ledgers
from luytre_agent.spool.ledger import Ledger
from luytre_common.wire import chain

Make = Callable[..., Spool]
Told = Callable[[Spool], list[tuple[str, str, int, int]]]
Crash = Callable[[Spool], Path]


def put(spool: Spool, sealed: Any, table: str = "flows", count: int = 1, now: float = 1000.0) -> None:
    for _ in range(count):
        assert spool.append(sealed(table=table), now)


def chained(tmp_path: Path) -> Spool:
    """A spool whose batches are nothing but their links."""

    def encode(sealed: SealedBatch, key: Key, first: int, now: float, link: bytes) -> bytes:
        return link

    spool = Spool(Config(directory=tmp_path / "spool"), encode, lambda: 1000.0, "kernel")
    spool.open()
    return spool


def test_every_batch_follows_the_one_before_also_after_a_clean_end(tmp_path: Path, sealed: Any) -> None:
    spool = chained(tmp_path)
    boot = spool.boot_id
    put(spool, sealed, "flows", 2)
    put(spool, sealed, "dns", 1)
    spool.close()
    again = chained(tmp_path)
    put(again, sealed, "flows", 1)
    assert again.boot_id == boot
    body, found = sealed().body, {"flows": chain.start(boot, "flows"), "dns": chain.start(boot, "dns")}
    for one in again.pending():
        record = one.record
        found[record.table] = chain.link(found[record.table], record.first, record.rows, body)
        assert record.batch == found[record.table]
    again.close()


def test_a_new_numbering_has_a_new_chain(tmp_path: Path, sealed: Any, make_spool: Make, crash: Crash) -> None:
    spool = chained(tmp_path)
    put(spool, sealed)
    again = Spool(Config(directory=crash(spool)), lambda sealed, key, first, now, link: link, lambda: 1000.0, "kernel")
    again.open()
    put(again, sealed)
    newest = list(again.pending())[-1].record
    assert newest.batch == chain.link(chain.start(again.boot_id, "flows"), 0, 3, sealed().body)
    again.close()


def test_a_batch_that_was_not_kept_is_not_in_the_chain(tmp_path: Path, sealed: Any) -> None:
    spool = chained(tmp_path)
    before = spool._books.link(Key(spool.boot_id, "flows"), 0, 3, sealed().body)
    (tmp_path / "spool/0000000000000000.seg").mkdir()
    assert not spool.append(sealed(), 1000.0)
    assert spool.append(sealed(), 1000.0), "what is in the way is passed"
    assert next(spool.pending()).record.batch == before
    assert spool.counters.get("append_failures", "EEXIST") == 1


def test_an_upgrade_begins_a_new_numbering_for_the_chain_and_claims_no_gap(
    tmp_path: Path, make_spool: Make, sealed: Any, told: Told
) -> None:
    spool = make_spool()
    put(spool, sealed, count=3)
    boot = spool.boot_id
    spool.acknowledge(boot, "flows", 2)
    spool.close()
    path = spool.config.directory / "ledger"
    fields = json.loads(path.read_bytes().partition(b"\n")[2])
    for name in ("chain", "gone", "gaps", "telling"):
        del fields[name]
    fields["refused"] = [[boot, "flows", 6]]
    fields["through"] = []  # it was written later than it was true
    known = ledgers._ledger(fields)
    assert not known.complete
    body = json.dumps(fields).encode()
    path.write_bytes(f"luytre-ledger 1 {ledgers.zlib.crc32(body):08x}\n".encode() + body + b"\n")
    again = make_spool()
    assert again.boot_id != boot
    assert [one.record.first for one in again.pending() if one.record.table == "flows"] == [0, 3]
    assert told(again) == []


def test_gaps_are_told_after_a_while_and_neighbours_as_one(make_spool: Make, sealed: Any, told: Told) -> None:
    spool = make_spool()
    put(spool, sealed, count=4, now=1000.0)
    spool.refuse(spool.boot_id, "flows", 0)
    put(spool, sealed, now=1000.0)
    assert told(spool) == [("flows", "refused", 0, 2)]
    spool.refuse(spool.boot_id, "flows", 3)
    spool.refuse(spool.boot_id, "flows", 6)
    put(spool, sealed, now=1000.0 + books.TELL_S - 1)
    assert told(spool) == [("flows", "refused", 0, 2)]
    assert {one.name: one.value for one in spool.samples()}["gaps_waiting"] == 1
    put(spool, sealed, now=1000.0 + books.TELL_S)
    assert told(spool) == [("flows", "refused", 0, 2), ("flows", "refused", 3, 8)]
    assert spool.counters.get("gaps_told") == 2


def test_gaps_can_be_told_at_once(make_spool: Make, sealed: Any, told: Told) -> None:
    spool = make_spool()
    put(spool, sealed, count=3)
    for first in (0, 3):
        spool.refuse(spool.boot_id, "flows", first)
        woken: list[int] = []
        spool.listen(lambda heard=woken: heard.append(1))  # type: ignore[misc]
        spool.tell_gaps()
        assert woken
    assert told(spool) == [("flows", "refused", 0, 2), ("flows", "refused", 3, 5)]


def test_a_clean_end_tells_what_is_left(make_spool: Make, sealed: Any, told: Told) -> None:
    spool = make_spool()
    put(spool, sealed, count=2)
    spool.refuse(spool.boot_id, "flows", 0)
    spool.close()
    assert told(make_spool()) == [("flows", "refused", 0, 2)]


class DiedError(Exception):
    """The agent ends here."""


@pytest.mark.parametrize("stop", ["before", "after"])
def test_a_crash_while_gaps_are_told_neither_loses_nor_doubles_them(
    stop: str, make_spool: Make, sealed: Any, told: Told, crash: Crash, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = make_spool()
    put(spool, sealed, count=2)
    spool.refuse(spool.boot_id, "flows", 0)
    keep = Spool._keep

    def dies(self: Spool, *arguments: Any, **named: Any) -> bool:
        if stop == "after":
            keep(self, *arguments, **named)
        raise DiedError

    with monkeypatch.context() as patched:
        patched.setattr(Spool, "_keep", dies)
        with pytest.raises(DiedError):
            put(spool, sealed)
    again = make_spool(directory=crash(spool))
    assert told(again) == [("flows", "refused", 0, 2)]
    once_more = make_spool(directory=crash(again))
    assert told(once_more) == [("flows", "refused", 0, 2)]


def test_gaps_wait_while_the_ledger_cannot_be_written(make_spool: Make, sealed: Any, told: Told) -> None:
    spool = make_spool()
    put(spool, sealed, count=2)
    beside = spool.config.directory / "ledger.new"
    beside.mkdir()
    spool.refuse(spool.boot_id, "flows", 0)
    put(spool, sealed)
    assert told(spool) == []
    assert spool.counters.get("ledger_failures", "EISDIR") > 0
    beside.rmdir()
    put(spool, sealed, now=1000.0 + books.TELL_S)
    assert told(spool) == [("flows", "refused", 0, 2)]


def test_there_may_be_more_gaps_than_are_told(
    make_spool: Make, sealed: Any, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gaps, "MOST", 2)
    spool = make_spool()
    put(spool, sealed, count=8)
    for first in (0, 6, 12, 18):
        spool.refuse(spool.boot_id, "flows", first)
    assert spool.counters.get("gaps_untold") == 2
    put(spool, sealed)
    assert [first for _, _, first, _ in told(spool)] == [0, 6]


def test_nothing_is_deleted_before_the_ledger_says_why(make_spool: Make, sealed: Any, crash: Crash, told: Told) -> None:
    """Written at long intervals, the ledger still knows of every segment that is gone."""
    spool = make_spool(ledger_seconds=1e9, segment_bytes=4096, max_bytes=1 << 20)
    put(spool, sealed, count=60)
    spool.acknowledge(spool.boot_id, "flows", 3 * 40 - 1)
    again = make_spool(directory=crash(spool))
    assert told(again) == []
    assert again.counters.get("rows_missing", "flows") == 0
    read = ledgers.read(again.config.directory / "ledger")
    assert isinstance(read, Ledger)


def test_rows_that_are_missing_when_it_opens_are_a_gap(make_spool: Make, sealed: Any, told: Told, crash: Crash) -> None:
    spool = make_spool(segment_bytes=4096, max_bytes=1 << 20)
    put(spool, sealed, count=60)
    folder = crash(spool)
    second = sorted(folder.glob("*.seg"))[1]
    inside = [one.record.first for one in spool.pending() if one.position.places[2].segment == 1]
    second.unlink()
    again = make_spool(directory=folder)
    assert told(again) == [("flows", "corrupt", inside[0], inside[-1] + 2)]
    assert again.counters.get("rows_missing", "flows") == 3 * len(inside)
    assert told(make_spool(directory=crash(again))) == told(again), "once"


def test_what_cannot_be_cut_off_again_takes_its_numbers_along(
    make_spool: Make, sealed: Any, told: Told, crash: Crash, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that was written, not synced and not removed may be found after a crash: its numbers are gone."""
    spool = make_spool(fsync="batch")
    put(spool, sealed)

    def broken(*_: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("os.fdatasync", broken)
        patched.setattr("os.ftruncate", broken)
        assert not spool.append(sealed(body=b"never accepted"), 1000.0)
    put(spool, sealed)
    assert [one.record.first for one in spool.pending() if one.record.table == "flows"] == [0, 6]
    again = make_spool(directory=crash(spool))
    assert [one.record.first for one in again.pending() if one.record.table == "flows"] == [0, 6]
    assert told(again) == [("flows", "disk", 3, 5)]
