from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from luytre_agent.spool import Config, Spool, verify
from luytre_agent.spool.segment import pack, scan
from luytre_agent.uplink import encode
from luytre_common.errors import UserError
from luytre_common.wire.v1 import ingest_pb2 as pb


@pytest.fixture
def spool(tmp_path: Path, sealed: Any) -> Spool:
    """A hundred batches of three classes, some stored, one refused; real messages."""
    made = Spool(
        Config(directory=tmp_path / "spool", segment_bytes=4096, max_bytes=1 << 20), encode, lambda: 1000.0, "kernel"
    )
    made.open()
    for number in range(100):
        made.append(sealed(table=("flows", "logins", "dns")[number % 3], body=b"body %d" % number), 1000.0)
    made.acknowledge(made.boot_id, "flows", 38)
    made.refuse(made.boot_id, "dns", 6)
    return made


def segments(spool: Spool) -> list[Path]:
    return sorted(spool.config.directory.glob("*.seg"))


def whats(spool: Spool) -> list[str]:
    return [f"{one.file}@{one.offset} {one.what}" for one in verify(spool.config).faults]


def test_all_is_sound_while_it_runs_and_after(spool: Spool, sealed: Any, make_spool: Callable[..., Spool]) -> None:
    verdict = verify(spool.config)
    assert (verdict.faults, verdict.notes, verdict.unchained) == ([], [], 0)
    assert verdict.holder
    assert verdict.batches > 80
    assert verdict.rows == 3 * verdict.batches
    spool.close()
    verdict = verify(spool.config)
    assert (verdict.faults, verdict.notes, verdict.holder) == ([], [], 0)


def test_a_flipped_bit_is_found_where_it_is(spool: Spool) -> None:
    spool.close()
    path = segments(spool)[-1]
    record = scan(path.read_bytes()).records[3]
    data = bytearray(path.read_bytes())
    data[record.end - 1] ^= 1
    path.write_bytes(data)
    found = whats(spool)
    assert found[0] == f"{path.name}@{record.offset} {record.end - record.offset} bytes are damaged"
    assert f"{record.key.stream} {record.first} to {record.last} of {record.key.boot_id} are missing" in found[1]


def rewritten(path: Path, number: int, change: Callable[[pb.Batch], None]) -> int:
    """Alter the n-th batch as somebody would who knows the format; its offset."""
    result = scan(path.read_bytes())
    old = result.records[number]
    batch = pb.Batch.FromString(old.batch)
    change(batch)
    new = pack(result.mark, old.__class__(old.key, old.table, old.first, old.rows, batch.SerializeToString()))
    data = path.read_bytes()
    path.write_bytes(data[: old.offset] + new + data[old.end :])
    return old.offset


def test_an_altered_batch_breaks_the_chain(spool: Spool) -> None:
    spool.close()
    path = segments(spool)[-1]

    def change(batch: pb.Batch) -> None:
        batch.body = b"somebody else's"
        batch.body_crc32 = zlib.crc32(batch.body)

    offset = rewritten(path, 2, change)
    found = whats(spool)
    assert len(found) == 1
    assert found[0].startswith(f"{path.name}@{offset} ")
    assert "does not follow the batch before in the hash chain" in found[0]


def test_an_envelope_that_says_something_else(spool: Spool) -> None:
    spool.close()
    path = segments(spool)[-1]
    rewritten(path, 2, lambda batch: setattr(batch, "body", b"!"))
    assert any("the body has another checksum" in one for one in whats(spool))
    rewritten(path, 2, lambda batch: setattr(batch, "first_sequence", 7))
    assert any("the message says that it is" in one for one in whats(spool))
    rewritten(path, 2, lambda batch: batch.Clear())
    assert any("the message says that it is" in one for one in whats(spool))


def test_numbers_that_were_given_twice(spool: Spool) -> None:
    spool.close()
    path = segments(spool)[-1]
    result = scan(path.read_bytes())
    with path.open("ab") as file:
        file.write(pack(result.mark, result.records[0]))
    assert any("numbers that were given before" in one for one in whats(spool))


def test_a_segment_that_is_missing(spool: Spool) -> None:
    spool.close()
    path = segments(spool)[-1]
    records = scan(path.read_bytes()).records
    path.unlink()
    streams = {one.key.stream for one in records}
    found = whats(spool)
    assert len(found) == len(streams)
    assert all("are missing" in one for one in found)


def test_a_torn_tail_is_a_note(spool: Spool, tmp_path: Path) -> None:
    spool.close()
    path = segments(spool)[-1]
    (spool.config.directory / "ledger").unlink()
    path.write_bytes(path.read_bytes()[:-3])
    verdict = verify(spool.config)
    assert verdict.faults == []
    assert "of a batch that was never accepted" in verdict.notes[0].what


def test_what_no_agent_wrote(spool: Spool) -> None:
    spool.close()
    (spool.config.directory / "00000000000000ff.seg").write_bytes(b"?" * 50)
    (spool.config.directory / "ledger").write_text("?")
    found = whats(spool)
    assert "00000000000000ff.seg@0 50 bytes are damaged" in found
    assert "ledger@0 the ledger is damaged: everything will be sent again" in found


def test_without_a_spool(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no spool is here yet"):
        verify(Config(directory=tmp_path / "spool"))
