"""The thread that measures, goes up and down the ladder, and has every step in the tables, the counters and the log."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from luytre_common.ledger import Entry
from luytre_common.lifecycle import background
from luytre_common.telemetry import Counters, Sample

from luytre_agent import _core
from luytre_agent.batch import SealedBatch
from luytre_agent.ease import Ease
from luytre_agent.limits import priority
from luytre_agent.limits.cgroup import Cgroup
from luytre_agent.limits.config import Config
from luytre_agent.limits.ladder import Change, Ladder, Step, ease_of
from luytre_agent.limits.measure import Meter, Usage, cpu_seconds, free_bytes, resident_bytes

_log = logging.getLogger("luytre.limits")


@dataclass(frozen=True, slots=True)
class Gauges:
    """What the agent's other parts say of themselves; to be told without waiting for a disk or a lock."""

    spool_bytes: int = 0
    spool_quota: int = 0
    spool_directory: Path = Path("/")
    uplink_rate: float = 0.0
    queue: float = 0.0


def row(entry: Entry, cause: str, step: int, boot_id: str, now: float) -> SealedBatch | None:
    """A row of `ledger`: a step that begins (`degraded`) or ends (`restored`)."""
    builder = _core.TableBuilder("ledger")
    builder.append(
        {
            "event_time": int(now * 1_000_000),
            "ledger_boot_id": boot_id,
            "ledger_entry": entry,
            "ledger_cause": cause,
            "ledger_count": step,
        }
    )
    return builder.seal()


class Governor:
    """`start` before anything else has threads, so that all inherit the priorities; `stop` before the spool.

    act: told with every step what the sources may leave out. boot_id: of the spool's present numbering.
    """

    def __init__(
        self,
        config: Config,
        gauges: Callable[[], Gauges],
        act: Callable[[Ease], object],
        sink: Callable[[SealedBatch], object],
        boot_id: Callable[[], str],
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counters = Counters("limits")
        self._config = config
        self._gauges = gauges
        self._act = act
        self._sink = sink
        self._boot_id = boot_id
        self._clock = clock
        self._monotonic = monotonic
        self._ladder = Ladder(config.over_seconds, config.under_seconds, config.lowest_step)
        self._meter = Meter(config)
        self._cgroup = Cgroup()
        self._stopping = threading.Event()
        self._thread = background("governor", self._run)

    @property
    def step(self) -> int:
        """The step of the ladder that the agent is on; 0: does everything."""
        return self._ladder.step

    @property
    def reason(self) -> str:
        """Why; empty at step 0."""
        step = self._ladder.step
        return f"{self._ladder.reason}: {step.name.lower()}" if step else ""

    def prepare(self) -> None:
        """Set the priorities of this process."""
        priority.apply(self._config, self.counters)

    def start(self) -> None:
        """Begin to measure. Whatever step an earlier start has left ends here."""
        self.counters.set("degradation_step", 0)
        if self._config.enabled:
            self._tell(Entry.RESTORED, "start", Step.FULL)
            self._thread.start()

    def stop(self) -> None:
        """End; the steps that still last end too."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
            for step in range(self._ladder.step, 0, -1):
                self._tell(Entry.RESTORED, "stop", step)

    def samples(self) -> list[Sample]:
        """The counters, and the gauges of the last measurement."""
        return self.counters.samples()

    def look(self) -> Change | None:
        """Measure once, and do what follows; the step that was taken, if any."""
        usage = self._measure()
        pressures = self._meter.pressures(usage)
        self.counters.set("cpu_permille", round(1000 * self._meter.cores))
        self.counters.set("resident_bytes", usage.rss)
        self.counters.set("throttled_us", usage.allowance.throttled_us)
        self.counters.set("memory_ooms", usage.allowance.ooms)
        for one in pressures:
            self.counters.set("budget_percent", round(100 * one.used), one.budget)
        change = self._ladder.judge(usage.now, pressures)
        if change:
            self._take(change)
        return change

    def _measure(self) -> Usage:
        gauges = self._gauges()
        return Usage(
            now=self._monotonic(),
            cpu=cpu_seconds(),
            rss=resident_bytes(),
            spool_bytes=gauges.spool_bytes,
            spool_quota=gauges.spool_quota,
            spool_free=free_bytes(gauges.spool_directory),
            uplink_rate=gauges.uplink_rate,
            queue=gauges.queue,
            allowance=self._cgroup.read(),
        )

    def _take(self, change: Change) -> None:
        down = change.after > change.before
        self._act(ease_of(change.after, self._config))
        self.counters.set("degradation_step", change.after)
        self.counters.add("steps_down" if down else "steps_up", label=change.reason)
        if down:
            self._tell(Entry.DEGRADED, change.reason, change.after)
            _log.warning("over the budget of %s: step %d, %s", change.reason, change.after, change.after.name.lower())
        else:
            self._tell(Entry.RESTORED, change.reason, change.before)
            _log.info("room again (%s): back to step %d, %s", change.reason, change.after, change.after.name.lower())

    def _tell(self, entry: Entry, cause: str, step: int) -> None:
        batch = row(entry, cause, step, self._boot_id(), self._clock())
        if batch is not None:
            self._sink(batch)

    def _run(self) -> None:
        while not self._stopping.wait(self._config.interval_seconds):
            try:
                self.look()
            except Exception:  # noqa: BLE001 # the agent goes on without being judged, and says so
                self.counters.add("measure_failures")
                _log.exception("what we use could not be measured")
