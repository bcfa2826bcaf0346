"""Room on the disks of the store: how much, how long it will last, and what happens before it is used up.

Below the low-water mark batches wait: the worker takes none, what may wait fills up (`ingest.max_waiting_bytes`),
reading stops, and the agents keep the rest in their spools. Nothing is refused, and nothing that was acknowledged is
lost. Alerts, correlations and the collector's counters still go in: they are what the room is kept for.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from luytre_common.settings import at_least, setting
from luytre_common.telemetry import Counters

from luytre_collector.detect.alert import Alert, alert_id
from luytre_collector.store import sql
from luytre_collector.store.base import Reading

_log = logging.getLogger("luytre.disk")


@dataclass(frozen=True)
class Config:
    """Room on the disks of the store."""

    interval_s: float = setting(10.0, "seconds between looks", at_least(0.1))
    low_water_bytes: int = setting(
        0,
        "free bytes below which batches wait; 0: 5 % of the disk, at least 2 GB and at most 50 GB, never above 20 %",
        at_least(0),
    )
    full_within_days: int = setting(14, "an alert is raised if the disk will be full in fewer days", at_least(1))


#: `disk_full_in_days` when it will not be full as far as anybody can see.
NEVER = 9999
#: Free bytes, as a multiple of the low-water mark, at which batches are taken again.
_RESUME = 1.25
#: Days whose mean is taken for what a day brings.
_LOOKED_AT = 7
#: How far the forecast looks, days.
_HORIZON = 3650
#: Seconds for which what each day brought is taken as known.
_REMEMBERED_S = 600.0

_FULL_SOON = "4a0c1f0e-6a0b-4d55-9a39-2b7f0f6f3a11"
_NEARLY_FULL = "b6a5a6f2-0d3c-4b8e-8f7e-5d6f5d0f9c12"


def low_water(config: Config, total: int) -> int:
    """The mark, bytes, on disks of `total` bytes."""
    return config.low_water_bytes or min(max(total // 20, 2_000_000_000), 50_000_000_000, total // 5)


def full_in_days(free: int, kept: Mapping[datetime.date, int], today: datetime.date, keep_days: int) -> int | None:
    """In how many days the disk is full, if every day brings what the last ones brought, and what is older than
    `keep_days` goes. `kept`: bytes by day of arrival. NEVER; None before the first whole day. Pure."""
    lately = [day for day in kept if 0 < (today - day).days <= _LOOKED_AT]
    if not lately:
        return None
    per_day = sum(kept[day] for day in lately) / (today - min(lately)).days
    left = float(free)
    for days in range(1, _HORIZON):
        gone = today + datetime.timedelta(days=days - keep_days - 1)
        left += (per_day if gone > today else kept.get(gone, 0)) - per_day
        if left <= 0:
            return days
    return NEVER


class DiskWatch:
    """Looks at the disks. Driven by one thread.

    hold: called with why batches must wait, or None when they may go on. keep_days: the longest time that rows of
    agents are kept.
    """

    def __init__(
        self,
        store: Reading,
        config: Config,
        name: str,
        keep_days: int,
        clock: Callable[[], float],
        hold: Callable[[str | None], None],
        raise_alerts: Callable[[Sequence[Alert]], None],
        counters: Counters,
    ) -> None:
        self._store = store
        self._config = config
        self._name = name
        self._keep_days = keep_days
        self._clock = clock
        self._hold = hold
        self._raise_alerts = raise_alerts
        self._counters = counters
        self._holding = False
        self._kept: Mapping[datetime.date, int] = {}
        self._kept_at = float("-inf")
        self._told: set[str] = set()

    def run(self) -> None:
        """Look, hold or let go, and raise the alerts that are due; each is raised once a day."""
        (space,) = self._store.query(
            "SELECT sum(free_space) AS free, sum(total_space) AS total FROM system.disks"
            " WHERE NOT is_remote AND NOT is_read_only"
        ).to_pylist()
        free, total = int(space["free"]), int(space["total"])
        if not total:  # all of it lies with somebody who sells room
            return
        self._counters.set("disk_free_bytes", free)
        self._counters.set("disk_total_bytes", total)
        mark = low_water(self._config, total)
        self._decide(free, mark)
        days = full_in_days(free, self._by_day(), self._today(), self._keep_days)
        if days is not None:
            self._counters.set("disk_full_in_days", days)
        facts = {"free_bytes": free, "total_bytes": total, "low_water_bytes": mark}
        if self._holding:
            self._tell(
                _NEARLY_FULL,
                "Disk of the Store Nearly Full: Agents Keep Their Rows",
                "Ổ đĩa của kho dữ liệu gần đầy: các agent giữ lại dữ liệu",
                "critical",
                facts,
            )
        if days is not None and days < self._config.full_within_days:
            self._tell(
                _FULL_SOON,
                "Disk of the Store Full Soon",
                "Ổ đĩa của kho dữ liệu sắp đầy",
                "high",
                {**facts, "full_in_days": days},
            )

    def _decide(self, free: int, mark: int) -> None:
        if free < mark and not self._holding:
            self._holding = True
            self._counters.add("disk_low")
            reason = f"the disk of the store is nearly full: {free:,} bytes free, below the mark of {mark:,}"
            _log.warning("%s; batches wait: make room, keep rows for fewer days, or set disk.low_water_bytes", reason)
            self._hold(reason)
        elif free >= mark * _RESUME and self._holding:
            self._holding = False
            _log.info("the disk of the store has room again, %s bytes free; batches are taken", f"{free:,}")
            self._hold(None)
        self._counters.set("disk_holding", int(self._holding))

    def _by_day(self) -> Mapping[datetime.date, int]:
        now = self._clock()
        if now - self._kept_at >= _REMEMBERED_S:
            found = self._store.query(
                "SELECT partition AS day, sum(bytes_on_disk) AS bytes FROM system.parts"
                " WHERE database = {database:String} AND active AND match(partition, '^[0-9]{4}-[0-9]{2}-[0-9]{2}$')"
                " GROUP BY partition",
                {"database": sql.DATABASE},
            ).to_pylist()
            self._kept = {datetime.date.fromisoformat(row["day"]): int(row["bytes"]) for row in found}
            self._kept_at = now
        return self._kept

    def _today(self) -> datetime.date:
        return datetime.datetime.fromtimestamp(self._clock(), datetime.UTC).date()

    def _tell(self, rule: str, title: str, title_vi: str, level: str, facts: Mapping[str, int]) -> None:
        known = alert_id(rule, self._name, self._today().isoformat())
        if known in self._told:
            return
        now_us = int(self._clock() * 1_000_000)
        made = Alert(
            alert_id=known,
            event_time=now_us,
            alert_created=now_us,
            rule_id=rule,
            rule_name=title,
            rule_name_vi=title_vi,
            rule_level=level,
            rule_kind="query",
            agent_id=self._name,
            host_name=self._name,
            evidence=facts,
        )
        self._raise_alerts([made])
        self._told = {*self._told, known} if len(self._told) < 10 else {known}
