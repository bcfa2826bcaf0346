"""Segments that turn out to be damaged, missing or out of reach while they are read."""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from luytre_common.telemetry import Counters, RateLimited

from luytre_agent.spool.books import Books
from luytre_agent.spool.index import SegmentIndex
from luytre_agent.spool.recover import take_in
from luytre_agent.spool.shelf import Shelf

_log = logging.getLogger("luytre.spool")

#: A segment that the disk does not give is tried again after so many seconds; if it fails for the third time, what can
#: be read of it is saved, and the rest given up.
_RETRY_S = 30.0
_TRIES = 3


class Mender:
    """Goes on with what is sound, and enters the rest as lost. `changed` is held for that; `add_pending` hears by how
    many the batches that wait have become more."""

    def __init__(
        self,
        shelf: Shelf,
        books: Books,
        counters: Counters,
        quiet: RateLimited,
        clock: Callable[[], float],
        changed: threading.Condition,
        add_pending: Callable[[int], None],
    ) -> None:
        self._shelf = shelf
        self._books = books
        self._counters = counters
        self._quiet = quiet
        self._clock = clock
        self._changed = changed
        self._add_pending = add_pending
        #: By class: the number of the segment, how often it failed, and when it did last.
        self._failures: dict[int, tuple[int, int, float]] = {}

    def readable(self, rank: int) -> bool:
        """Whether a class may be read: it did not fail, or a while ago."""
        failed = self._failures.get(rank)
        return failed is None or not 0 <= self._clock() - failed[2] < _RETRY_S

    def unreadable(self, segment: SegmentIndex, error: OSError) -> None:
        """The disk gave an error instead of a segment: wait, or after several times save what can be read of it."""
        with self._changed:
            number, times, _ = self._failures.get(segment.rank, (-1, 0, 0.0))
            times = times + 1 if number == segment.number else 1
            self._failures[segment.rank] = (segment.number, times, self._clock())
            self._counters.add("read_failures", label=errno.errorcode.get(error.errno or 0, "EIO"))
            if self._quiet.ready("read"):
                _log.error("%s: cannot be read: %s; it is tried again", segment.path, error.strerror)
            if times >= _TRIES:
                self.repair(segment)

    def repair(self, segment: SegmentIndex) -> None:
        """The file was damaged under our hands: go on with what is sound in it, in its place; count the rest."""
        with self._changed:
            if segment.dropped:
                return
            if self._shelf.is_written(segment):
                self._shelf.roll(segment.rank)
            self._counters.add("segments_unreadable")
            saved: SegmentIndex | None = None
            try:
                with suppress(FileNotFoundError):
                    saved = take_in(segment.path, segment.number, self._counters).segment
            except OSError as error:  # the whole disk is ill: nothing is given up for that
                self._failures[segment.rank] = (segment.number, 0, self._clock())
                if self._quiet.ready("repair"):
                    _log.error("%s: cannot be mended: %s", segment.path, error.strerror)
                return
            self._failures.pop(segment.rank, None)
            self._exchange(segment, saved and replace(saved, rank=segment.rank))

    def _exchange(self, segment: SegmentIndex, saved: SegmentIndex | None) -> None:
        """Put what was saved of a segment in its place, and enter what was not as lost."""
        if saved:
            self._books.settle_known(saved)
        now = self._clock()
        for key, run in segment.runs.items():
            waiting = run.unsettled()
            kept = set(saved.runs[key].unsettled() if saved and key in saved.runs else ())
            lost = [one for one in waiting if one not in kept]
            self._add_pending(len(kept) - len(waiting))
            self._books.lose(key, lost, "corrupt", now)
            self._counters.add("rows_unreadable", sum(last - first + 1 for first, last in lost), run.table)
        self._shelf.exchange(segment, saved)
