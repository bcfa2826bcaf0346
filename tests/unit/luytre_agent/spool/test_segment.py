from __future__ import annotations

import pytest
from luytre_agent.batch import Key
from luytre_agent.spool import Record
from luytre_agent.spool.segment import HEADER_SIZE, MARK_SIZE, header, pack, scan, unpack

BOOT = "0d4f6c0e-3f0b-4a5e-9d0e-0f5a1d2b3c4d"
MARK = b"markmark"


def record(first: int, batch: bytes = b"payload", rows: int = 5) -> Record:
    return Record(Key(BOOT, "flows"), "flows", first, rows, batch)


def file_of(*records: Record) -> bytes:
    return header(MARK, 2) + b"".join(pack(MARK, one) for one in records)


def firsts(data: bytes) -> list[int]:
    return [one.first for one in scan(data).records]


def test_a_record_comes_back_as_it_was() -> None:
    packed = pack(MARK, record(7, b"abc"))
    back = unpack(packed, 0, MARK)
    assert back == Record(Key(BOOT, "flows"), "flows", 7, 5, b"abc", 0, len(packed))
    assert back is not None
    assert back.last == 11


def test_a_clean_file() -> None:
    result = scan(file_of(record(0), record(5)))
    assert [one.first for one in result.records] == [0, 5]
    assert (result.torn, result.corrupt) == (0, 0)


def test_cut_at_every_byte_keeps_every_whole_record() -> None:
    data = file_of(record(0), record(5, b"longer payload"), record(10, b""))
    ends = [one.end for one in scan(data).records]
    for size in range(len(data) + 1):
        result = scan(data[:size])
        whole = sum(end <= size for end in ends)
        assert len(result.records) == whole
        assert result.corrupt == 0, size
        assert result.torn == (size - result.end)


def test_every_flipped_byte_costs_at_most_its_own_record() -> None:
    data = file_of(record(0), record(5, b"second"), record(10, b"third"))
    records = scan(data).records
    for at in range(HEADER_SIZE, len(data)):
        bad = bytearray(data)
        bad[at] ^= 0x41
        hit = next(one for one in records if one.offset <= at < one.end)
        result = scan(bytes(bad))
        assert [one.first for one in result.records] == [one.first for one in records if one is not hit]
        assert result.corrupt + result.torn == hit.end - hit.offset
        if hit is not records[-1]:
            assert result.corrupt


def test_a_flipped_header_gives_nothing_and_is_corrupt() -> None:
    data = file_of(record(0))
    for at in range(HEADER_SIZE):
        bad = bytearray(data)
        bad[at] ^= 1
        result = scan(bytes(bad))
        assert not result.records
        assert result.corrupt == len(data)


def test_a_payload_cannot_pass_for_a_record_of_a_segment_with_another_mark() -> None:
    forged = pack(b"othermrk", record(1_000_000))
    data = bytearray(file_of(record(0, forged), record(5)))
    data[HEADER_SIZE + MARK_SIZE] ^= 0xFF  # the outer record's length: its payload is searched for the next mark
    assert firsts(bytes(data)) == [5]


def test_zeros_behind_the_records_are_corrupt() -> None:
    result = scan(file_of(record(0)) + b"\0" * 64)
    assert [one.first for one in result.records] == [0]
    assert result.corrupt == 64


def test_pack_refuses_what_unpack_would_not_believe() -> None:
    with pytest.raises(ValueError, match="the most is"):
        pack(MARK, record(0, bytes(80 * 1024 * 1024)))
    with pytest.raises(ValueError, match="longer than 255"):
        pack(MARK, Record(Key(BOOT, "s" * 256), "flows", 0, 1, b""))
