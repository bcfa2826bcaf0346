"""The budgets, and how patiently the ladder is climbed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from luytre_common.settings import at_least, at_most, setting

#: The last step of the ladder.
LOWEST = 6


@dataclass(frozen=True)
class Config:
    """What the agent may use of its host; when that does not do, it does less, step by step, and says so."""

    enabled: bool = setting(True, "whether the budgets are enforced; oom_score_adj, nice and io_priority always are")
    cpu_percent: float = setting(
        30.0, "of one core, all threads; 90 % of the cgroup's quota if that is less", at_least(0.1)
    )
    memory_mb: int = setting(200, "resident memory, MiB; 90 % of the cgroup's limit if that is less", at_least(16))
    spool_percent: float = setting(
        50.0,
        "fill of the spool's quota at which steps begin, one more for each fifth of the rest",
        at_least(1),
        at_most(100),
    )
    free_disk_mb: int = setting(256, "what must stay free beside a spool in which batches wait, MiB", at_least(0))
    uplink_backlog_seconds: float = setting(
        300.0, "what waits may need so long at [uplink] bytes_per_second; 0: any time", at_least(0)
    )
    interval_seconds: float = setting(2.0, "measure this often", at_least(0.1), at_most(60))
    over_seconds: float = setting(10.0, "over a budget for so long: one step down", at_least(0.1))
    under_seconds: float = setting(60.0, "well under all budgets for so long: one step up", at_least(0.1))
    grace_seconds: float = setting(
        60.0, "after the start, CPU is not judged: everything is looked at once", at_least(0)
    )
    lowest_step: int = setting(LOWEST, "not further down than this step, 0 to 6", at_least(0), at_most(LOWEST))
    batch_seconds: float = setting(10.0, "step 1: age of batches", at_least(0.1), at_most(600))
    sample_one_in: int = setting(16, "step 3: one flow in so many is looked at", at_least(2), at_most(1 << 20))
    rest_seconds: float = setting(
        10.0, "step 5: rest of sockets, files, network, inventory", at_least(0.1), at_most(600)
    )
    queue_bytes: int = setting(
        16 << 20, "what may wait for a slow disk, bytes; then the least important is dropped", at_least(1 << 16)
    )
    oom_score_adj: int = setting(
        500,
        "so that the kernel ends us before the host's own work; only ever raised, see proc(5)",
        at_least(0),
        at_most(1000),
    )
    nice: int = setting(0, "added to our nice value at the start", at_least(0), at_most(19))
    io_priority: Literal["unchanged", "lowest", "idle"] = setting(
        "unchanged", "of our disk accesses: as it is, the lowest best-effort level, or only when the disk is idle"
    )
