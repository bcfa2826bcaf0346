"""Between the sources and the spool: who reads a ring of the kernel never waits for a disk.

One thread numbers and spools the batches in the order in which they came. What a stalled disk keeps waiting is bounded
in bytes; beyond that batches are dropped, the oldest of the least important first, and counted.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from luytre_common.lifecycle import background
from luytre_common.telemetry import Counters, RateLimited, Sample

from luytre_agent.batch import SealedBatch

_log = logging.getLogger("luytre.keeper")

#: What a batch costs in memory besides its body, bytes.
_OUTSIDE = 512


class _Waiting:
    """A batch in the queue, and whoever waits for it."""

    __slots__ = ("batch", "done", "ticket")

    def __init__(self, batch: SealedBatch, ticket: int, patient: bool) -> None:
        self.batch = batch
        self.ticket = ticket
        self.done = threading.Event() if patient else None

    @property
    def size(self) -> int:
        return len(self.batch.body) + _OUTSIDE


class Keeper:
    """A bounded queue and the thread that empties it into `append`. `start`, then `take` from any thread; `stop` when
    nothing comes any more.

    lost: told of every batch that is dropped; it must not block. class_of: the importance of a table, 0 the most;
    classes are dropped from the highest number down.
    """

    def __init__(
        self,
        append: Callable[[SealedBatch], object],
        lost: Callable[[SealedBatch], object],
        class_of: Callable[[str], int],
        most_bytes: int,
        clock: Callable[[], float],
    ) -> None:
        self.counters = Counters("keeper")
        self._append = append
        self._lost = lost
        self._class_of = class_of
        self._most_bytes = most_bytes
        self._quiet = RateLimited(clock, 60.0)
        self._changed = threading.Condition()
        self._queues: dict[int, deque[_Waiting]] = {}
        self._dropped: dict[str, int] = {}
        self._bytes = 0
        self._ticket = 0
        self._ending = False
        self._clock = clock
        self._since: float | None = None
        self._thread = background("keeper", self._run)

    def start(self) -> None:
        """Begin to spool."""
        self._thread.start()

    def take(self, batch: SealedBatch, patient: bool = False) -> None:
        """Let a batch be spooled, soon; if patient, return once that is done or was given up."""
        with self._changed:
            self._ticket += 1
            waiting = _Waiting(batch, self._ticket, patient)
            self._queues.setdefault(self._class_of(batch.table), deque()).append(waiting)
            self._bytes += waiting.size
            while self._bytes > self._most_bytes and self._drop_one():
                pass
            self._changed.notify()
        if waiting.done:
            waiting.done.wait()

    def stop(self) -> None:
        """Spool everything that was taken, and end."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join()

    @property
    def fill(self) -> float:
        """How full the queue is, from 0 to 1. Never waits for the disk."""
        return self._bytes / self._most_bytes

    def waits_s(self) -> float:
        """For how long one batch has been waiting for the disk, seconds; 0 if none does."""
        since = self._since
        return 0.0 if since is None else self._clock() - since

    def samples(self) -> list[Sample]:
        """The counters, and gauges of what waits. Never waits for the disk."""
        with self._changed:
            self.counters.set("queue_bytes", self._bytes)
            self.counters.set("queue_batches", sum(map(len, self._queues.values())))
        return self.counters.samples()

    def _drop_one(self) -> bool:
        """Give up the oldest batch of the least important class that may be. False if there is none."""
        for number in sorted(self._queues, reverse=True):
            queue = self._queues[number]
            # What somebody waits for can wait: it is one batch for each who does.
            dropped = next((one for one in queue if one.done is None), None)
            if dropped is None:
                continue
            queue.remove(dropped)
            self._bytes -= dropped.size
            table, rows = dropped.batch.table, dropped.batch.rows
            self.counters.add("batches_lost", label=table)
            self.counters.add("rows_lost", rows, table)
            self._dropped[table] = self._dropped.get(table, 0) + rows
            self._lost(dropped.batch)
            return True
        return False

    def _next(self) -> _Waiting | None:
        """The batch that came first, once there is one; None at the end."""
        with self._changed:
            while True:
                queues = [queue for queue in self._queues.values() if queue]
                if queues:
                    queue = min(queues, key=lambda one: one[0].ticket)
                    waiting = queue.popleft()
                    self._bytes -= waiting.size
                    return waiting
                if self._ending:
                    return None
                self._changed.wait()

    def _run(self) -> None:
        while waiting := self._next():
            self._since = self._clock()
            try:
                self._append(waiting.batch)
            except Exception:  # noqa: BLE001 # whatever one batch does, the others go on
                self.counters.add("append_failures", label=waiting.batch.table)
                _log.exception("a batch of %s could not be spooled", waiting.batch.table)
            finally:
                self._since = None
                if waiting.done:
                    waiting.done.set()
            if self._dropped:
                self._say_dropped()

    def _say_dropped(self) -> None:
        """In the log, once the disk goes on: who reads a ring does not wait for a log either."""
        with self._changed:
            told = {table: self._dropped.pop(table) for table in tuple(self._dropped) if self._quiet.ready(table)}
        for table, rows in told.items():
            _log.error("the disk of the spool is too slow: %d rows of %s dropped; see keeper in health", rows, table)
