"""Several workers, each with its share of the agents.

What one agent sends goes to one worker, always the same: a numbering is judged, linked and inserted by one thread, in
order, and that is what exactly-once needs. Agents are dealt out in turn. While one worker waits for the store, the next
one opens bodies and applies rules. Inserts are as many times smaller as there are workers, unless agents wait anyway.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from luytre_common.telemetry import Counters

from luytre_collector.ingest.admit import Admitted
from luytre_collector.pipeline import Verdict
from luytre_collector.worker import Config, Done, Worker

Process = Callable[[Sequence[Admitted]], Sequence[Verdict]]


class Workers:
    """As one `Worker`."""

    def __init__(self, config: Config, counters: Counters) -> None:
        count = config.workers
        self._workers = [Worker(config, counters, str(at) if count > 1 else "") for at in range(count)]
        self._shares: dict[str, Worker] = {}
        self._lock = threading.Lock()

    def start(self, make: Callable[[Worker], Process]) -> None:
        """Start every worker with a process of its own, made for it."""
        for worker in self._workers:
            worker.start(make(worker))

    def submit(self, batch: Admitted, done: Done) -> None:
        """Queue a batch with the worker that has its agent."""
        self._of(batch.sender.agent_id).submit(batch, done)

    def hold(self, reason: str | None) -> None:
        """See `Worker.hold`."""
        for worker in self._workers:
            worker.hold(reason)

    def hung(self, limit_s: float) -> bool:
        """See `Worker.hung`."""
        return any(worker.hung(limit_s) for worker in self._workers)

    @property
    def held(self) -> bool:
        """See `Worker.held`."""
        return any(worker.held for worker in self._workers)

    def oldest_us(self) -> int | None:
        """See `Worker.oldest_us`."""
        times = [time for worker in self._workers if (time := worker.oldest_us()) is not None]
        return min(times, default=None)

    def close(self) -> None:
        """See `Worker.close`."""
        for worker in self._workers:
            worker.stop()
        for worker in self._workers:
            worker.close()

    def _of(self, agent_id: str) -> Worker:
        with self._lock:
            if agent_id not in self._shares:
                self._shares[agent_id] = self._workers[len(self._shares) % len(self._workers)]
            return self._shares[agent_id]
