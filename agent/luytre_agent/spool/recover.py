"""Opening a folder that may have been left in any state: every sound record is kept, everything else is counted."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from luytre_common.durable import replace_file
from luytre_common.errors import UserError
from luytre_common.telemetry import Counters

from luytre_agent.batch import Key
from luytre_agent.spool import ledger as ledgers
from luytre_agent.spool.classes import class_of
from luytre_agent.spool.gaps import Ranges
from luytre_agent.spool.index import SegmentIndex
from luytre_agent.spool.ledger import Ledger, Telling
from luytre_agent.spool.segment import HEADER_SIZE, KNOWN, VERSION, Scan, header, pack, scan

LEDGER = "ledger"
SEGMENT_SUFFIX = ".seg"
CORRUPT_SUFFIX = ".corrupt"

#: What is given up at a place that the disk does not give.
_PIECE = 4096

_log = logging.getLogger("luytre.spool")


@dataclass
class Recovered:
    """What was found.

    sound: no sign that anything was lost, so the numbering may go on.
    told: the batch that tells the gaps of `Ledger.telling` is there.
    """

    ledger: Ledger | None
    sound: bool
    segments: list[SegmentIndex] = field(default_factory=list)
    next_number: int = 0
    told: bool = False


def segment_path(directory: Path, number: int) -> Path:
    """The file of a segment."""
    return directory / f"{number:016x}{SEGMENT_SUFFIX}"


def recover(directory: Path, counters: Counters) -> Recovered:
    """Read the folder, cut torn tails, set corrupt files aside. UserError if a newer agent wrote it."""
    ledger = _ledger(directory, counters)
    found = Recovered(ledger, sound=ledger is not None and ledger.clean)
    telling = ledger.telling if ledger else None
    for path in sorted(directory.iterdir()):
        if path.suffix == ".new":
            path.unlink()
            continue
        number = _number(path)
        if number is None:
            continue
        found.next_number = max(found.next_number, number + 1)
        if path.suffix == SEGMENT_SUFFIX:
            taken = take_in(path, number, counters, telling)
            found.sound &= taken.sound
            found.told |= taken.told
            if taken.segment is not None:
                found.segments.append(taken.segment)
    if ledger is not None:
        found.sound &= _may_go_on(ledger, found.segments)
    return found


def _may_go_on(ledger: Ledger, segments: Iterable[SegmentIndex]) -> bool:
    """Whether the ledger knows every batch of its numbering, what the next ones follow, and each lies in the class that
    the next one will lie in: a numbering in two classes would not be sent in order."""
    if ledger.next.keys() - ledger.chain.keys():
        return False
    return not any(
        key.boot_id == ledger.boot_id
        and (run.lasts[-1] >= ledger.next.get(key.stream, 0) or class_of(run.table) != segment.rank)
        for segment in segments
        for key, run in segment.runs.items()
    )


def unexplained(ledger: Ledger, segments: Iterable[SegmentIndex]) -> Iterator[tuple[Key, int, int]]:
    """The rows that have numbers, are not stored, and neither wait nor are known to be gone: they are lost."""
    there: dict[Key, Ranges] = {}
    if ledger.complete:
        there = {Key(ledger.boot_id, stream): Ranges() for stream in ledger.next}
    for segment in segments:
        for key, run in segment.runs.items():
            ranges = there.setdefault(key, Ranges())
            for first, last in zip(run.firsts, run.lasts, strict=True):
                ranges.add(first, last)
    for key, ranges in there.items() if ledger.complete else ():
        ends = [last for _, last in ranges]
        if key.boot_id == ledger.boot_id:
            ends.append(ledger.next.get(key.stream, 0) - 1)
        for first, last in ledger.gone.get(key, ()):
            ranges.add(first, last)
        for first, last in ranges.holes(ledger.through.get(key, -1) + 1, max(ends)):
            yield key, first, last


def _number(path: Path) -> int | None:
    if path.suffix not in (SEGMENT_SUFFIX, CORRUPT_SUFFIX) or len(path.stem) != 16:
        return None
    try:
        return int(path.stem, 16)
    except ValueError:
        return None


def _ledger(directory: Path, counters: Counters) -> Ledger | None:
    path = directory / LEDGER
    try:
        return ledgers.read(path)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        counters.add("ledgers_corrupt")
        path.replace(path.with_name(LEDGER + CORRUPT_SUFFIX))
        _log.warning("%s is damaged (%s); everything in the spool will be sent again", path, error)
        return None


@dataclass(frozen=True, slots=True)
class Taken:
    """What is sound in a segment file (None: nothing, and the file is gone), whether all of it was, and whether the
    batch that tells of gaps is in it."""

    segment: SegmentIndex | None
    sound: bool
    told: bool = False


def take_in(path: Path, number: int, counters: Counters, telling: Telling | None = None) -> Taken:
    """Look through a segment file, and mend it."""
    data, unreadable = _read_what_can_be(path)
    result = scan(data)
    if result.version not in (0, *KNOWN):
        raise UserError(
            f"{path}: written in format {result.version}, this agent knows {VERSION}; "
            "install the newer agent again or give an empty [spool] directory"
        )
    if result.torn:
        counters.add("torn_tails")
        counters.add("torn_bytes", result.torn)
    if result.corrupt or unreadable:
        _quarantine(path, result, counters)
    elif result.torn and result.records:
        os.truncate(path, result.end)
    sound = not (result.torn or result.corrupt or unreadable)
    if not result.records:
        path.unlink(missing_ok=True)
        return Taken(None, sound)
    made = path.stat().st_mtime
    if result.corrupt or unreadable:
        result = scan(path.read_bytes())
    segment = SegmentIndex(number, path, result.mark, HEADER_SIZE, result.rank, result.version)
    for record in result.records:
        segment.add(record)
    segment.newest = segment.newest or made
    segment.oldest = segment.oldest or segment.newest
    told = telling is not None and any(
        record.key == telling.key and record.first == telling.first and zlib.crc32(record.batch) == telling.crc
        for record in result.records
    )
    return Taken(segment, sound, told)


def _read_what_can_be(path: Path) -> tuple[bytes, bool]:
    """The file, zeros where the disk does not give it; whether there was such a place. OSError if nothing was given."""
    try:
        return path.read_bytes(), False
    except OSError as error:
        if error.errno != errno.EIO:
            raise
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        pieces: list[bytes] = []
        given = False
        for offset in range(0, size, _PIECE):
            length = min(_PIECE, size - offset)
            try:
                piece = os.pread(fd, length, offset)
                given = True
            except OSError:
                piece = b""
            pieces.append(piece.ljust(length, b"\0"))
    finally:
        os.close(fd)
    if not given:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
    return b"".join(pieces), True


def _quarantine(path: Path, result: Scan, counters: Counters) -> None:
    """Keep the file for inspection under another name, and its sound records, if any, under the old one.

    The copy gets its name first and the sound records replace the original at once: a crash in between repeats this.
    """
    aside = path.with_suffix(CORRUPT_SUFFIX)
    with contextlib.suppress(FileExistsError):
        aside.hardlink_to(path)
    if result.records:
        sound = header(result.mark, result.rank) + b"".join(pack(result.mark, record) for record in result.records)
        replace_file(path, sound)
    counters.add("segments_corrupt")
    counters.add("corrupt_bytes", result.corrupt)
    _log.warning(
        "%s: %d bytes are damaged; kept as %s, %d sound batches go on",
        path,
        result.corrupt,
        aside.name,
        len(result.records),
    )
