"""The segments on the disk, by class, and those that are written to. Not for several threads: the spool locks."""

from __future__ import annotations

import errno
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from luytre_common.durable import sync_directory
from luytre_common.telemetry import Counters

from luytre_agent.batch import Key
from luytre_agent.spool.classes import NAMES
from luytre_agent.spool.index import SegmentIndex
from luytre_agent.spool.model import Config, Place
from luytre_agent.spool.recover import CORRUPT_SUFFIX, segment_path
from luytre_agent.spool.segment import HEADER_SIZE, Record, packed_size
from luytre_agent.spool.writer import Writer


class NoRoomError(Exception):
    """A batch does not fit, whatever gives way: `cause` quota or too_large."""

    def __init__(self, cause: str, message: str) -> None:
        self.cause = cause
        super().__init__(message)


class Shelf:
    """Segments in ascending order, by class; what was set aside or cannot be deleted counts into `bytes` too.

    rolled: set when a segment was closed, for whoever must write something down then.
    """

    def __init__(self, config: Config, counters: Counters, random: Callable[[int], bytes]) -> None:
        self.classes: tuple[list[SegmentIndex], ...] = tuple([] for _ in NAMES)
        self.bytes = 0
        self._config = config
        self._counters = counters
        self._random = random
        self._writers: list[Writer | None] = [None] * len(NAMES)
        self._next_number = 0
        self._left: list[SegmentIndex] = []
        self.rolled = False

    def take_over(self, segments: Iterable[SegmentIndex], next_number: int) -> None:
        """What was found in the folder."""
        for segment in segments:
            self.classes[segment.rank].append(segment)
        self._next_number = next_number
        self.measure()

    def __iter__(self) -> Iterator[SegmentIndex]:
        for segments in self.classes:
            yield from segments

    def __len__(self) -> int:
        return sum(map(len, self.classes))

    def with_key(self, key: Key) -> list[SegmentIndex]:
        """The segments that hold batches of a numbering."""
        return [segment for segment in self if key in segment.runs]

    def behind(self, rank: int, place: Place) -> SegmentIndex | None:
        """The first segment of a class that goes on behind a place."""
        segments = self.classes[rank]
        at = bisect_left(segments, place.segment, key=lambda one: one.number)
        if at < len(segments) and Place(segments[at].number, segments[at].end) <= place:
            at += 1
        return segments[at] if at < len(segments) else None

    def append(self, rank: int, record: Record, give_way: Callable[[SegmentIndex], object], sync: bool = False) -> None:
        """Keep the record in its class. Segments that must go for it, of the same class or below, go to `give_way`.

        NoRoomError, and nothing went, if that would not be enough; OSError if the disk does not take it.
        """
        size = packed_size(record)
        if HEADER_SIZE + size > self._config.max_bytes:
            raise NoRoomError("too_large", f"batch of {size} bytes is larger than the quota")
        limit = min(self._config.segment_bytes, self._config.max_bytes // 8)
        written = self.classes[rank][-1] if self._writers[rank] else None
        if written and written.runs and written.end + size > limit:
            self.roll(rank)
        if self.bytes + size + HEADER_SIZE > self._config.max_bytes:
            self._make_room(rank, size + HEADER_SIZE, give_way)
        writer = self._writers[rank] or self._begin(rank)
        before = writer.end
        offset = writer.append(record, sync or self._config.fsync == "batch")
        self.classes[rank][-1].add(replace(record, batch=b"", offset=offset, end=writer.end))
        self.bytes += writer.end - before

    def _begin(self, rank: int) -> Writer:
        number = self._next_number
        self._next_number += 1  # also if this fails: what it may leave behind must not be in the way
        path = segment_path(self._config.directory, number)
        writer = self._writers[rank] = Writer(path, rank, self._random)
        self.classes[rank].append(SegmentIndex(number, path, writer.mark, HEADER_SIZE, rank))
        self.bytes += HEADER_SIZE
        if self._config.fsync != "never":
            sync_directory(self._config.directory)
        return writer

    def _make_room(self, rank: int, size: int, give_way: Callable[[SegmentIndex], object]) -> None:
        """Until `size` bytes more are within the quota. First what nobody waits for, then the lowest class."""
        quota = self._config.max_bytes - size
        for free in (self.delete_left, self.remove_aside):
            while self.bytes > quota and free():
                pass
        while self.bytes > quota and (segment := self.idle()):
            give_way(segment)
        may_go = sum(segment.end for one in self.classes[rank:] for segment in one)
        if self.bytes - may_go > quota:
            raise NoRoomError("quota", "the quota is full of batches of higher classes")
        while self.bytes > quota and (segment := self.victim(rank)):
            give_way(segment)

    def victim(self, rank: int) -> SegmentIndex | None:
        """Which segment goes next so that class `rank` may stay: the oldest of the lowest class that has any, down to
        `rank`; it is closed. None if only higher classes have something."""
        for lower in range(len(NAMES) - 1, rank - 1, -1):
            if len(self.classes[lower]) == 1:
                self.roll(lower)
            if self.classes[lower]:
                return self.classes[lower][0]
        return None

    def roll(self, rank: int) -> None:
        """Close the segment of a class that is written to; the next append makes a new one."""
        writer, self._writers[rank] = self._writers[rank], None
        if writer is None:
            return
        try:
            if self._config.fsync == "segment":
                writer.sync()
        except OSError as error:
            self._counters.add("sync_failures", label=errno.errorcode.get(error.errno or 0, "EIO"))
        writer.close()
        if self.classes[rank][-1].runs:
            self.rolled = True
        else:
            self.remove(self.classes[rank][-1])

    def idle(self) -> SegmentIndex | None:
        """A segment of which nothing waits; it is closed. None if there is none."""
        for segment in self:
            if segment.settled:
                if self.is_written(segment):
                    self.roll(segment.rank)
                return None if segment.dropped else segment
        return None

    def roll_all(self) -> None:
        """Close all."""
        for rank in range(len(NAMES)):
            self.roll(rank)

    def is_dirty(self, rank: int) -> bool:
        """Whether what the last failed append wrote may still be in the file, and be found when it is read again."""
        writer = self._writers[rank]
        return writer is not None and writer.dirty

    def settled(self) -> list[SegmentIndex]:
        """The closed segments of which nothing waits."""
        return [segment for segment in self if segment.settled and not self.is_written(segment)]

    def remove(self, segment: SegmentIndex) -> None:
        """Delete a segment; if the disk does not let us, it is tried again later, and takes room until then."""
        self.classes[segment.rank].remove(segment)
        segment.dropped = True
        if not self._unlink(segment):
            self._left.append(segment)

    def _unlink(self, segment: SegmentIndex) -> bool:
        try:
            segment.path.unlink(missing_ok=True)
        except OSError as error:
            self._counters.add("removal_failures", label=errno.errorcode.get(error.errno or 0, "EIO"))
            return False
        self.bytes -= segment.end
        return True

    def delete_left(self) -> bool:
        """Try again to delete what could not be; whether something was."""
        before = len(self._left)
        self._left = [segment for segment in self._left if not self._unlink(segment)]
        return len(self._left) < before

    def remove_aside(self) -> bool:
        """Delete the oldest of the files that were set aside; False if there is none, or it cannot be."""
        for aside in sorted(self._config.directory.glob(f"*{CORRUPT_SUFFIX}")):
            try:
                size = aside.stat().st_size
                aside.unlink()
            except OSError:
                return False
            self._counters.add("quarantined_dropped")
            self.bytes -= size
            return True
        return False

    def too_old(self, now: float, age_s: float) -> list[SegmentIndex]:
        """The segments of which every batch is older than so many seconds. Those that are written to are closed when
        their oldest batch has an eighth of that age, so that no batch stays much longer than it may."""
        found = []
        for rank in range(len(NAMES) - 1, -1, -1):
            segments = self.classes[rank]
            if self._writers[rank] and segments[-1].runs and segments[-1].oldest < now - age_s / 8:
                self.roll(rank)
            found += [one for one in segments if not self.is_written(one) and one.newest < now - age_s]
        return found

    def is_written(self, segment: SegmentIndex) -> bool:
        """Whether it is one that is written to."""
        return self._writers[segment.rank] is not None and segment is self.classes[segment.rank][-1]

    def exchange(self, segment: SegmentIndex, saved: SegmentIndex | None) -> None:
        """Put what could be saved of a segment in its place."""
        segments = self.classes[segment.rank]
        at = segments.index(segment)
        segments[at : at + 1] = [saved] if saved else []
        segment.dropped = True
        self.measure()

    def measure(self) -> None:
        """Look how much there is."""
        aside = sum(path.stat().st_size for path in self._config.directory.glob(f"*{CORRUPT_SUFFIX}"))
        self.bytes = aside + sum(segment.end for segment in (*self, *self._left))
