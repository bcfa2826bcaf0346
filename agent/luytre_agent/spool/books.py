"""The ledger while the agent runs: numbers are given out, positions and gaps entered, all written down in time."""

from __future__ import annotations

import errno
import logging
import os
import uuid
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress

from luytre_common.telemetry import Counters, RateLimited
from luytre_common.wire import chain

from luytre_agent.batch import Key
from luytre_agent.spool import ledger as ledgers
from luytre_agent.spool.gaps import AT_ONCE, Gap, join
from luytre_agent.spool.index import SegmentIndex
from luytre_agent.spool.ledger import Ledger, Telling
from luytre_agent.spool.model import Config
from luytre_agent.spool.recover import LEDGER, Recovered, unexplained

_log = logging.getLogger("luytre.spool")

#: The errors of a disk that is only full.
FULL = (errno.ENOSPC, errno.EDQUOT)
#: Room that is kept for the ledger on a full disk, bytes.
SPARE = 64 << 10
#: Gaps are told this often, seconds: neighbours have become one by then.
TELL_S = 10.0


class Books:
    """See the top of the file. Not for several threads: the spool locks.

    failure: why the ledger could not be written last time, None if it could.
    """

    def __init__(
        self,
        config: Config,
        counters: Counters,
        quiet: RateLimited,
        clock: Callable[[], float],
        kernel_boot_id: str,
        random: Callable[[int], bytes],
        keys: Callable[[], set[Key]],
    ) -> None:
        """`keys` gives the numberings that the segments hold batches of."""
        self.ledger = Ledger("", kernel_boot_id)
        self._path = config.directory / LEDGER
        self._spare = config.directory / "spare"
        self._every_s = config.ledger_seconds
        self._counters = counters
        self._quiet = quiet
        self._clock = clock
        self._kernel_boot_id = kernel_boot_id
        self._random = random
        self._keys = keys
        self._written_at = float("-inf")
        self._told_at = float("-inf")
        self._stale = False
        self.failure: OSError | None = None

    def open(self, found: Recovered) -> None:
        """Take over what was known, enter what is missing, and write it down.

        OSError if the disk does not take it and is not just full.
        """
        known = found.ledger
        if known is None:
            self._begin(None)
        else:
            self._take_over(known, found)
            if not (found.sound and known.kernel_boot_id == self._kernel_boot_id):
                self._begin(known)
        self.ledger.clean = False
        self._stale = True
        try:
            self._write()
            self._stale = False
        except OSError as error:
            if error.errno not in FULL:
                raise
            # The file may say that its numbering ended cleanly where it did: that one must not go on.
            self._failed(error)
            if self.ledger is known:
                self._begin(known)

    def _take_over(self, known: Ledger, found: Recovered) -> None:
        if found.told and known.telling:
            del known.gaps[: known.telling.gaps]
        known.telling = None
        for segment in found.segments:
            for key, run in segment.runs.items():
                for first, last in run.unsettled():
                    if (key, first) in known.refused:
                        known.lose(key, first, last)
        known.refused = set()
        now = self._clock()
        self.ledger = known
        for key, first, last in list(unexplained(known, found.segments)):
            self._counters.add("rows_missing", last - first + 1, key.stream)
            self.lose(key, [(first, last)], "corrupt", now)
        known.complete = True

    def _begin(self, known: Ledger | None) -> None:
        begun = Ledger(str(uuid.UUID(bytes=self._random(16), version=4)), self._kernel_boot_id)
        if known is not None:
            begun.through, begun.gone, begun.gaps = known.through, known.gone, known.gaps
        self.ledger = begun
        self._counters.add("numberings_begun")

    def settle_known(self, segment: SegmentIndex) -> None:
        """Mark what the ledger says is stored, or will never be."""
        for key, run in segment.runs.items():
            run.settle(self.ledger.through.get(key, -1))
            gone = self.ledger.gone.get(key)
            for first, _ in run.unsettled() if gone else ():
                if gone and first in gone:
                    run.refuse(first)

    def number(self, table: str) -> tuple[Key, int]:
        """The numbering of a table's rows, and the next number."""
        return Key(self.ledger.boot_id, table), self.ledger.next.get(table, 0)

    def link(self, key: Key, first: int, rows: int, body: bytes) -> bytes:
        """The chain with a batch that gets these numbers."""
        previous = self.ledger.chain.get(key.stream) or chain.start(key.boot_id, key.stream)
        return chain.link(previous, first, rows, body)

    def accepted(self, key: Key, last: int, link: bytes) -> None:
        """A batch with these numbers lies in the spool."""
        self.ledger.next[key.stream] = last + 1
        self.ledger.chain[key.stream] = link

    def burn(self, key: Key, first: int, last: int, now: float) -> None:
        """These numbers must not be given again: what bears them may be in a file, though it was not accepted."""
        self.ledger.next[key.stream] = last + 1
        self.ledger.chain.setdefault(key.stream, chain.start(key.boot_id, key.stream))
        self.lose(key, [(first, last)], "disk", now)

    def stored(self, key: Key, through: int) -> None:
        """The collector has everything up to there."""
        self.ledger.through[key] = max(through, self.ledger.through.get(key, -1))
        self._stale = True

    def lose(self, key: Key, batches: Iterable[tuple[int, int]], cause: str, now: float) -> None:
        """Batches that had numbers will never come."""
        self._stale = True
        for first, last in batches:
            self.ledger.lose(key, first, last)
            being_told = self.ledger.telling.gaps if self.ledger.telling else 0
            if not join(self.ledger.gaps, Gap(key, cause, first, last, now), being_told):
                self._counters.add("gaps_untold")

    def telling(self, now: float, at_once: bool = False) -> list[Gap]:
        """The gaps that should be told now; none if there are none or it is too early."""
        if not self.ledger.gaps or (not at_once and 0 <= now - self._told_at < TELL_S):
            return []
        self._told_at = now
        return self.ledger.gaps[:AT_ONCE]

    def will_tell(self, key: Key, first: int, batch: bytes, gaps: int) -> bool:
        """Write down that this batch tells the first so many gaps, before it is kept. False if that cannot be."""
        self.ledger.telling = Telling(key, first, zlib.crc32(batch), gaps)
        if self.write():
            return True
        self.ledger.telling = None
        return False

    def told(self, gaps: int, kept: bool) -> None:
        """The batch is kept, or not: then they are told another time."""
        self.ledger.telling = None
        if kept:
            del self.ledger.gaps[:gaps]
            self._counters.add("gaps_told", gaps)

    @property
    def due(self) -> bool:
        """Whether it is time to write positions down."""
        return not 0 <= self._clock() - self._written_at < self._every_s

    @property
    def stale(self) -> bool:
        """Whether the file does not know all that was stored or lost."""
        return self._stale

    def write(self) -> bool:
        """Write it down, without numberings that no segment holds anything of. False if the disk does not take it."""
        self._written_at = self._clock()
        self.ledger.forget(self._keys())
        try:
            self._write()
        except OSError as error:
            self._failed(error)
            return False
        self._stale, self.failure = False, None
        return True

    def _write(self) -> None:
        """On a full disk, in the room that was set aside for this."""
        try:
            ledgers.write(self._path, self.ledger)
        except OSError as error:
            if error.errno not in FULL or not self._spare.exists():
                raise
            self._spare.unlink()
            ledgers.write(self._path, self.ledger)
        else:
            self._set_aside()

    def _set_aside(self) -> None:
        """Room for the ledger, so that what goes on a full disk can be written down before it goes."""
        if self._spare.exists():
            return
        try:
            fd = os.open(self._spare, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, SPARE)
            finally:
                os.close(fd)
        except OSError:
            with suppress(OSError):
                self._spare.unlink()

    def _failed(self, error: OSError) -> None:
        self.failure = error
        self._counters.add("ledger_failures", label=errno.errorcode.get(error.errno or 0, "EIO"))
        if self._quiet.ready("ledger"):
            _log.error("%s: not written: %s; batches may be sent twice after a crash", self._path, error.strerror)
