"""Every byte of a spool held against what its format, its numbering and its hash chain say. Changes nothing."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf.message import DecodeError
from luytre_common.wire import chain
from luytre_common.wire.v1 import ingest_pb2 as pb

from luytre_agent.batch import Key
from luytre_agent.spool.classes import NAMES, class_of
from luytre_agent.spool.gaps import Ranges
from luytre_agent.spool.ledger import Ledger
from luytre_agent.spool.model import Config
from luytre_agent.spool.recover import LEDGER, SEGMENT_SUFFIX
from luytre_agent.spool.segment import KNOWN, Record, Scan, scan
from luytre_agent.spool.survey import holder, read_ledger, unreadable


@dataclass(frozen=True, slots=True)
class Fault:
    """Something is wrong at a byte of a file."""

    file: str
    offset: int
    what: str


@dataclass
class Verdict:
    """What was looked at and what is wrong. notes: what is not as it was, and no fault: a start mends it."""

    directory: Path
    holder: int = 0
    segments: int = 0
    batches: int = 0
    rows: int = 0
    unchained: int = 0
    faults: list[Fault] = field(default_factory=list)
    notes: list[Fault] = field(default_factory=list)


@dataclass
class _Numbering:
    """How far one numbering was read: its ranges, and what the next batch may follow."""

    seen: Ranges = field(default_factory=Ranges)
    last: int = -1
    bases: tuple[bytes, ...] = ()


def verify(config: Config) -> Verdict:
    """Read all of it. UserError if there is no spool, or it may not be read."""
    directory = config.directory
    verdict = Verdict(directory)
    try:
        verdict.holder = holder(directory)
        paths = sorted(path for path in directory.iterdir() if path.suffix == SEGMENT_SUFFIX)
        before = read_ledger(directory)
        numberings: dict[Key, _Numbering] = {}
        newest: dict[int, str] = {}
        torn: list[tuple[Path, Scan]] = []
        for path in paths:
            with suppress(FileNotFoundError):  # delivered meanwhile
                result = scan(path.read_bytes())
                newest[result.rank] = path.name
                torn += [(path, result)] if result.torn else []
                _segment(verdict, path, result, numberings, before)
        known = read_ledger(directory)
    except OSError as error:
        raise unreadable(directory, error) from None
    for path, result in torn:
        if not verdict.holder or newest[result.rank] != path.name:
            verdict.notes.append(
                Fault(path.name, result.end, f"{result.torn} bytes of a batch that was never accepted")
            )
    if known is None:
        if (directory / LEDGER).exists():
            verdict.faults.append(Fault(LEDGER, 0, "the ledger is damaged: everything will be sent again"))
    else:
        verdict.faults += _missing(known, numberings, running=bool(verdict.holder))
    return verdict


def _segment(
    verdict: Verdict, path: Path, result: Scan, numberings: dict[Key, _Numbering], known: Ledger | None
) -> None:
    if result.version not in (0, *KNOWN):
        verdict.faults.append(
            Fault(path.name, 8, f"written in format {result.version}, which this agent does not know")
        )
        return
    verdict.segments += 1
    for offset, size in result.damage:
        verdict.faults.append(Fault(path.name, offset, f"{size} bytes are damaged"))
    for record in result.records:
        verdict.batches += 1
        verdict.rows += record.rows
        if result.version > 1 and class_of(record.table) != result.rank:
            what = f"a batch of {record.table} in a segment of class {NAMES[result.rank]}"
            verdict.notes.append(Fault(path.name, record.offset, what))
        numbering = numberings.setdefault(record.key, _Numbering())
        gone = known.gone.get(record.key, Ranges()) if known else Ranges()
        for what in _batch(verdict, record, numbering, record.first in gone):
            verdict.faults.append(Fault(path.name, record.offset, what))


def _batch(verdict: Verdict, record: Record, numbering: _Numbering, is_gone: bool) -> Iterator[str]:
    """What is wrong with a batch: its envelope, its numbers, its place in the chain."""
    rows = f"{record.key.stream} {record.first} to {record.last}"
    follows = record.first == numbering.last + 1
    if record.first <= numbering.last:
        yield f"{rows}: numbers that were given before"
    numbering.seen.add(record.first, record.last)
    numbering.last = max(numbering.last, record.last)
    try:
        batch = pb.Batch.FromString(record.batch)
    except DecodeError:
        numbering.bases = ()
        yield f"{rows}: the message cannot be read"
        return
    said = (batch.table, batch.boot_id, batch.stream, batch.first_sequence, batch.row_count)
    if said != (record.table, record.key.boot_id, record.key.stream, record.first, record.rows):
        yield f"{rows}: the message says that it is {batch.stream} {batch.first_sequence} of {batch.boot_id}"
    if zlib.crc32(batch.body) != batch.body_crc32:
        yield f"{rows}: the body has another checksum"
    if not batch.chain:
        verdict.unchained += 1
    bases = numbering.bases if follows else ()
    if record.first == 0:
        bases = (chain.start(record.key.boot_id, record.key.stream),)
    links = [chain.link(base, record.first, record.rows, batch.body) for base in bases]
    if batch.chain and links and batch.chain not in links:
        yield f"{rows}: it does not follow the batch before in the hash chain"
    # What was written and never accepted is in the file, and not in the chain.
    numbering.bases = (batch.chain, *(bases if is_gone else ())) if batch.chain else ()


def _missing(known: Ledger, numberings: dict[Key, _Numbering], running: bool) -> Iterator[Fault]:
    """Rows that should be there. A running agent may have given numbers out since we looked."""
    if not known.complete:
        return
    if not running:
        for stream in known.next:
            numberings.setdefault(Key(known.boot_id, stream), _Numbering())
    for key, numbering in sorted(numberings.items()):
        high = numbering.last
        if not running and key.boot_id == known.boot_id:
            high = max(high, known.next.get(key.stream, 0) - 1)
        explained = Ranges(numbering.seen)
        for first, last in known.gone.get(key, ()):
            explained.add(first, last)
        for first, last in explained.holes(known.through.get(key, -1) + 1, high):
            yield Fault(LEDGER, 0, f"{key.stream} {first} to {last} of {key.boot_id} are missing")
