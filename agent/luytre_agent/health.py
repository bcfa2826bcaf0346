"""Every counter of the agent as rows of `agent_health`, and a heartbeat, so that silence and loss can be seen from far
away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from luytre_common.lifecycle import background
from luytre_common.settings import at_least, at_most, setting
from luytre_common.telemetry import Counters, Sample

from luytre_agent import _core
from luytre_agent.batch import SealedBatch

TABLE = "agent_health"

_log = logging.getLogger("luytre.health")

_MAX = (1 << 64) - 1
#: Seconds until a heartbeat is tried again that could not be said.
_AGAIN_S = 1.0


@dataclass(frozen=True)
class Config:
    """The agent's own counters."""

    interval_seconds: float = setting(10.0, "write all counters this often", at_least(0.1))
    heartbeat_seconds: float = setting(
        10.0, "tell the collector this often that the agent lives, while connected", at_least(0.1), at_most(20)
    )


def rows_of(samples: Sequence[Sample], now: float) -> SealedBatch | None:
    """The samples as a batch of `agent_health`, read at `now` (seconds since 1970); None if there are none."""
    builder = _core.TableBuilder(TABLE)
    for sample in samples:
        builder.append(
            {
                "event_time": int(now * 1_000_000),
                "component": sample.component,
                "counter": sample.name,
                "label": sample.label,
                "value": min(max(sample.value, 0), _MAX),
            }
        )
    return builder.seal()


class Health:
    """Writes the counters every interval, and once more at the end; in between, `beat` tells that the agent lives.

    beat: whether there was a connection to say it on. If not, it is asked again a second later, so that a collector
    hears of an agent soon after it has come in.
    """

    def __init__(
        self,
        config: Config,
        gather: Callable[[], Sequence[Sample]],
        sink: Callable[[SealedBatch], object],
        clock: Callable[[], float],
        beat: Callable[[], bool] = lambda: True,
    ) -> None:
        self.counters = Counters("health")
        self._interval_s = config.interval_seconds
        self._heartbeat_s = config.heartbeat_seconds
        self._beat = beat
        self._gather = gather
        self._sink = sink
        self._clock = clock
        self._stopping = False
        self._wake = threading.Event()
        self._thread = background("health", self._run)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def write(self) -> None:
        """Write all counters now."""
        batch = rows_of(self._gather(), self._clock())
        if batch is not None:
            self._sink(batch)

    def reconfigure(self, config: Config) -> None:
        """Another rhythm from now on."""
        self._interval_s, self._heartbeat_s = config.interval_seconds, config.heartbeat_seconds
        self._wake.set()

    def stop(self) -> None:
        """Write the last values, and end."""
        self._stopping = True
        self._wake.set()
        self._thread.join()
        self.write()

    def _run(self) -> None:
        now = time.monotonic()
        write_at, beat_at = now + self._interval_s, now
        while True:
            woken = self._wake.wait(max(0.0, min(write_at, beat_at) - time.monotonic()))
            if self._stopping:
                return
            now = time.monotonic()
            if woken:
                self._wake.clear()
                write_at, beat_at = min(write_at, now + self._interval_s), min(beat_at, now + self._heartbeat_s)
            if now >= beat_at:
                heard = self._safely("beat", self._beat)
                beat_at = now + (self._heartbeat_s if heard else min(self._heartbeat_s, _AGAIN_S))
            if now >= write_at:
                self._safely("write", self.write)
                write_at = now + self._interval_s

    def _safely(self, what: str, action: Callable[[], object]) -> object:
        """Do it; an agent must not seem dead because it could not say once how it is."""
        try:
            return action()
        except Exception:  # noqa: BLE001 # whatever it is, the next time may do
            self.counters.add("failures", label=what)
            _log.exception("%s failed; it is tried again", what)
            return True
