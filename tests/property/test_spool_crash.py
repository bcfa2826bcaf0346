"""The spool after any end.

Every file of a run is cut at every byte, flipped, zeroed or taken away. And a run is recorded, operation by operation,
to be ended at each of them: by a kill in the middle of a write, and by a power cut that leaves what was synced and any
part of the rest.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from luytre_agent.spool import Config, Spool
from luytre_agent.spool.segment import HEADER_SIZE, scan

from tests.support.disk import Contents, Event, Recorder, durable, killed, powerless
from tests.support.spooled import gaps

Name = tuple[str, str, int]
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


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
        lambda sealed, key, first, now, link: sealed.body,
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
    rows: dict[Name, int]
    stored: frozenset[Name]
    killed: bool


@pytest.fixture(scope="module", params=["killed", "closed"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as temporary:
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
        waiting += [one.record for one in spool.pending() if one.record.table == "flows"][-2:]
        accepted = {name(record): record.batch for record in waiting}
        if request.param == "closed":
            spool.close()
        shutil.copytree(root / "spool", root / "recorded")
        (root / "recorded/spare").unlink()  # nothing is in it
        stored = frozenset({name(waiting[0]), name(waiting[2])})
        rows = {name(record): record.rows for record in waiting}
        yield Run(root / "recorded", accepted, rows, stored, request.param == "killed")


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
        assert all(one[1] == "ledger" or run.accepted[one] == batch for one, batch in waiting.items()), "it changed"
        for table in ("flows", "dns"):
            assert spool.append(Sealed(table, 1, b"new rows"), 0.0)
        new = {one for one in map(name, (one.record for one in spool.pending())) if one[1] != "ledger"} - waiting.keys()
        assert len(new) == 2
        for boot, stream, first in new:
            old = [one + rows for (b, s, one), rows in run.rows.items() if (b, s) == (boot, stream)]
            assert first >= max(old, default=0), "a sequence number names two different rows"
        spool.close()


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


# The run itself, at every point: each file operation and each part of each write.


@dataclass
class Recorded:
    """A run: what it did to the disk, and, each with the number of file operations before, which batches were accepted,
    which the collector had stored or refused, and of which the ledger knows that."""

    events: list[Event]
    accepted: list[tuple[int, Name, bytes, int]]
    settled: list[tuple[int, Name, int]]
    written: list[tuple[int, Name, int]]
    refused: set[Name]
    policy: str

    def before(self, point: int) -> tuple[dict[Name, tuple[bytes, int]], dict[Name, int]]:
        """The batches that were accepted, and those that may have been settled, when so many operations were done."""
        accepted = {one: (batch, rows) for at, one, batch, rows in self.accepted if at <= point}
        return accepted, {one: rows for at, one, rows in self.settled if at <= point}


def small(directory: Path, policy: str, clock: Callable[[], float] = lambda: 0.0, quota: int = 1 << 20) -> Spool:
    config = Config(
        directory=directory,
        segment_bytes=500,
        max_bytes=quota,
        fsync=policy,
        ledger_seconds=0.0,  # type: ignore[arg-type]
    )
    spool = Spool(config, lambda sealed, key, first, now, link: sealed.body, clock, "kernel")
    spool.open()
    return spool


def record(folder: Path, policy: str) -> Recorded:
    """Appends of all classes, answers, refusals, drops at the quota, told gaps, and a clean restart in between."""
    recorder = Recorder(folder)
    run = Recorded(recorder.events, [], [], [], set(), policy)
    times, quota = [0.0], 8 << 10
    with recorder.recording():
        spool = small(folder, policy, lambda: times[-1], quota)
        for number in range(60):
            times.append(now := number * 1.5)
            table = ("flows", "flows", "logins", "dns")[number % 4]
            key, first = spool.boot_id, spool._books.ledger.next.get(table, 0)
            sealed = Sealed(table, number % 3 + 1, b"batch %d " % number * 14)
            if spool.append(sealed, now):
                run.accepted.append((len(run.events), (key, table, first), sealed.body, sealed.rows))
            if number % 9 == 8 and number < 50:
                answer(spool, run, number)
            if number == 40:
                spool.close()
                spool = small(folder, policy, lambda: times[-1], quota)
        assert spool.counters.get("rows_evicted", "flows")
        assert spool.counters.get("gaps_told")
        spool.close()
    return run


def answer(spool: Spool, run: Recorded, number: int) -> None:
    waiting = [one.record for one in spool.pending() if one.record.table != "ledger"]
    wanted = ("logins", "dns")[number % 2]
    mine = [one for one in waiting if one.table == wanted]
    if number % 4 == 0:
        chosen = waiting[-1]
        run.refused.add(name(chosen))
        run.settled.append((len(run.events), name(chosen), chosen.rows))
        spool.refuse(*name(chosen))
    elif mine:
        last = mine[len(mine) // 2]
        done = [one for one in mine if one.key == last.key and one.last <= last.last]
        run.settled += [(len(run.events), name(one), one.rows) for one in done]
        spool.acknowledge(last.key.boot_id, last.key.stream, last.last)
        run.written += [(len(run.events), name(one), one.rows) for one in done]


def numbers(names: dict[Name, int]) -> set[Name]:
    """All rows of the batches."""
    return {(boot, stream, first + row) for (boot, stream, first), rows in names.items() for row in range(rows)}


def hold(run: Recorded, point: int, contents: Contents, promised: set[Name], again: bool) -> None:
    """Open what is left at that point, and hold what must hold."""
    accepted, settled = run.before(point)
    known = {one: (batch, rows) for _, one, batch, rows in run.accepted}
    with tempfile.TemporaryDirectory(dir=MEMORY) as temporary:
        folder = Path(temporary) / "spool"
        folder.mkdir()
        for file, data in contents.items():
            (folder / file).write_bytes(data)
        spool = small(folder, "never")
        waiting = {name(one.record): one.record for one in spool.pending()}
        told = told_of(spool)
        for one, found in waiting.items():
            assert one[1] == "ledger" or known[one][0] == found.batch, "a batch changed"
        rows = numbers({one: found.rows for one, found in waiting.items()})
        assert len(told) == len(set(told)), "a gap is told twice"
        assert not rows & set(told), "what waits is said to be lost"
        # What the power took of a segment, and was stored just now, cannot be known to be stored.
        sure = settled if promised >= accepted.keys() else {one: rows for at, one, rows in run.written if at <= point}
        stored = numbers({one: rows for one, rows in sure.items() if one not in run.refused})
        assert not stored & set(told), "what was stored is said to be lost"
        lost = numbers({one: accepted[one][1] for one in promised if one in accepted}) - rows - set(told)
        assert not lost - numbers(settled), "an accepted batch is lost in silence"
        given = numbers({one: rows for one, (_, rows) in accepted.items()})
        for table in ("flows", "dns", "logins"):
            key, first = spool.boot_id, spool._books.ledger.next.get(table, 0)
            assert spool.append(Sealed(table, 3, b"new rows"), 0.0)
            assert not numbers({(key, table, first): 3}) & given, "a sequence number names two different rows"
        if again:
            spool.close()
            once_more = small(folder, "never")
            assert {name(one.record) for one in once_more.pending()} >= waiting.keys()
            assert sorted(told_of(once_more)) == sorted(told)
            once_more.close()
        else:
            spool._shelf.roll_all()
            spool._lock.release()


def told_of(spool: Spool) -> list[Name]:
    """The rows that gaps name, those that wait as rows and those that will become rows."""
    rows = [gap for one in spool.pending() if one.record.table == "ledger" for gap in gaps(one.record.batch)]
    more = [(one.key.boot_id, one.key.stream, one.cause, one.first, one.last) for one in spool._books.ledger.gaps]
    return [(boot, stream, one) for boot, stream, _, first, last in rows + more for one in range(first, last + 1)]


@pytest.fixture(scope="module", params=["segment", "batch"])
def recorded(request: pytest.FixtureRequest) -> Iterator[Recorded]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as temporary:
        yield record(Path(temporary) / "spool", request.param)


def test_killed_at_every_operation_and_in_every_write(recorded: Recorded) -> None:
    for point in range(len(recorded.events) + 1):
        promised = set(recorded.before(point)[0])
        hold(recorded, point, killed(recorded.events[:point]), promised, point % 16 == 0)
        event = recorded.events[point] if point < len(recorded.events) else None
        if event and event.kind == "write" and point % 4 == 0:
            step = max(1, len(event.data) // 4)
            for torn in range(1, len(event.data), step):
                hold(recorded, point, killed(recorded.events[: point + 1], torn), promised, False)


def test_power_lost_at_every_operation(recorded: Recorded) -> None:
    chance = random.Random(1)
    for point in range(0, len(recorded.events) + 1, 3 if recorded.policy == "batch" else 1):
        events = recorded.events[:point]
        accepted, settled = recorded.before(point)
        sure = in_segments(durable(events))
        promised = accepted.keys() & sure.keys()
        if recorded.policy == "batch":
            dropped = {one for one in accepted if one not in in_segments(killed(events))}
            assert not accepted.keys() - sure.keys() - settled.keys() - dropped
        else:
            whole = in_segments(killed(events))
            newest = {
                rank: max(segment for segment, other in whole.values() if other == rank) for _, rank in whole.values()
            }
            unsure = {whole[one] for one in accepted.keys() & whole.keys() - sure.keys()}
            assert all(segment == newest[rank] for segment, rank in unsure), "more than the newest segment is at stake"
        if point % 2:
            hold(recorded, point, durable(events), promised, False)
        else:
            hold(recorded, point, powerless(events, chance), promised, False)


def in_segments(contents: Contents) -> dict[Name, tuple[str, int]]:
    """The batches, each with its segment and class."""
    found = {}
    for file, data in contents.items():
        if file.endswith(".seg"):
            result = scan(data)
            found |= {name(one): (file, result.rank) for one in result.records}
    return found
