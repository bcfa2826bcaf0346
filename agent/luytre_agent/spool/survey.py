"""What a spool holds, read from its files alone: beside a running agent, without its lock, and of a stopped one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from luytre_common.errors import UserError

from luytre_agent.spool import ledger as ledgers
from luytre_agent.spool.classes import NAMES, class_of
from luytre_agent.spool.ledger import Ledger
from luytre_agent.spool.model import Config
from luytre_agent.spool.recover import CORRUPT_SUFFIX, LEDGER, SEGMENT_SUFFIX
from luytre_agent.spool.segment import HEAD_SIZE, HEADER_SIZE, KNOWN, Record, peek, read_header

#: A rate that is taken from less than so many seconds is none.
_SPAN_S = 60.0


@dataclass
class Share:
    """The batches of one table (or class, or all): how many there are, how many of them wait, and since when, in
    microseconds since 1970; 0 is unknown, or none."""

    batches: int = 0
    rows: int = 0
    bytes: int = 0
    waiting_batches: int = 0
    waiting_rows: int = 0
    waiting_bytes: int = 0
    oldest_waiting_us: int = 0
    first_us: int = 0
    last_us: int = 0

    def add(self, record: Record, waits: bool) -> None:
        """One more batch."""
        size, at = record.end - record.offset, record.appended_us
        self.batches += 1
        self.rows += record.rows
        self.bytes += size
        self.first_us = _earlier(self.first_us, at)
        self.last_us = max(self.last_us, at)
        if waits:
            self.waiting_batches += 1
            self.waiting_rows += record.rows
            self.waiting_bytes += size
            self.oldest_waiting_us = _earlier(self.oldest_waiting_us, at)


def _earlier(one: int, other: int) -> int:
    return min(one, other) if one and other else one or other


@dataclass
class Survey:
    """The whole of it.

    holder: the process that has it, 0 for none. bytes: of all files. aside: files set aside, and their bytes.
    gaps: rows that are lost and not yet told of. refilled: seconds for which the quota lasts before a class gives way,
    at the rate of what is in it; empty if there is too little to tell a rate from.
    """

    directory: Path
    max_bytes: int
    holder: int = 0
    bytes: int = 0
    segments: int = 0
    aside: tuple[int, int] = (0, 0)
    gaps: int = 0
    all: Share = field(default_factory=Share)
    classes: dict[str, Share] = field(default_factory=lambda: {name: Share() for name in NAMES})
    tables: dict[str, Share] = field(default_factory=dict)

    @property
    def span_s(self) -> float:
        """The time that what is in it comes from, seconds."""
        return (self.all.last_us - self.all.first_us) / 1e6 if self.all.first_us else 0.0

    @property
    def lasts_s(self) -> dict[str, float]:
        """By class, seconds from empty until it gives way; empty if there is too little to tell a rate from."""
        if self.span_s < _SPAN_S:
            return {}
        rate, found = 0.0, {}
        for name, share in self.classes.items():
            if share.first_us:
                rate += share.bytes / max(_SPAN_S, (self.all.last_us - share.first_us) / 1e6)
            if rate:
                found[name] = self.max_bytes / rate
        return found

    @property
    def left_s(self) -> float | None:
        """Seconds from now until the first batch must go; None if there is too little to tell a rate from."""
        lasts = self.lasts_s
        waiting = self.all.waiting_bytes + self.aside[1]
        return max(0.0, 1 - waiting / self.max_bytes) * min(lasts.values()) if lasts else None


def survey(config: Config) -> Survey:
    """Look at every batch's head. UserError if there is no spool, or it may not be read."""
    directory = config.directory
    found = Survey(directory, config.max_bytes)
    try:
        names = sorted(directory.iterdir())
        known = read_ledger(directory)
        found.holder = holder(directory)
        for path in names:
            with suppress(FileNotFoundError):
                if path.suffix == CORRUPT_SUFFIX:
                    found.aside = (found.aside[0] + 1, found.aside[1] + path.stat().st_size)
                if path.suffix == SEGMENT_SUFFIX:
                    found.segments += 1
                    _take(found, path, known)
                found.bytes += path.stat().st_size
    except OSError as error:
        raise unreadable(directory, error) from None
    found.gaps = sum(gap.last - gap.first + 1 for gap in known.gaps) if known else 0
    return found


def unreadable(directory: Path, error: OSError) -> UserError:
    """What to say when a spool cannot be read."""
    if isinstance(error, FileNotFoundError):
        return UserError(f"{directory}: no spool is here yet; start the agent, or name its configuration with --config")
    thing = error.filename if isinstance(error.filename, str) else directory
    return UserError(f"{thing}: {error.strerror}; run this as the agent's user or root")


def _take(found: Survey, path: Path, known: Ledger | None) -> None:
    for record in heads(path):
        waits = not is_settled(known, record)
        table = found.tables.setdefault(record.table, Share())
        for share in (found.all, found.classes[NAMES[class_of(record.table)]], table):
            share.add(record, waits)


def is_settled(known: Ledger | None, record: Record) -> bool:
    """Whether the ledger says that the batch needs no sending any more."""
    if known is None:
        return False
    gone = known.gone.get(record.key)
    return record.last <= known.through.get(record.key, -1) or (gone is not None and record.first in gone)


def heads(path: Path) -> Iterator[Record]:
    """The records of a segment without their batches, unchecked, up to the first that is not whole. OSError."""
    with path.open("rb", buffering=0) as file:
        fd = file.fileno()
        size = os.fstat(fd).st_size
        head = read_header(os.pread(fd, HEADER_SIZE, 0))
        offset = HEADER_SIZE
        while head.version in KNOWN:
            record = peek(os.pread(fd, HEAD_SIZE, offset), head.mark, head.version, offset)
            if record is None or record.end > size:
                return
            yield record
            offset = record.end


def read_ledger(directory: Path) -> Ledger | None:
    """The ledger; None if there is none that can be believed."""
    try:
        return ledgers.read(directory / LEDGER)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def holder(directory: Path) -> int:
    """The process that has the spool, 0 for none; found out without touching the lock (proc_locks(5))."""
    try:
        inode = (directory / "lock").stat().st_ino
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return 0
    for line in lines:
        fields = line.split()
        if "FLOCK" in fields and len(fields) > 5 and fields[5].rpartition(":")[2] == str(inode):
            return max(0, int(fields[4]))
    return 0
