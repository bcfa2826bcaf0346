"""Reading waiting batches back, one at a time, while others are appended, settled and dropped."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

from luytre_agent.spool.index import SegmentIndex
from luytre_agent.spool.model import Position, Stored
from luytre_agent.spool.segment import HEADER_SIZE, PREFIX_SIZE, Record, length_of, unpack
from luytre_agent.spool.shelf import Shelf


class Reader:
    """Reads the shelf. `changed` is held to look at it, not while a file is read. `repair` is called with a segment
    whose file is not as it should be."""

    def __init__(self, shelf: Shelf, changed: threading.Condition, repair: Callable[[SegmentIndex], None]) -> None:
        self._shelf = shelf
        self._changed = changed
        self._repair = repair

    def pending(self, after: Position | None = None) -> Iterator[Stored]:
        """The batches behind `after` that are not settled, oldest first, up to the newest now."""
        position = after or Position()
        while True:
            with self._changed:
                segment = next((one for one in self._shelf.segments if Position(one.number, one.end) > position), None)
                if segment is None:
                    return
                end = segment.end
            if segment.number > position.segment or position.offset < HEADER_SIZE:
                position = Position(segment.number, HEADER_SIZE)
            for record in self._read(segment, position.offset, end):
                position = Position(segment.number, record.end)
                if not self._is_settled(segment, record):
                    yield Stored(record, position)
            with self._changed:
                if segment in self._shelf.segments:
                    position = Position(segment.number, end)

    def _is_settled(self, segment: SegmentIndex, record: Record) -> bool:
        with self._changed:
            run = segment.runs.get(record.key)
            return run is None or run.is_settled(record.first)

    def _read(self, segment: SegmentIndex, offset: int, end: int) -> Iterator[Record]:
        try:
            fd = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # settled or evicted since we looked, or taken away by somebody
            self._repair(segment)
            return
        try:
            while offset < end:
                length = length_of(os.pread(fd, PREFIX_SIZE, offset), segment.mark)
                record = unpack(os.pread(fd, PREFIX_SIZE + length, offset), 0, segment.mark) if length else None
                if record is None:
                    self._repair(segment)
                    return
                offset += record.end
                yield replace(record, offset=offset - record.end, end=offset)
        finally:
            os.close(fd)
