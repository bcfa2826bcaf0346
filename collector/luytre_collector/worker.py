"""The thread that drives the pipeline, and the queue in front of it, so that the event loop never blocks.

Batches that wait are taken together. With few of them around, the worker lingers for a moment after the first one, so
that inserts stay large and rare (an insert costs about 20 ms however small it is).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from luytre_common.settings import at_least, at_most, setting
from luytre_common.telemetry import Counters

from luytre_collector.ingest.admit import Admitted
from luytre_collector.pipeline import Postponed, StoppingError, Verdict

#: Called from the worker's thread, once, with what became of a batch.
Done = Callable[[Verdict], None]

_STOPPING = "the collector is stopping"
_EARLIER = "an earlier batch is to be sent again"
_log = logging.getLogger("luytre.pipeline")


@dataclass(frozen=True)
class Config:
    """How batches become inserts."""

    workers: int = setting(
        1, "threads that judge and insert, each for its share of the agents", at_least(1), at_most(8)
    )
    enough_rows: int = setting(10_000, "rows that are inserted without lingering", at_least(1))
    most_rows: int = setting(200_000, "rows that are taken together at most", at_least(1))
    most_bytes: int = setting(64 << 20, "bytes of opened bodies that are taken together at most", at_least(1))
    linger_s: float = setting(0.2, "how long to wait for more rows, seconds", at_least(0))
    retry_min_s: float = setting(0.1, "pause before asking a store that is away again; doubles", at_least(0.001))
    retry_max_s: float = setting(5.0, "longest such pause, seconds", at_least(0.001))


class Worker:
    """Takes batches from any thread and says what became of each. `process` is `Pipeline.process`.

    Once a batch of a connection goes back to its agent, so do all later ones of that connection: the agent sends them
    again from there, and if a later one were stored by then, the earlier one would be taken for stored, too.
    """

    def __init__(self, config: Config, counters: Counters, label: str = "") -> None:
        """`label`: of the gauge, where there are several workers."""
        self._config = config
        self._counters = counters
        self._label = label
        self._given_up: dict[str, int] = {}  # agent to the connection of which something went back
        self._queue: deque[tuple[Admitted, Done]] = deque()
        self._taken: list[tuple[Admitted, Done]] = []
        self._rows = 0
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._held: str | None = None
        self._since: float | None = None
        self._thread: threading.Thread | None = None

    def start(self, process: Callable[[Sequence[Admitted]], Sequence[Verdict]]) -> None:
        """Start the thread."""
        name = f"pipeline {self._label}".strip()
        self._thread = threading.Thread(target=self._run, args=(process,), name=name, daemon=True)
        self._thread.start()

    def submit(self, batch: Admitted, done: Done) -> None:
        """Queue a batch. The caller bounds how many wait: see `ingest.budget`."""
        with self._changed:
            stopped = self._stop.is_set()
            if not stopped:
                self._queue.append((batch, done))
                self._rows += batch.row_count
                self._counters.set("queued_batches", len(self._queue), self._label)
                self._changed.notify()
        if stopped:
            done(Postponed(_STOPPING))

    def pause(self, failures: int) -> bool:
        """Wait before another attempt; False when stopping, because then what is queued goes back to the agents."""
        self._since = time.monotonic()
        seconds = min(self._config.retry_max_s, self._config.retry_min_s * 2.0 ** min(failures - 1, 30))
        return not self._stop.wait(seconds)

    def hold(self, reason: str | None) -> None:
        """Take no batch until this is called with None. What is queued waits; at the end it goes back to the agents."""
        with self._changed:
            self._held = reason
            self._changed.notify()

    @property
    def held(self) -> bool:
        """Whether batches wait until something else changes."""
        return self._held is not None

    def hung(self, limit_s: float) -> bool:
        """Whether what was taken has made no step for so long. Asking a store that is away again is one."""
        since = self._since
        return since is not None and time.monotonic() - since > limit_s

    def oldest_us(self) -> int | None:
        """When the oldest of the rows arrived that are not stored yet, microseconds since 1970; None if none wait."""
        with self._changed:
            times = [batch.collector_time_us for batch, _ in (*self._taken, *self._queue)]
        return min(times, default=None)

    def stop(self) -> None:
        """Take nothing more, and finish what is queued, unless the store is away."""
        with self._changed:
            self._stop.set()
            self._changed.notify()

    def close(self) -> None:
        """Stop, and wait for the end of the thread."""
        self.stop()
        if self._thread:
            self._thread.join()

    def _run(self, process: Callable[[Sequence[Admitted]], Sequence[Verdict]]) -> None:
        while taken := self._take():
            self._since = time.monotonic()
            verdicts = self._verdicts(process, [batch for batch, _ in taken])
            with self._changed:
                self._taken = []
            for (_, done), verdict in zip(taken, verdicts, strict=True):
                done(verdict)
            self._since = None

    def _verdicts(
        self, process: Callable[[Sequence[Admitted]], Sequence[Verdict]], batches: Sequence[Admitted]
    ) -> Sequence[Verdict]:
        late = [self._is_late(batch) for batch in batches]
        wanted = [batch for batch, is_late in zip(batches, late, strict=True) if not is_late]
        if self._held is not None and self._stop.is_set():
            found: Sequence[Verdict] = [Postponed(self._held)] * len(wanted)
        else:
            found = self._judge(process, wanted) if wanted else ()
        for batch, verdict in zip(wanted, found, strict=True):
            if isinstance(verdict, Postponed):
                self._given_up[batch.sender.agent_id] = batch.sender.connection
        if len(wanted) == len(batches):
            return found
        self._counters.add("postponed", len(batches) - len(wanted))
        verdicts = iter(found)
        return [Postponed(_EARLIER) if is_late else next(verdicts) for is_late in late]

    def _is_late(self, batch: Admitted) -> bool:
        """Whether something of its connection, or of a later one of the same agent, went back already."""
        return self._given_up.get(batch.sender.agent_id, 0) >= batch.sender.connection

    def _judge(
        self, process: Callable[[Sequence[Admitted]], Sequence[Verdict]], batches: Sequence[Admitted]
    ) -> Sequence[Verdict]:
        try:
            return process(batches)
        except StoppingError:
            return [Postponed(_STOPPING)] * len(batches)
        except Exception:  # noqa: BLE001 - the thread must live on; the agents keep the batches and come again
            _log.exception("the pipeline failed on %d batches", len(batches))
            if len({batch.sender.agent_id for batch in batches}) > 1:
                return self._judge_apart(process, batches)
            self._counters.add("pipeline_failed", len(batches))
            return [Postponed("the collector failed; see its log")] * len(batches)

    def _judge_apart(
        self, process: Callable[[Sequence[Admitted]], Sequence[Verdict]], batches: Sequence[Admitted]
    ) -> Sequence[Verdict]:
        """Each agent's batches by themselves: what is wrong with those of one must not hold up the others."""
        self._counters.add("pipeline_parted", len(batches))
        places: dict[str, list[int]] = {}
        for place, batch in enumerate(batches):
            places.setdefault(batch.sender.agent_id, []).append(place)
        verdicts: dict[int, Verdict] = {}
        for own in places.values():
            self._since = time.monotonic()
            found = self._judge(process, [batches[place] for place in own])
            verdicts.update(zip(own, found, strict=True))
        return [verdicts[place] for place in range(len(batches))]

    def _take(self) -> list[tuple[Admitted, Done]]:
        """The next micro-batch; empty when stopping and all is done."""
        with self._changed:
            self._changed.wait_for(lambda: (bool(self._queue) and self._held is None) or self._stop.is_set())
            self._changed.wait_for(
                lambda: self._rows >= self._config.enough_rows or self._stop.is_set(), self._config.linger_s
            )
            taken = self._taken = []
            rows = size = 0
            while self._queue:
                batch = self._queue[0][0]
                rows += batch.row_count
                size += batch.body_size
                if taken and (rows > self._config.most_rows or size > self._config.most_bytes):
                    break
                taken.append(self._queue.popleft())
                self._rows -= batch.row_count
            self._counters.set("queued_batches", len(self._queue), self._label)
            return taken
