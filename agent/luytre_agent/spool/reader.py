"""Reading waiting batches back, one at a time, while others are appended, settled and dropped.

Classes take turns (`classes.Turns`); in a class the oldest comes first. Files are not kept open between classes for
longer than a segment lasts, and one batch at a time is in memory.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

from luytre_agent.spool.classes import NAMES, Turns
from luytre_agent.spool.index import SegmentIndex
from luytre_agent.spool.mend import Mender
from luytre_agent.spool.model import Place, Position, Stored
from luytre_agent.spool.segment import HEAD_SIZE, HEADER_SIZE, PREFIX_SIZE, Record, length_of, peek, unpack
from luytre_agent.spool.shelf import Shelf

_RANKS = range(len(NAMES))


class Reader:
    """Reads the shelf. `changed` is held to look at it, not while a file is read.

    mender: hears of files that are not as they should be, and of errors of the disk; then nothing more of that class is
    read for a while, because what comes behind must not overtake it.
    """

    def __init__(self, shelf: Shelf, changed: threading.Condition, mender: Mender) -> None:
        self._shelf = shelf
        self._changed = changed
        self._mender = mender

    def pending(
        self, after: Position | None = None, may: Callable[[int], bool] = lambda rank: True
    ) -> Iterator[Stored]:
        """The batches behind `after` that are not settled, by class and age, up to the newest now; of those classes
        that `may` go."""
        position = after or Position()
        turns = Turns()
        walks: list[Iterator[tuple[Record | None, Place]] | None] = [None for _ in _RANKS]
        while any(waiting := self._waiting(position, may)):
            rank = turns.choose(waiting)
            walk = walks[rank] = walks[rank] or self._walk(rank, position.places[rank])
            found = next(walk, None)
            if found is None:
                walks[rank] = None
                continue
            record, place = found
            position = position.with_place(rank, place)
            if record is not None:
                turns.sent(rank, len(record.batch), waiting)
                yield Stored(record, position)

    def _waiting(self, position: Position, may: Callable[[int], bool]) -> list[bool]:
        """The classes that have something behind the position that can be read, and that may go."""
        with self._changed:
            return [
                may(rank)
                and self._shelf.behind(rank, position.places[rank]) is not None
                and self._mender.readable(rank)
                for rank in _RANKS
            ]

    def _walk(self, rank: int, place: Place) -> Iterator[tuple[Record | None, Place]]:
        """The next batches of a class, and where each leaves us; without one where there was nothing to send."""
        with self._changed:
            segment = self._shelf.behind(rank, place)
            if segment is None:
                return
            end = segment.end
        if segment.number > place.segment or place.offset < HEADER_SIZE:
            place = Place(segment.number, HEADER_SIZE)
        try:
            for record in self._read(segment, place.offset, end):
                place = Place(segment.number, record.end)
                if segment.dropped:  # and told of as a gap: it must not go out as well
                    break
                if not self._is_settled(segment, record):
                    yield record, place
        except OSError as error:
            self._mender.unreadable(segment, error)
            return
        with self._changed:
            if not segment.dropped:
                place = Place(segment.number, end)
        yield None, place

    def oldest_us(self) -> int:
        """When the oldest batch that waits was appended, microseconds since 1970; 0 if there is none. Without the
        lock."""
        return min(filter(None, map(self._oldest_us_of, _RANKS)), default=0)

    def _oldest_us_of(self, rank: int) -> int:
        segment = next((one for one in tuple(self._shelf.classes[rank]) if not one.settled), None)
        if segment is None:
            return 0
        with suppress(OSError), segment.path.open("rb", buffering=0) as file:
            offset = HEADER_SIZE
            while record := peek(os.pread(file.fileno(), HEAD_SIZE, offset), segment.mark, segment.version, offset):
                if not self._is_settled(segment, record):
                    return record.appended_us or int(segment.oldest * 1e6)
                offset = record.end
        return 0

    def _is_settled(self, segment: SegmentIndex, record: Record) -> bool:
        run = segment.runs.get(record.key)
        return run is None or run.is_settled(record.first)

    def _read(self, segment: SegmentIndex, offset: int, end: int) -> Iterator[Record]:
        try:
            fd = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # settled or evicted since we looked, or taken away by somebody
            self._mender.repair(segment)
            return
        try:
            while offset < end:
                length = length_of(os.pread(fd, PREFIX_SIZE, offset), segment.mark)
                data = os.pread(fd, PREFIX_SIZE + length, offset) if length else b""
                record = unpack(data, 0, segment.mark, segment.version)
                if record is None:
                    self._mender.repair(segment)
                    return
                offset += record.end
                yield replace(record, offset=offset - record.end, end=offset)
        finally:
            os.close(fd)
