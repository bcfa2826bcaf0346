"""Every counter of the agent as rows of `agent_health`, so that silence and loss can be seen from far away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from luytre_common.lifecycle import background
from luytre_common.settings import at_least, setting
from luytre_common.telemetry import Sample

from luytre_agent import _core
from luytre_agent.batch import SealedBatch

TABLE = "agent_health"
_MAX = (1 << 64) - 1


@dataclass(frozen=True)
class Config:
    """The agent's own counters."""

    interval_seconds: float = setting(10.0, "write all counters this often", at_least(0.1))


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
    """Writes the counters every interval, and once more at the end."""

    def __init__(
        self,
        config: Config,
        gather: Callable[[], Sequence[Sample]],
        sink: Callable[[SealedBatch], object],
        clock: Callable[[], float],
    ) -> None:
        self._interval_s = config.interval_seconds
        self._gather = gather
        self._sink = sink
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = background("health", self._run)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def write(self) -> None:
        """Write all counters now."""
        batch = rows_of(self._gather(), self._clock())
        if batch is not None:
            self._sink(batch)

    def stop(self) -> None:
        """Write the last values, and end."""
        self._stopping.set()
        self._thread.join()
        self.write()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            self.write()
