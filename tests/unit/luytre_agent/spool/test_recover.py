from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from luytre_agent.spool import Spool
from luytre_agent.spool.segment import _HEADER, MAGIC
from luytre_common.errors import UserError

Make = Callable[..., Spool]


def firsts(spool: Spool) -> list[int]:
    return [one.record.first for one in spool.pending()]


def three(make_spool: Make, sealed: Any) -> Path:
    spool = make_spool()
    for _ in range(3):
        spool.append(sealed(), 1.0)
    spool.close()
    return next(spool.config.directory.glob("*.seg"))


def test_a_torn_tail_is_cut_off_and_the_numbering_begins_anew(make_spool: Make, sealed: Any) -> None:
    path = three(make_spool, sealed)
    path.write_bytes(path.read_bytes()[:-7])
    spool = make_spool()
    assert firsts(spool) == [0, 3]
    assert spool.counters.get("torn_tails") == 1
    assert spool.counters.get("torn_bytes") > 0
    assert spool.counters.get("numberings_begun") == 1
    spool.append(sealed(), 1.0)
    spool.close()
    again = make_spool()
    assert again.counters.get("torn_tails") == 0
    assert firsts(again) == [0, 3, 0]


def test_a_corrupt_segment_is_set_aside_and_its_sound_batches_go_on(make_spool: Make, sealed: Any) -> None:
    path = three(make_spool, sealed)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    spool = make_spool()
    assert firsts(spool) == [0, 6]
    assert spool.counters.get("segments_corrupt") == 1
    assert 0 < spool.counters.get("corrupt_bytes") < len(damaged) / 2
    assert path.with_suffix(".corrupt").read_bytes() == damaged
    spool.close()
    again = make_spool()
    assert firsts(again) == [0, 6]
    assert again.counters.get("segments_corrupt") == 0


def test_a_segment_without_a_sound_header_is_set_aside_whole(make_spool: Make, sealed: Any) -> None:
    path = three(make_spool, sealed)
    path.write_bytes(b"something else altogether, and longer than a header")
    spool = make_spool()
    assert firsts(spool) == []
    assert not path.exists()
    assert path.with_suffix(".corrupt").exists()
    spool.append(sealed(), 1.0)
    assert not path.exists(), "a number is not given twice"


def test_what_was_set_aside_goes_first_when_room_is_needed(make_spool: Make, sealed: Any) -> None:
    path = three(make_spool, sealed)
    path.write_bytes(b"?" * 40_000)
    spool = make_spool(max_bytes=1 << 16)
    for _ in range(150):
        spool.append(sealed(), 1.0)
    assert not path.with_suffix(".corrupt").exists()
    assert spool.counters.get("quarantined_dropped") == 1
    assert spool.counters.get("rows_evicted", "flows") == 0


def test_a_damaged_ledger_is_set_aside_and_everything_is_sent_again(make_spool: Make, sealed: Any) -> None:
    path = three(make_spool, sealed)
    ledger = path.with_name("ledger")
    ledger.write_bytes(ledger.read_bytes()[:-20])
    spool = make_spool()
    assert firsts(spool) == [0, 3, 6]
    assert spool.counters.get("ledgers_corrupt") == 1
    spool.append(sealed(), 1.0)
    assert firsts(spool) == [0, 3, 6, 0]


def test_a_ledger_that_knows_less_than_the_segments_is_not_believed(make_spool: Make, sealed: Any) -> None:
    path = three(make_spool, sealed)
    segment, ledger = path.read_bytes(), path.with_name("ledger")
    path.unlink()
    ledger.unlink()
    make_spool().close()
    path.write_bytes(segment)
    spool = make_spool()
    spool.append(sealed(), 1.0)
    assert firsts(spool) == [0, 3, 6, 0]


def test_a_newer_format_stops_the_start_and_touches_nothing(make_spool: Make, sealed: Any) -> None:
    path = three(make_spool, sealed)
    fields = _HEADER.pack(MAGIC, 2, 0, b"markmark")
    newer = fields + zlib.crc32(fields).to_bytes(4, "little") + b"what only the newer agent understands"
    path.write_bytes(newer)
    with pytest.raises(UserError, match="format 2, this agent knows 1"):
        make_spool()
    assert path.read_bytes() == newer


def test_foreign_files_are_left_alone(make_spool: Make, sealed: Any) -> None:
    path = three(make_spool, sealed)
    for name in ("notes.txt", "short.seg", "zzzzzzzzzzzzzzzz.seg"):
        path.with_name(name).write_text("mine")
    assert firsts(make_spool()) == [0, 3, 6]
    assert path.with_name("short.seg").read_text() == "mine"
