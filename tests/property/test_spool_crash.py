"""The spool after any end: every file of a recorded run is cut at every byte, torn, flipped, zeroed or taken away."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from luytre_agent.spool import Config, Spool
from luytre_agent.spool.segment import HEADER_SIZE, scan

Name = tuple[str, str, int]


@dataclass(frozen=True)
class Sealed:
    table: str
    rows: int
    body: bytes
    first_event: int = 1
    last_event: int = 2
    raw_size: int = 10


def open_spool(directory: Path, kernel: str = "kernel") -> Spool:
    spool = Spool(
        Config(directory=directory, segment_bytes=4096, max_bytes=1 << 20, fsync="never", ledger_seconds=0.0),
        lambda sealed, key, first, now: sealed.body,
        lambda: 0.0,
        kernel,
    )
    spool.open()
    return spool


def name(record: object) -> Name:
    return (record.key.boot_id, record.key.stream, record.first)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Run:
    """A folder as it was after some work, every batch ever accepted, and those that the collector had stored."""

    folder: Path
    accepted: dict[Name, bytes]
    stored: frozenset[Name]
    killed: bool


@pytest.fixture(scope="module", params=["killed", "closed"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as temporary:
        root = Path(temporary)
        spool = open_spool(root / "spool")
        for number in range(9):
            table = ("flows", "dns")[number % 3 == 0]
            spool.append(Sealed(table, number + 1, b"batch %d " % number * (80 if number == 4 else 50)), 0.0)
        waiting = [one.record for one in spool.pending()]
        spool.refuse(*name(waiting[2]))
        spool.acknowledge(spool.boot_id, "dns", waiting[0].last)
        for number in (9, 10):  # the ledger on the disk does not know these
            spool.append(Sealed("flows", number + 1, b"late batch"), 0.0)
        waiting += [one.record for one in spool.pending()][-2:]
        accepted = {name(record): record.batch for record in waiting}
        if request.param == "closed":
            spool.close()
        shutil.copytree(root / "spool", root / "recorded")
        stored = frozenset({name(waiting[0]), name(waiting[2])})
        yield Run(root / "recorded", accepted, stored, request.param == "killed")


def untouched(run: Run, folder: Path) -> set[Name]:
    """The batches whose bytes are still there, in a segment whose header is still the same."""
    found = set()
    for file in run.folder.glob("*.seg"):
        before, now = file.read_bytes(), folder / file.name
        if now.exists() and now.read_bytes()[:HEADER_SIZE] == before[:HEADER_SIZE]:
            records = scan(before).records
            found |= {name(one) for one in records if before[one.offset : one.end] in now.read_bytes()}
    return found


def reopen(run: Run, path: str, data: bytes | None) -> None:
    """Open the run with one file changed, and hold what must hold."""
    with tempfile.TemporaryDirectory(dir=run.folder.parent) as temporary:
        folder = Path(temporary) / "spool"
        shutil.copytree(run.folder, folder)
        if data is None:
            (folder / path).unlink()
        else:
            (folder / path).write_bytes(data)
        sound = untouched(run, folder)
        spool = open_spool(folder)
        waiting = {name(one.record): one.record.batch for one in spool.pending()}
        missing = sound - waiting.keys()
        assert missing <= run.stored, "an accepted batch that was not torn is lost"
        assert all(run.accepted[one] == batch for one, batch in waiting.items()), "a batch changed"
        for table in ("flows", "dns"):
            assert spool.append(Sealed(table, 1, b"new rows"), 0.0)
        new = {name(one.record) for one in spool.pending()} - waiting.keys()
        assert len(new) == 2
        for boot, stream, first in new:
            old = [one + rows for (b, s, one), rows in _rows(run).items() if (b, s) == (boot, stream)]
            assert first >= max(old, default=0), "a sequence number names two different rows"
        spool.close()


def _rows(run: Run) -> dict[Name, int]:
    return {one: number + 1 for number, one in enumerate(run.accepted)}


def test_cut_at_every_byte(run: Run) -> None:
    for file in sorted(run.folder.iterdir()):
        data = file.read_bytes()
        step = 1 if run.killed else 7
        for size in range(0, len(data), step):
            reopen(run, file.name, data[:size])


def test_every_file_taken_away(run: Run) -> None:
    for file in sorted(run.folder.iterdir()):
        reopen(run, file.name, None)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(draw=st.data())
def test_flipped_torn_zeroed(run: Run, draw: st.DataObject) -> None:
    file = draw.draw(st.sampled_from(sorted(run.folder.iterdir())))
    data = bytearray(file.read_bytes())
    start = draw.draw(st.integers(0, max(len(data) - 1, 0)))
    size = draw.draw(st.integers(1, 64))
    change = draw.draw(st.sampled_from(["flip", "zero", "remove", "garbage behind", "zeros behind"]))
    if change == "flip" and data:
        data[start] ^= 1 << draw.draw(st.integers(0, 7))
    elif change == "zero":
        data[start : start + size] = bytes(len(data[start : start + size]))
    elif change == "remove":
        del data[start : start + size]
    else:
        data += draw.draw(st.binary(min_size=1, max_size=64)) if change == "garbage behind" else bytes(size)
    reopen(run, file.name, bytes(data))
