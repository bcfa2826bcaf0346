"""What the agent uses of its host now, and how much of its budgets that is."""

from __future__ import annotations

import math
import os
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from luytre_agent.limits.cgroup import NO_LIMITS, Allowance
from luytre_agent.limits.config import Config
from luytre_agent.limits.ladder import Pressure

#: Of what the control group allows, this much is our budget: at its own limit it would stop or end us.
_SHARE = 0.9
#: A group that is kept from running for this share of the time has no CPU left.
_THROTTLED = 0.1
#: An uplink that needs no longer than this for what waits has no backlog, whatever the budget, bytes.
_NO_BACKLOG = 64 << 10
#: A spool with so little in it takes no disk from anybody, bytes.
_HELD = 16 << 20
#: Seconds over which CPU use is smoothed.
_SMOOTH_S = 8.0


@dataclass(frozen=True, slots=True)
class Usage:
    """One measurement. cpu: seconds of all threads since the start; spool_free: bytes that are left on its disk;
    uplink_rate: bytes per second that the uplink may send now, 0 for no limit; queue: fill of the queue before the
    disk, 0 to 1."""

    now: float
    cpu: float
    rss: int
    spool_bytes: int = 0
    spool_quota: int = 0
    spool_free: int | None = None
    uplink_rate: float = 0.0
    queue: float = 0.0
    allowance: Allowance = NO_LIMITS


def cpu_seconds() -> float:
    """CPU time of all threads of this process so far, those of the core included; user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident_bytes(statm: Path = Path("/proc/self/statm")) -> int:
    """Resident memory, bytes (proc(5)); 0 if it cannot be read."""
    try:
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def free_bytes(directory: Path) -> int | None:
    """What is left for us on the file system of the directory; None if that cannot be told."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


class Meter:
    """Measurements, one after the other, to pressures."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._last: Usage | None = None
        self._began = 0.0
        #: Cores in use, smoothed.
        self.cores = 0.0

    def pressures(self, usage: Usage) -> Sequence[Pressure]:
        """How much of each budget is used."""
        last, self._last = self._last, usage
        if last is None:
            self._began = usage.now
        found = [self._memory(usage, last), *self._disk(usage)]
        if last is not None and usage.now > last.now:
            found += self._cpu(usage, last)
        config = self._config
        if config.uplink_backlog_seconds and usage.uplink_rate and usage.spool_bytes > _NO_BACKLOG:
            backlog_s = usage.spool_bytes / usage.uplink_rate
            found.append(Pressure("uplink", backlog_s / config.uplink_backlog_seconds, slow=True))
        return found

    def _cpu(self, usage: Usage, last: Usage) -> Sequence[Pressure]:
        config, passed = self._config, usage.now - last.now
        weight = -math.expm1(-passed / _SMOOTH_S)
        self.cores += weight * ((usage.cpu - last.cpu) / passed - self.cores)
        if usage.now - self._began < config.grace_seconds:
            return ()
        budget = config.cpu_percent / 100
        if usage.allowance.cores is not None:
            budget = min(budget, _SHARE * usage.allowance.cores)
        throttled = (usage.allowance.throttled_us - last.allowance.throttled_us) / 1e6 / passed
        return [Pressure("cpu", max(self.cores / budget, throttled / _THROTTLED))]

    def _memory(self, usage: Usage, last: Usage | None) -> Pressure:
        budget = float(self._config.memory_mb << 20)
        if usage.allowance.memory_bytes is not None:
            budget = min(budget, max(1.0, _SHARE * usage.allowance.memory_bytes))
        met = last is not None and usage.allowance.ooms > last.allowance.ooms
        return Pressure("memory", max(usage.rss / budget, 1.01 if met else 0.0))

    def _disk(self, usage: Usage) -> Sequence[Pressure]:
        config = self._config
        begin = config.spool_percent / 100
        found = [Pressure("disk", 2 * usage.queue, slow=True)]
        if usage.spool_quota:
            fill = usage.spool_bytes / usage.spool_quota
            # 1 where steps begin, 2 where it is full.
            used = fill / begin if fill <= begin or begin == 1 else 1 + (fill - begin) / (1 - begin)
            found.append(Pressure("spool", used, slow=True))
        if usage.spool_free is not None and config.free_disk_mb and usage.spool_bytes > _HELD:
            found.append(Pressure("disk", (config.free_disk_mb << 20) / max(1, usage.spool_free), slow=True))
        return found
