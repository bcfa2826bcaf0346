"""The segments that lie on the disk, and the one that is written to. Not for several threads: the spool locks."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from dataclasses import replace

from luytre_common.telemetry import Counters

from luytre_agent.batch import Key
from luytre_agent.spool import ledger as ledgers
from luytre_agent.spool.index import SegmentIndex
from luytre_agent.spool.model import Config, Position
from luytre_agent.spool.recover import CORRUPT_SUFFIX, segment_path
from luytre_agent.spool.segment import HEADER_SIZE, PREFIX_SIZE, Record
from luytre_agent.spool.writer import Writer


class Shelf:
    """Segments in ascending order; what was set aside counts into `bytes` too."""

    def __init__(self, config: Config, counters: Counters, random: Callable[[int], bytes]) -> None:
        self.segments: list[SegmentIndex] = []
        self.bytes = 0
        self._config = config
        self._counters = counters
        self._random = random
        self._writer: Writer | None = None
        self._next_number = 0

    def take_over(self, segments: Iterable[SegmentIndex], next_number: int) -> None:
        """What was found in the folder."""
        self.segments = list(segments)
        self._next_number = next_number
        self.drop_settled()
        self.measure()

    @property
    def end(self) -> Position:
        """The place behind the newest batch."""
        if not self.segments:
            return Position(self._next_number)
        return Position(self.segments[-1].number, self.segments[-1].end)

    def with_key(self, key: Key) -> list[SegmentIndex]:
        """The segments that hold batches of a numbering."""
        return [segment for segment in self.segments if key in segment.runs]

    def append(self, record: Record, make_room: Callable[[], bool]) -> None:
        """Keep the record; while there is no room for it, `make_room` is asked for some until it says False.

        ValueError for what is larger than the quota; OSError if the disk does not take it.
        """
        size = PREFIX_SIZE + len(record.batch) + 64
        if HEADER_SIZE + size > self._config.max_bytes:
            raise ValueError(f"batch of {size} bytes is larger than the quota")
        limit = min(self._config.segment_bytes, self._config.max_bytes // 8)
        if self._writer and self.segments[-1].end + size > limit and self.segments[-1].runs:
            self.roll()
        while self.bytes + size > self._config.max_bytes and make_room():
            pass
        writer = self._writer or self._begin()
        before = writer.end
        offset = writer.append(record, self._config.fsync == "batch")
        self.segments[-1].add(replace(record, batch=b"", offset=offset, end=writer.end))
        self.bytes += writer.end - before

    def _begin(self) -> Writer:
        path = segment_path(self._config.directory, self._next_number)
        self._writer = Writer(path, self._random)
        self.segments.append(SegmentIndex(self._next_number, path, self._writer.mark, HEADER_SIZE))
        self._next_number += 1
        self.bytes += HEADER_SIZE
        if self._config.fsync != "never":
            ledgers.sync_directory(self._config.directory)
        return self._writer

    def roll(self) -> None:
        """Close the segment that is written to; the next append makes a new one."""
        if self._writer is None:
            return
        try:
            if self._config.fsync == "segment":
                self._writer.sync()
        except OSError as error:
            self._counters.add("sync_failures", label=errno.errorcode.get(error.errno or 0, "EIO"))
        self._writer.close()
        self._writer = None
        self.drop_settled()

    def drop_settled(self) -> None:
        """Delete the segments of which nothing waits."""
        written = self.segments[-1] if self._writer else None
        for segment in [one for one in self.segments if one.settled and one is not written]:
            self.remove(segment)

    def remove(self, segment: SegmentIndex) -> None:
        """Delete a segment."""
        self.segments.remove(segment)
        segment.path.unlink(missing_ok=True)
        self.bytes -= segment.end

    def remove_aside(self) -> bool:
        """Delete the oldest of the files that were set aside; False if there is none."""
        for aside in sorted(self._config.directory.glob(f"*{CORRUPT_SUFFIX}")):
            aside.unlink()
            self._counters.add("quarantined_dropped")
            self.measure()
            return True
        return False

    def oldest(self) -> SegmentIndex | None:
        """The oldest segment, closed; None if there is none."""
        if len(self.segments) == 1:
            self.roll()
        return self.segments[0] if self.segments else None

    def is_written(self, segment: SegmentIndex) -> bool:
        """Whether it is the one that is written to."""
        return self._writer is not None and segment is self.segments[-1]

    def exchange(self, segment: SegmentIndex, saved: SegmentIndex | None) -> None:
        """Put what could be saved of a segment in its place."""
        at = self.segments.index(segment)
        self.segments[at : at + 1] = [saved] if saved else []
        self.measure()

    def measure(self) -> None:
        """Look how much there is."""
        aside = sum(path.stat().st_size for path in self._config.directory.glob(f"*{CORRUPT_SUFFIX}"))
        self.bytes = aside + sum(segment.end for segment in self.segments)
