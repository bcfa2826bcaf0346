from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from luytre_agent.batch import Key
from luytre_agent.spool import ledger
from luytre_agent.spool.gaps import Gap, Ranges
from luytre_agent.spool.ledger import Ledger, Telling
from luytre_common.errors import UserError

MINE, OLD = Key("boot", "flows"), Key("old", "flows")
FULL = Ledger(
    "boot",
    "kernel",
    True,
    {"flows": 9},
    {"flows": b"link" * 8},
    {MINE: 4},
    {MINE: Ranges([(5, 6)]), OLD: Ranges([(0, 9), (12, 12)])},
    [Gap(OLD, "quota", 0, 9, 1.5)],
    Telling(Key("boot", "ledger"), 3, 0xFFFFFFFF, 1),
)


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    ledger.write(tmp_path / "ledger", FULL)
    assert ledger.read(tmp_path / "ledger") == FULL
    assert [path.name for path in tmp_path.iterdir()] == ["ledger"]


def test_no_file_is_no_ledger(tmp_path: Path) -> None:
    assert ledger.read(tmp_path / "ledger") is None


def test_every_cut_and_every_flip_is_noticed() -> None:
    data = ledger.encode(FULL)
    for size in range(len(data) - 1):
        with pytest.raises(ValueError, match="checksum"):
            ledger.decode(data[:size])
    for at in range(len(data) - 1):
        bad = bytearray(data)
        bad[at] ^= 1
        with pytest.raises(ValueError, match="checksum"):
            ledger.decode(bytes(bad))


def test_what_no_segment_holds_is_forgotten_except_of_the_numbering_that_goes_on() -> None:
    other = Key("old", "dns")
    full = Ledger("boot", "kernel", through={MINE: 4, OLD: 9, other: 3})
    full.lose(MINE, 2, 3)
    full.lose(MINE, 5, 6)
    full.lose(OLD, 12, 12)
    full.lose(other, 7, 7)
    full.forget({other})
    assert full.through == {MINE: 4, other: 3}
    assert full.gone == {MINE: Ranges([(5, 6)]), other: Ranges([(7, 7)])}


def test_what_an_earlier_version_wrote_is_understood() -> None:
    body = (
        b'{"boot_id": "boot", "kernel_boot_id": "kernel", "clean": true, "next": {"flows": 9}, '
        b'"through": [["boot", "flows", 4]], "refused": [["boot", "flows", 5]]}'
    )
    read = ledger.decode(f"luytre-ledger 1 {zlib.crc32(body):08x}\n".encode() + body + b"\n")
    assert read.refused == {(MINE, 5)}
    assert read.through == {MINE: 4}
    assert read.next == {"flows": 9}
    assert not read.complete


def test_a_newer_format_is_a_clear_error() -> None:
    data = f"luytre-ledger 2 {zlib.crc32(b'what only the newer agent knows'):08x}\nwhat only the newer agent knows\n"
    with pytest.raises(UserError, match="format 2, this agent knows 1; install the newer agent"):
        ledger.decode(data.encode())


def test_a_file_that_cannot_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    ledger.write(tmp_path / "ledger", FULL)
    (tmp_path / "ledger.new").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        ledger.write(tmp_path / "ledger", Ledger("boot", "kernel"))
    assert ledger.read(tmp_path / "ledger") == FULL
