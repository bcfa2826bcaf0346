"""The spool: sealed batches get numbers, lie on the disk until the collector has them, and are read back in order.

What is never lost: a batch for which `append` returned True, by a crash of the agent at any moment. What a power cut
can take, `fsync` decides: with `batch` nothing, with `segment` at most the newest segment of each class, with `never`
what the kernel had not written yet (about 30 s). What is lost but counted and told of as a row of `ledger`: at the
quota the oldest segment of the lowest class (`classes.py`), what is older than `max_age_hours`, what cannot be read
any more. On a full disk lower classes give way to higher ones; else new rows are lost, and counted.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

from luytre_common.errors import UserError
from luytre_common.ledger import Entry
from luytre_common.telemetry import Counters, RateLimited, Sample

from luytre_agent.batch import Key, SealedBatch
from luytre_agent.spool import gaps
from luytre_agent.spool.books import FULL, Books
from luytre_agent.spool.classes import NAMES, class_of
from luytre_agent.spool.index import SegmentIndex
from luytre_agent.spool.lock import Lock
from luytre_agent.spool.mend import Mender
from luytre_agent.spool.model import Config, Encode, Position, Stored, Tally, no_tally
from luytre_agent.spool.reader import Reader
from luytre_agent.spool.recover import recover
from luytre_agent.spool.segment import Record
from luytre_agent.spool.shelf import NoRoomError, Shelf

_log = logging.getLogger("luytre.spool")

#: Batches that are too old are looked for this often, seconds.
_AGE_S = 60.0


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
        tally: Tally = no_tally,
    ) -> None:
        self.config = config
        self.counters = Counters("spool")
        self._encode = encode
        self._clock = clock
        self._tally = tally
        self._quiet = RateLimited(clock)
        self._changed = threading.Condition(threading.RLock())
        self._shelf = Shelf(config, self.counters, random)
        self._books = Books(config, self.counters, self._quiet, clock, kernel_boot_id, random, self._keys)
        mender = Mender(self._shelf, self._books, self.counters, self._quiet, clock, self._changed, self._mended)
        self._reader = Reader(self._shelf, self._changed, mender)
        self._pending = 0
        self._tell: Callable[[], object] | None = None
        self._aged_at = float("-inf")

    def open(self) -> None:
        """Lock the folder and take over what is in it. UserError if it cannot be used."""
        directory = self.config.directory
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = Lock(directory)
        except OSError as error:
            raise self._unusable(error) from None
        try:
            found = recover(directory, self.counters)
            self._shelf.take_over(found.segments, found.next_number)
            self._books.open(found)
            for segment in found.segments:
                self._books.settle_known(segment)
            self._pending = sum(len(run.unsettled()) for one in self._shelf for run in one.runs.values())
            self._drop_settled()
            self._tell_gaps(self._clock(), at_once=True)
        except OSError as error:
            self._lock.release()
            raise self._unusable(error) from None
        except UserError:
            self._lock.release()
            raise

    def _unusable(self, error: OSError) -> UserError:
        thing = error.filename if isinstance(error.filename, str) else self.config.directory
        return UserError(f"{thing}: {error.strerror}; the agent must be able to write [spool] directory")

    def _keys(self) -> set[Key]:
        return {key for segment in self._shelf for key in segment.runs}

    @property
    def boot_id(self) -> str:
        """The numbering of what is appended now."""
        return self._books.ledger.boot_id

    def append(self, sealed: SealedBatch, now: float) -> bool:
        """Number the batch's rows and keep it.

        False, counted and logged, if the disk or the quota does not take it: the rows are lost.
        """
        with self._changed:
            self._tell_gaps(now)
            self._expire(now)
            kept = self._append(sealed, now)
            if self._shelf.rolled:
                self._after_roll()
            if kept:
                self._changed.notify_all()
                if self._tell:
                    self._tell()
            return kept

    def _append(self, sealed: SealedBatch, now: float) -> bool:
        record, link = self._number(sealed, now)
        return self._keep(record, link, now)

    def _number(self, sealed: SealedBatch, now: float) -> tuple[Record, bytes]:
        key, first = self._books.number(sealed.table)
        link = self._books.link(key, first, sealed.rows, sealed.body)
        batch = self._encode(sealed, key, first, now, link)
        return Record(key, sealed.table, first, sealed.rows, batch, appended_us=max(0, int(now * 1_000_000))), link

    def _keep(self, record: Record, link: bytes, now: float, sync: bool = False) -> bool:
        rank = class_of(record.table)
        while True:
            try:
                self._shelf.append(rank, record, lambda segment: self._drop(segment, "quota", now), sync)
            except (OSError, ValueError, NoRoomError) as error:
                full = isinstance(error, OSError) and error.errno in FULL
                dirty = self._shelf.is_dirty(rank)
                if isinstance(error, OSError):
                    self._shelf.roll(rank)
                if full and not dirty and self._make_room_on_disk(rank, now):
                    continue
                self._give_up(record, error, dirty, now)
                return False
            break
        self._books.accepted(record.key, record.last, link)
        self._pending += 1
        self.counters.add("batches_appended", label=record.table)
        self.counters.add("rows_appended", record.rows, record.table)
        self.counters.add("bytes_appended", len(record.batch), record.table)
        self._tally(record.key, Entry.ROWS_SPOOLED, record.rows, "")
        return True

    def _make_room_on_disk(self, rank: int, now: float) -> bool:
        """The disk is full, by whomever: what nobody waits for goes, then a segment of a lower class."""
        if self._shelf.remove_aside() or self._shelf.delete_left():
            return True
        victim = self._shelf.idle() or self._shelf.victim(rank + 1)
        if victim:
            with suppress(OSError):
                self._drop(victim, "disk", now)
                return True
        return False

    def _give_up(self, record: Record, error: Exception, dirty: bool, now: float) -> None:
        if isinstance(error, OSError):
            code, cause = errno.errorcode.get(error.errno or 0, "EIO"), "disk"
        else:
            code = cause = error.cause if isinstance(error, NoRoomError) else "too_large"
        self.counters.add("append_failures", label=code)
        self.counters.add("batches_lost", label=record.table)
        self.counters.add("rows_lost", record.rows, f"{record.table}/{cause}")
        if dirty:
            self._books.burn(record.key, record.first, record.last, now)
            self._tally(record.key, Entry.ROWS_SPOOLED, record.rows, "")
        else:
            self._tally(record.key, Entry.ROWS_LOST, record.rows, cause)
        if self._quiet.ready(code):
            _log.error(
                "%s: batch not kept (%s), %d rows of %s lost; %s",
                self.config.directory,
                error,
                record.rows,
                record.table,
                "free space on this disk or lower [spool] max_bytes"
                if code in ("ENOSPC", "EDQUOT", "EFBIG")
                else "raise [spool] max_bytes"
                if not isinstance(error, OSError)
                else "the disk must be repaired or made writable; it goes on by itself then",
            )

    def _drop(self, segment: SegmentIndex, cause: str, now: float) -> None:
        """Give up what waits in a segment, and delete it.

        OSError, and nothing is given up, if the disk takes nothing at all now: then deleting would not help either.
        """
        if not self._books.write() and self._books.failure and self._books.failure.errno not in FULL:
            raise self._books.failure
        pending = self._pending
        for key, run in segment.runs.items():
            waiting = run.unsettled()
            rows = sum(last - first + 1 for first, last in waiting)
            self._pending -= len(waiting)
            self._books.lose(key, waiting, cause, now)
            self.counters.add("batches_expired" if cause == "age" else "batches_evicted", len(waiting), run.table)
            self.counters.add("rows_expired" if cause == "age" else "rows_evicted", rows, run.table)
        if self._pending < pending and self._quiet.ready(f"dropped {cause}"):
            _log.warning(
                "%s: %s; the oldest batches of class %s are dropped",
                self.config.directory,
                {"quota": f"quota of {self.config.max_bytes} bytes reached", "disk": "the disk is full"}.get(
                    cause, f"older than {self.config.max_age_hours:g} hours"
                ),
                NAMES[segment.rank],
            )
        self._books.write()
        self._shelf.remove(segment)
        if self._books.stale:  # there is room for it now
            self._books.write()

    def _expire(self, now: float) -> None:
        age_s = self.config.max_age_hours * 3600
        if not age_s or 0 <= now - self._aged_at < _AGE_S:
            return
        self._aged_at = now
        with suppress(OSError):
            for segment in self._shelf.too_old(now, age_s):
                self._drop(segment, "age", now)

    def _after_roll(self) -> None:
        """A segment is complete: which numbers there are is to be as durable as they."""
        self._shelf.rolled = False
        if self.config.fsync != "never":
            self._books.write()
        self._drop_settled()
        self._shelf.delete_left()

    def _drop_settled(self) -> None:
        """Delete what is stored, once the ledger says so."""
        settled = self._shelf.settled()
        if settled and (not self._books.stale or self._books.write()):
            for segment in settled:
                self._shelf.remove(segment)

    def _tell_gaps(self, now: float, at_once: bool = False) -> None:
        """Put gaps into the spool as rows of `ledger`. None is told twice or never, whatever happens in between."""
        telling = self._books.telling(now, at_once)
        sealed = gaps.rows_of(telling)
        if sealed is None:
            return
        record, link = self._number(sealed, now)
        if not self._books.will_tell(record.key, record.first, record.batch, len(telling)):
            return
        self._tally(record.key, Entry.ROWS_CUT, record.rows, "")
        kept = self._keep(record, link, now, sync=self.config.fsync != "never")
        self._books.told(len(telling), kept)
        self._books.write()

    def tell_gaps(self) -> None:
        """Put what is lost and not told yet into the spool now: before the last that is sent."""
        with self._changed:
            self._tell_gaps(self._clock(), at_once=True)
            if self._tell:
                self._tell()

    def acknowledge(self, boot_id: str, stream: str, through: int) -> int:
        """Everything of this numbering up to `through` is stored; segments of which that is all are deleted.

        Returns how many rows are newly stored by that.
        """
        key = Key(boot_id, stream)
        rows = 0
        with self._changed:
            for segment in self._shelf.with_key(key):
                self._books.stored(key, through)
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
                    self._books.lose(key, [(first, first + rows - 1)], "refused", self._clock())
                    self.counters.add("batches_refused", label=segment.runs[key].table)
                    self.counters.add("rows_refused", rows, segment.runs[key].table)
            self._after_settling()

    def _after_settling(self) -> None:
        self._drop_settled()
        if self._books.due and self._books.stale:
            self._books.write()
        self._changed.notify_all()

    def pending(
        self, after: Position | None = None, may: Callable[[int], bool] = lambda rank: True
    ) -> Iterator[Stored]:
        """The batches behind `after` that are not settled, up to the newest now: higher classes first, oldest first in
        a class (`classes.Turns`); of the classes that `may` go, asked before each batch."""
        return self._reader.pending(after, may)

    def _mended(self, more: int) -> None:
        self._pending += more

    def wait(self, ready: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Sleep until `ready()`, asked again at each change, or for `timeout_s` seconds; returns what it said last."""
        with self._changed:
            return self._changed.wait_for(ready, timeout_s)

    def listen(self, tell: Callable[[], object] | None) -> None:
        """Call `tell` after every append, in the appending thread; None: no more."""
        with self._changed:
            self._tell = tell

    # How it is, said without the lock: who holds that may be waiting for a disk, which is when others should know.

    def oldest_us(self) -> int:
        """When the oldest batch that waits was appended, microseconds since 1970; 0 if none waits, or none can be read
        now."""
        return self._reader.oldest_us()

    def unsettled(self) -> int:
        """Number of batches that are neither stored nor refused nor dropped."""
        return self._pending

    @property
    def disk_bytes(self) -> int:
        """What it takes of the disk."""
        return self._shelf.bytes

    def samples(self) -> list[Sample]:
        """The counters, and gauges of what is waiting."""
        self.counters.set("bytes", self.disk_bytes)
        for name, segments in zip(NAMES, self._shelf.classes, strict=True):
            self.counters.set("class_bytes", sum(one.end for one in segments), name)
        self.counters.set("segments", len(self._shelf))
        self.counters.set("batches_waiting", self._pending)
        self.counters.set("gaps_waiting", len(self._books.ledger.gaps))
        return self.counters.samples()

    def close(self) -> None:
        """Write down where the numbering stands, and let others have the folder."""
        with self._changed:
            self._tell_gaps(self._clock(), at_once=True)
            self._shelf.roll_all()
            self._drop_settled()
            self._books.ledger.clean = True
            self._books.write()
            self._changed.notify_all()
            self._lock.release()
