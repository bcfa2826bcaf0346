from __future__ import annotations

import errno
import json
import os
import struct
import uuid
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from luytre_agent.spool import Spool, recover
from luytre_agent.spool.segment import _HEADER, MAGIC
from luytre_common.errors import UserError

Make = Callable[..., Spool]


def firsts(spool: Spool) -> list[int]:
    return [one.record.first for one in spool.pending() if one.record.table != "ledger"]


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
    fields = _HEADER.pack(MAGIC, 3, 0, b"markmark")
    newer = fields + zlib.crc32(fields).to_bytes(4, "little") + b"what only the newer agent understands"
    path.write_bytes(newer)
    with pytest.raises(UserError, match="format 3, this agent knows 2"):
        make_spool()
    assert path.read_bytes() == newer


def test_foreign_files_are_left_alone(make_spool: Make, sealed: Any) -> None:
    path = three(make_spool, sealed)
    for name in ("notes.txt", "short.seg", "zzzzzzzzzzzzzzzz.seg"):
        path.with_name(name).write_text("mine")
    assert firsts(make_spool()) == [0, 3, 6]
    assert path.with_name("short.seg").read_text() == "mine"


def version_1(mark: bytes, batches: list[tuple[str, int, bytes]], boot: str) -> bytes:
    """A segment as the first version wrote it: three rows a batch, tables mixed."""
    head = struct.pack("<8sHH8s", b"LUYTRESP", 1, 0, mark)
    found = head + zlib.crc32(head).to_bytes(4, "little")
    for table, first, batch in batches:
        key = struct.pack("<16sQIBB", uuid.UUID(boot).bytes, first, 3, len(table), len(table))
        body = key + table.encode() * 2 + batch
        length = len(body).to_bytes(4, "little")
        found += mark + length + zlib.crc32(body, zlib.crc32(length)).to_bytes(4, "little") + body
    return found


def test_a_spool_without_classes_is_taken_over(make_spool: Make, sealed: Any, tmp_path: Path) -> None:
    boot = "0d4f6c0e-3f0b-4a5e-9d0e-0f5a1d2b3c4d"
    folder = tmp_path / "spool"
    folder.mkdir()
    batches = [("flows", 0, b"flows 0"), ("logins", 0, b"logins 0"), ("flows", 3, b"flows 3"), ("flows", 6, b"flows 6")]
    (folder / "0000000000000004.seg").write_bytes(version_1(b"markmark", batches, boot))
    body = json.dumps(
        {
            "boot_id": boot,
            "kernel_boot_id": "kernel-1",
            "clean": True,
            "next": {"flows": 9, "logins": 3},
            "through": [[boot, "flows", 2]],
            "refused": [[boot, "flows", 3]],
        }
    ).encode()
    (folder / "ledger").write_bytes(f"luytre-ledger 1 {zlib.crc32(body):08x}\n".encode() + body + b"\n")
    spool = make_spool()
    for table in ("flows", "logins"):
        spool.append(sealed(table=table), 1.0)
    waiting = [(one.record.table, one.record.first, one.record.batch[:6]) for one in spool.pending()]
    assert waiting[:2] == [("logins", 0, b"logins"), ("flows", 6, b"flows ")]
    assert [one[:2] for one in waiting[2:]] == [("logins", 0), ("flows", 0)]
    assert spool.boot_id != boot, "its flows and those of the new numbering lie in different classes"
    spool.acknowledge(boot, "logins", 2)
    spool.acknowledge(boot, "flows", 8)
    assert not (folder / "0000000000000004.seg").exists()
    assert spool.unsettled() == 2


def test_a_damaged_segment_without_classes_is_mended(make_spool: Make, tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    batches = [("flows", first, b"batch") for first in (0, 3, 6)]
    data = bytearray(version_1(b"markmark", batches, "0d4f6c0e-3f0b-4a5e-9d0e-0f5a1d2b3c4d"))
    data[len(data) // 2] ^= 1
    (folder / "0000000000000000.seg").write_bytes(data)
    spool = make_spool()
    assert firsts(spool) == [0, 6]
    spool.close()
    assert firsts(make_spool()) == [0, 6]


def test_who_knows_no_classes_reads_a_version_that_it_does_not_know(make_spool: Make, sealed: Any) -> None:
    """Of a header, the first version believes magic, version and checksum, and stops the start at another version."""
    data = three(make_spool, sealed).read_bytes()
    magic, version = struct.unpack_from("<8sH", data)
    assert (magic, version) == (b"LUYTRESP", 2)
    assert zlib.crc32(data[:20]) == int.from_bytes(data[20:24], "little")


def test_a_table_that_has_changed_its_class_gets_a_new_numbering(
    make_spool: Make, sealed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two segments of different classes with one numbering would not be sent in its order."""
    spool = make_spool()
    spool.append(sealed(), 1.0)
    spool.close()
    monkeypatch.setattr(recover, "class_of", lambda table: 0)
    again = make_spool()
    assert again.boot_id != spool.boot_id


def test_pages_that_the_disk_does_not_give_cost_what_is_on_them(
    make_spool: Make, sealed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = make_spool()
    for _ in range(60):
        spool.append(sealed(), 1.0)
    path = next(spool.config.directory.glob("*.seg"))
    spool.close()
    real, whole = os.pread, Path.read_bytes

    def reads(fd: int, size: int, offset: int) -> bytes:
        if offset == 4096 and size == 4096:
            raise OSError(errno.EIO, "Input/output error")
        return real(fd, size, offset)

    def reads_all(file: Path) -> bytes:
        if file == path and not file.with_suffix(".corrupt").exists():
            raise OSError(errno.EIO, "Input/output error")
        return whole(file)

    monkeypatch.setattr(os, "pread", reads)
    monkeypatch.setattr(Path, "read_bytes", reads_all)
    again = make_spool()
    kept = firsts(again)
    assert 35 < len(kept) < 60
    assert kept[0] == 0
    assert kept[-1] == 177
    assert again.counters.get("rows_missing", "flows") == 180 - 3 * len(kept)


def test_a_segment_that_may_not_be_read_is_named(make_spool: Make, sealed: Any, tmp_path: Path) -> None:
    path = three(make_spool, sealed)
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match=f"{path}: Is a directory"):
        make_spool()
