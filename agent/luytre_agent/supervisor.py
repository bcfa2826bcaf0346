"""The workers of all sources there should be, again and again: new interfaces get one, vanished ones are closed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from luytre_common.errors import LuytreError
from luytre_common.lifecycle import background
from luytre_common.telemetry import Counters, Sample

from luytre_agent.ease import FULL, Ease
from luytre_agent.sources import Makers
from luytre_agent.worker import Sink, State, Worker

_log = logging.getLogger("luytre.sources")

#: A source that takes longer to open is not waited for.
_PATIENCE_S = 15.0


class Supervisor:
    """`start` fails if no source is available at all; afterwards it goes on with those that are."""

    def __init__(
        self,
        wanted: Callable[[], Makers],
        sink: Sink,
        wait_s: Callable[[int], float],
        refresh_s: float,
    ) -> None:
        self.counters = Counters("sources")
        self._wanted = wanted
        self._sink = sink
        self._wait_s = wait_s
        self._refresh_s = refresh_s
        self._ease = FULL
        self._ended: Callable[[], object] = lambda: None
        self._workers: dict[str, Worker] = {}
        self._lock = threading.Lock()
        self._adjusting = threading.Lock()
        self._stopping = threading.Event()
        self._thread = background("supervisor", self._run)

    def start(self, ended: Callable[[], object] = lambda: None) -> None:
        """Start a worker per source. LuytreError, naming every reason, if none is available.

        `ended` is called, in any thread, once every source has come to its end (files only).
        """
        self._ended = ended
        try:
            self._adjust(self._wanted())
        except OSError as error:
            raise LuytreError(f"cannot list the interfaces: {error}; name them in [sources.packets]") from None
        deadline = time.monotonic() + _PATIENCE_S
        for worker in self.workers():
            worker.settled.wait(max(0.0, deadline - time.monotonic()))
        if all(worker.state is State.UNAVAILABLE for worker in self.workers()):
            reasons = "; ".join(f"{worker.name}: {worker.reason or 'failed'}" for worker in self.workers())
            _stop(self.workers())
            self._workers.clear()
            raise LuytreError(f"no source is available: {reasons or 'none is configured; see [sources] in the config'}")
        self._thread.start()

    def workers(self) -> list[Worker]:
        """The workers of now."""
        with self._lock:
            return list(self._workers.values())

    def hung(self, limit_s: float) -> list[str]:
        """The sources that have made no step for so long."""
        return [worker.name for worker in self.workers() if worker.hung(limit_s)]

    def reconfigure(self, wanted: Callable[[], Makers], refresh_s: float, changed: Callable[[str], bool]) -> None:
        """From now on there should be what `wanted` says. Workers whose names are `changed` are closed and made anew;
        those that are wanted as before go on. OSError, and nothing has changed, if `wanted` cannot say. Before the
        start it is only taken down."""
        with self._adjusting:
            makers = wanted() if self._thread.is_alive() else None
            self._wanted, self._refresh_s = wanted, refresh_s
            if makers is not None:
                self._adjust(makers, changed=changed)

    def failures(self, name: str) -> int:
        """How often the source of this name has failed."""
        return self.counters.get("source_failures", name)

    def ease(self, ease: Ease) -> None:
        """Have all sources do less, or all again; also those that come later."""
        with self._lock:
            self._ease = ease
            for worker in self._workers.values():
                worker.ease(ease)

    def finished(self) -> bool:
        """Whether every source has come to its end (files only)."""
        workers = self.workers()
        return bool(workers) and all(worker.state is State.FINISHED for worker in workers)

    def stop(self) -> None:
        """Close every source; all batches are handed on when this returns."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        _stop(self.workers())

    def samples(self) -> list[Sample]:
        """Our own counters, and those of all sources."""
        return self.counters.samples() + [sample for worker in self.workers() for sample in worker.samples()]

    def _one_ended(self) -> None:
        if self.finished():
            self._ended()

    def _run(self) -> None:
        while not self._stopping.wait(self._refresh_s):
            try:
                with self._adjusting:
                    self._adjust(self._wanted(), count=True)
            except OSError as error:
                self.counters.add("refresh_failures")
                _log.error("cannot list the interfaces: %s", error)
            except Exception:  # noqa: BLE001 # no thread could be had, perhaps: the next look may do
                self.counters.add("refresh_failures")
                _log.exception("the sources could not be brought to what there should be; it is tried again")

    def _adjust(self, makers: Makers, count: bool = False, changed: Callable[[str], bool] = lambda name: False) -> None:
        with self._lock:
            left = [name for name in self._workers if name not in makers or changed(name)]
            gone = [self._workers.pop(name) for name in left]
        _stop(gone)  # before one of the same name is opened: some of what sources hold is there once
        with self._lock:
            new = [name for name in makers if name not in self._workers]
            for name in new:
                worker = Worker(name, makers[name], self._sink, self.counters, self._wait_s, self._one_ended)
                worker.ease(self._ease)
                worker.start()
                self._workers[name] = worker  # one that could not be started cannot be waited for
        if count:
            self.counters.add("sources_appeared", len(new))
            self.counters.add("sources_vanished", len(gone))


def _stop(workers: list[Worker]) -> None:
    for worker in workers:
        worker.ask_to_stop()
    for worker in workers:
        worker.join()
