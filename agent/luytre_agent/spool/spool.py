"""The spool: sealed batches get numbers, lie on the disk until the collector has them, and are read back in order.

What is never lost: a batch for which `append` returned True, by a crash of the agent at any moment. What a power cut
can take, `fsync` decides: with `batch` nothing, with `segment` at most the newest segment, with `never` what the
kernel had not written yet (about 30 s). What is lost but counted: the oldest segment when the quota is reached, new
rows when the disk is full.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import uuid
from collections.abc import Callable, Iterator

from luytre_common.errors import UserError
from luytre_common.telemetry import Counters, RateLimited, Sample

from luytre_agent.batch import Key, SealedBatch
from luytre_agent.spool import ledger as ledgers
from luytre_agent.spool.index import SegmentIndex
from luytre_agent.spool.ledger import Ledger
from luytre_agent.spool.lock import Lock
from luytre_agent.spool.model import Config, Encode, Position, Stored
from luytre_agent.spool.reader import Reader
from luytre_agent.spool.recover import LEDGER, recover, take_in
from luytre_agent.spool.segment import Record
from luytre_agent.spool.shelf import Shelf

_log = logging.getLogger("luytre.spool")


class Spool:
    """See the top of the file. Safe to use from several threads; `open` first."""

    def __init__(
        self,
        config: Config,
        encode: Encode,
        clock: Callable[[], float],
        kernel_boot_id: str,
        *,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.config = config
        self.counters = Counters("spool")
        self._encode = encode
        self._clock = clock
        self._kernel_boot_id = kernel_boot_id
        self._random = random
        self._quiet = RateLimited(clock)
        self._changed = threading.Condition(threading.RLock())
        self._shelf = Shelf(config, self.counters, random)
        self._reader = Reader(self._shelf, self._changed, self._repair)
        self._pending = 0
        self._tell: Callable[[], object] | None = None
        self._ledger_time = float("-inf")

    def open(self) -> None:
        """Lock the folder and take over what is in it. UserError if it cannot be used."""
        directory = self.config.directory
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = Lock(directory)
        except OSError as error:
            raise UserError(
                f"{directory}: {error.strerror}; the agent must be able to write [spool] directory"
            ) from None
        try:
            found = recover(directory, self.counters)
            self._ledger = self._continue_or_begin(found.ledger, found.sound)
            for segment in found.segments:
                self._settle_known(segment)
            self._pending = sum(len(run.waiting()) for one in found.segments for run in one.runs.values())
            self._shelf.take_over(found.segments, found.next_number)
            ledgers.write(directory / LEDGER, self._ledger)
        except OSError as error:
            self._lock.release()
            raise UserError(
                f"{directory}: {error.strerror}; the agent must be able to write [spool] directory"
            ) from None
        except UserError:
            self._lock.release()
            raise

    def _continue_or_begin(self, ledger: Ledger | None, sound: bool) -> Ledger:
        if ledger is not None and sound and ledger.kernel_boot_id == self._kernel_boot_id:
            ledger.clean = False
            return ledger
        begun = Ledger(str(uuid.UUID(bytes=self._random(16), version=4)), self._kernel_boot_id)
        if ledger is not None:
            begun.through, begun.refused = ledger.through, ledger.refused
        self.counters.add("numberings_begun")
        return begun

    @property
    def boot_id(self) -> str:
        """The numbering of what is appended now."""
        return self._ledger.boot_id

    def append(self, sealed: SealedBatch, now: float) -> bool:
        """Number the batch's rows and keep it.

        False, counted and logged, if the disk does not take it: the rows are dropped.
        """
        with self._changed:
            key = Key(self._ledger.boot_id, sealed.table)
            first = self._ledger.next.get(sealed.table, 0)
            record = Record(key, sealed.table, first, sealed.rows, self._encode(sealed, key, first, now))
            try:
                self._shelf.append(record, self._evict)
            except (OSError, ValueError) as error:
                self._give_up(record, error)
                return False
            self._ledger.next[sealed.table] = record.last + 1
            self._pending += 1
            self.counters.add("batches_appended", label=record.table)
            self.counters.add("rows_appended", record.rows, record.table)
            self.counters.add("bytes_appended", len(record.batch), record.table)
            self._changed.notify_all()
            if self._tell:
                self._tell()
            return True

    def _give_up(self, record: Record, error: OSError | ValueError) -> None:
        code = errno.errorcode.get(error.errno or 0, "EIO") if isinstance(error, OSError) else "too_large"
        self.counters.add("append_failures", label=code)
        self.counters.add("batches_dropped", label=record.table)
        self.counters.add("rows_dropped", record.rows, record.table)
        if self._quiet.ready(code):
            _log.error(
                "%s: batch not kept (%s), %d rows of %s dropped; free space on this disk or lower [spool] max_bytes",
                self.config.directory,
                error,
                record.rows,
                record.table,
            )
        self._shelf.roll()

    def _evict(self) -> bool:
        """Make room: a file set aside, else the oldest segment. False if there is nothing left to drop."""
        if self._shelf.remove_aside():
            return True
        oldest = self._shelf.oldest()
        if oldest is None:
            return False
        for run in oldest.runs.values():
            waiting = run.waiting()
            self._pending -= len(waiting)
            self.counters.add("batches_evicted", len(waiting), run.table)
            self.counters.add("rows_evicted", sum(waiting), run.table)
        if self._quiet.ready("evict"):
            _log.warning(
                "%s: quota of %d bytes reached; the oldest batches are dropped",
                self.config.directory,
                self.config.max_bytes,
            )
        self._shelf.remove(oldest)
        return True

    def acknowledge(self, boot_id: str, stream: str, through: int) -> int:
        """Everything of this numbering up to `through` is stored; segments of which that is all are deleted.

        Returns how many rows are newly stored by that.
        """
        key = Key(boot_id, stream)
        rows = 0
        with self._changed:
            for segment in self._shelf.with_key(key):
                self._ledger.through[key] = max(through, self._ledger.through.get(key, -1))
                stored = segment.runs[key].settle(through)
                self._pending -= len(stored)
                rows += sum(stored)
                self.counters.add("batches_acknowledged", len(stored), segment.runs[key].table)
                self.counters.add("rows_acknowledged", sum(stored), segment.runs[key].table)
            self._after_settling()
        return rows

    def refuse(self, boot_id: str, stream: str, first: int) -> None:
        """The batch that begins at `first` will never be stored; it needs no sending any more."""
        key = Key(boot_id, stream)
        with self._changed:
            for segment in self._shelf.with_key(key):
                rows = segment.runs[key].refuse(first)
                if rows:
                    self._pending -= 1
                    self._ledger.refused.add((key, first))
                    self.counters.add("batches_refused", label=segment.runs[key].table)
                    self.counters.add("rows_refused", rows, segment.runs[key].table)
            self._after_settling()

    def _after_settling(self) -> None:
        self._shelf.drop_settled()
        if self._clock() - self._ledger_time >= self.config.ledger_seconds:
            self._write_ledger()
        self._changed.notify_all()

    def _write_ledger(self) -> None:
        self._ledger_time = self._clock()
        self._ledger.forget({key for segment in self._shelf.segments for key in segment.runs})
        try:
            ledgers.write(self.config.directory / LEDGER, self._ledger)
        except OSError as error:
            self.counters.add("ledger_failures", label=errno.errorcode.get(error.errno or 0, "EIO"))

    def pending(self, after: Position | None = None) -> Iterator[Stored]:
        """The batches behind `after` that are not settled, oldest first, up to the newest now."""
        return self._reader.pending(after)

    def _repair(self, segment: SegmentIndex) -> None:
        """The file was damaged under our hands: go on with what is sound in it, in its place; count the rest."""
        with self._changed:
            if self._shelf.is_written(segment):
                self._shelf.roll()
            if segment not in self._shelf.segments:
                return
            self.counters.add("segments_unreadable")
            saved: SegmentIndex | None = None
            try:
                saved, _ = take_in(segment.path, segment.number, self.counters)
            except OSError as error:
                _log.error("%s: cannot be read: %s", segment.path, error.strerror)
            if saved:
                self._settle_known(saved)
            for key, run in segment.runs.items():
                waiting = run.waiting()
                kept = saved.runs[key].waiting() if saved and key in saved.runs else []
                self._pending += len(kept) - len(waiting)
                self.counters.add("rows_unreadable", sum(waiting) - sum(kept), run.table)
            self._shelf.exchange(segment, saved)

    def _settle_known(self, segment: SegmentIndex) -> None:
        """Mark what the ledger says is stored or refused."""
        for key, run in segment.runs.items():
            run.settle(self._ledger.through.get(key, -1))
            for refused, first in self._ledger.refused:
                if refused == key:
                    run.refuse(first)

    def wait(self, ready: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Sleep until `ready()`, asked again at each change, or for `timeout_s` seconds; returns what it said last."""
        with self._changed:
            return self._changed.wait_for(ready, timeout_s)

    def listen(self, tell: Callable[[], object] | None) -> None:
        """Call `tell` after every append, in the appending thread; None: no more."""
        with self._changed:
            self._tell = tell

    def unsettled(self) -> int:
        """Number of batches that are neither stored nor refused nor dropped."""
        with self._changed:
            return self._pending

    @property
    def end(self) -> Position:
        """The place behind the newest batch."""
        with self._changed:
            return self._shelf.end

    def samples(self) -> list[Sample]:
        """The counters, and gauges of what is waiting."""
        with self._changed:
            self.counters.set("bytes", self._shelf.bytes)
            self.counters.set("segments", len(self._shelf.segments))
            self.counters.set("batches_waiting", self._pending)
        return self.counters.samples()

    def close(self) -> None:
        """Write down where the numbering stands, and let others have the folder."""
        with self._changed:
            self._shelf.roll()
            self._shelf.drop_settled()
            self._ledger.clean = True
            self._write_ledger()
            self._changed.notify_all()
            self._lock.release()
