"""Opening a folder that may have been left in any state: every sound record is kept, everything else is counted."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass, field
from pathlib import Path

from luytre_common.errors import UserError
from luytre_common.telemetry import Counters

from luytre_agent.spool import ledger as ledgers
from luytre_agent.spool.index import SegmentIndex
from luytre_agent.spool.ledger import Ledger
from luytre_agent.spool.segment import HEADER_SIZE, VERSION, Scan, header, pack, scan

LEDGER = "ledger"
SEGMENT_SUFFIX = ".seg"
CORRUPT_SUFFIX = ".corrupt"

_log = logging.getLogger("luytre.spool")


@dataclass
class Recovered:
    """What was found. `sound`: no sign that anything was lost, so the numbering may go on."""

    ledger: Ledger | None
    sound: bool
    segments: list[SegmentIndex] = field(default_factory=list)
    next_number: int = 0


def segment_path(directory: Path, number: int) -> Path:
    """The file of a segment."""
    return directory / f"{number:016x}{SEGMENT_SUFFIX}"


def recover(directory: Path, counters: Counters) -> Recovered:
    """Read the folder, cut torn tails, set corrupt files aside. UserError if a newer agent wrote it."""
    ledger = _ledger(directory, counters)
    found = Recovered(ledger, sound=ledger is not None and ledger.clean)
    for path in sorted(directory.iterdir()):
        if path.suffix == ".new":
            path.unlink()
            continue
        number = _number(path)
        if number is None:
            continue
        found.next_number = max(found.next_number, number + 1)
        if path.suffix == SEGMENT_SUFFIX:
            segment, sound = take_in(path, number, counters)
            found.sound &= sound
            if segment is not None:
                found.segments.append(segment)
    if ledger is not None:
        for segment in found.segments:
            for key, run in segment.runs.items():
                if key.boot_id == ledger.boot_id and run.lasts[-1] >= ledger.next.get(key.stream, 0):
                    found.sound = False
    return found


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


def take_in(path: Path, number: int, counters: Counters) -> tuple[SegmentIndex | None, bool]:
    """What is sound in a segment file (None: nothing, and the file is gone), and whether all of it was."""
    data = path.read_bytes()
    result = scan(data)
    if result.version not in (0, VERSION):
        raise UserError(
            f"{path}: written in format {result.version}, this agent knows {VERSION}; "
            "install the newer agent again or give an empty [spool] directory"
        )
    if result.torn:
        counters.add("torn_tails")
        counters.add("torn_bytes", result.torn)
    if result.corrupt:
        _quarantine(path, data, result, counters)
    elif result.torn and result.records:
        with path.open("r+b") as file:
            file.truncate(result.end)
    sound = not (result.torn or result.corrupt)
    if not result.records:
        path.unlink(missing_ok=True)
        return None, sound
    if result.corrupt:
        result = scan(path.read_bytes())
    segment = SegmentIndex(number, path, result.mark, HEADER_SIZE)
    for record in result.records:
        segment.add(record)
    return segment, sound


def _quarantine(path: Path, data: bytes, result: Scan, counters: Counters) -> None:
    """Keep the file for inspection under another name, and its sound records, if any, under the old one.

    The copy gets its name first and the sound records replace the original at once: a crash in between repeats this.
    """
    aside = path.with_suffix(CORRUPT_SUFFIX)
    counters.add("segments_corrupt")
    counters.add("corrupt_bytes", result.corrupt)
    _log.warning(
        "%s: %d bytes are damaged; kept as %s, %d sound batches go on",
        path,
        result.corrupt,
        aside.name,
        len(result.records),
    )
    with contextlib.suppress(FileExistsError):
        aside.hardlink_to(path)
    if result.records:
        beside = path.with_name(path.name + ".new")
        beside.write_bytes(header(result.mark) + b"".join(pack(result.mark, record) for record in result.records))
        beside.replace(path)
