"""One thread per source: opens it, polls it, hands its batches on, and tries again when it fails."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from enum import Enum

from luytre_common.errors import Unavailable
from luytre_common.lifecycle import background
from luytre_common.telemetry import Counters, Sample

from luytre_agent.batch import SealedBatch
from luytre_agent.ease import FULL, Ease
from luytre_agent.sources.base import Source

_log = logging.getLogger("luytre.sources")

#: How long one poll may wait: what a stop waits for at most, and how often an idle source costs something.
POLL_S = 1.0

#: Opening reads and hashes what is there already: how long it may take before it counts as hung.
_OPEN_S = 900.0


class State(Enum):
    """What a source is doing."""

    STARTING = "starting"
    AVAILABLE = "available"
    UNAVAILABLE = "unavailable"
    FINISHED = "finished"


#: Takes a batch; if told to be patient, returns only once it is on the disk or given up.
Sink = Callable[[SealedBatch, bool], object]


class Worker:
    """Drives the source that `make` makes. `wait_s` gives the seconds before the n-th try in a row; `ended` is called
    once the source has come to its end."""

    def __init__(
        self,
        name: str,
        make: Callable[[], Source],
        sink: Sink,
        counters: Counters,
        wait_s: Callable[[int], float],
        ended: Callable[[], object] = lambda: None,
    ) -> None:
        self.name = name
        self.state = State.STARTING
        self.reason = ""
        self.fault = ""
        self.settled = threading.Event()
        self._make = make
        self._sink = sink
        self._counters = counters
        self._wait_s = wait_s
        self._ended = ended
        self._ease = FULL
        self._stopping = threading.Event()
        self._samples: Sequence[Sample] = ()
        self._step = ("wait", 0.0)
        self._thread = background(name, self._run)

    def start(self) -> None:
        """Begin. `settled` is set once it is known whether the source is available."""
        self._thread.start()

    def ease(self, ease: Ease) -> None:
        """Have the source do less, or all again, from its next poll on; from any thread."""
        self._ease = ease

    def ask_to_stop(self) -> None:
        """Stop soon; `join` waits for it."""
        self._stopping.set()

    def join(self) -> None:
        """Wait until the source is closed and its last batches are handed on."""
        self._thread.join()

    def hung(self, limit_s: float) -> bool:
        """Whether the source has not come back for so long; a longer time while it opens."""
        step, since = self._step
        if step == "wait":
            return False
        return time.monotonic() - since > (max(limit_s, _OPEN_S) if step == "open" else limit_s)

    def samples(self) -> Sequence[Sample]:
        """The source's counters as of its last poll."""
        return self._samples

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            source = self._make()
            self._begin("open")
            try:
                source.open()
            except Unavailable as error:
                self._say_unavailable(error)
            except Exception:  # noqa: BLE001 # one source must not take the others down, whatever it does
                self._count_failure("open")
                self._become(State.UNAVAILABLE)
            else:
                failures = 0
                self._become(State.AVAILABLE)
                self._drive(source)
                if self.state is State.FINISHED:
                    self._begin("wait")
                    return
            failures += 1
            self._begin("wait")
            self._stopping.wait(self._wait_s(failures))
        self._counters.set("source_available", 0, self.name)

    def _drive(self, source: Source) -> None:
        gone: Unavailable | None = None
        ease, rest_s = FULL, 0.0
        try:
            while not self._stopping.is_set() and not source.finished:
                if ease is not self._ease:
                    ease = self._ease
                    rest_s = source.ease(ease)
                self._begin("poll")
                self._take(source, source.poll(POLL_S))
                if rest_s:
                    self._begin("wait")
                    self._stopping.wait(rest_s)
        except Unavailable as error:
            gone = error
        except Exception:  # noqa: BLE001 # as above
            self._count_failure("poll")
        finished = source.finished
        self._begin("close")
        try:
            self._take(source, source.close())
        except Exception:  # noqa: BLE001 # as above
            self._count_failure("close")
        if finished:
            self.fault = getattr(source, "fault", "")
            if self.fault:
                _log.error("%s: %s", self.name, self.fault)
            self._become(State.FINISHED)
            self._ended()
        elif gone:
            self._say_unavailable(gone)
        else:
            self._become(State.UNAVAILABLE)

    def _begin(self, step: str) -> None:
        self._step = (step, time.monotonic())

    def _take(self, source: Source, batches: Sequence[SealedBatch]) -> None:
        self._samples = source.samples() or self._samples
        if source.patient:
            self._begin("wait")  # for the disk, perhaps
        for batch in batches:
            self._sink(batch, source.patient)

    def _become(self, state: State) -> None:
        self.state = state
        self._counters.set("source_available", int(state is State.AVAILABLE), self.name)
        if state is State.AVAILABLE:
            _log.info("%s: running", self.name)
            self.reason = ""
        self.settled.set()

    def _say_unavailable(self, error: Unavailable) -> None:
        self._counters.add("source_unavailable", label=self.name)
        if str(error) != self.reason:
            self.reason = str(error)
            _log.warning("%s: not available: %s", self.name, error)
        self._become(State.UNAVAILABLE)

    def _count_failure(self, step: str) -> None:
        self._counters.add("source_failures", label=self.name)
        _log.exception("%s: failed in %s; it is started again", self.name, step)
