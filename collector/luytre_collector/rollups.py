"""Derived tables are kept up with their sources, window by window of arrival; see `store.derived`.

A window is closed once nothing that arrived before its end can still be on its way to the store. It is written down as
begun, added under a token that names it, and written down as done. After a crash in between, the window that was begun
is added again under the same token, and the store refuses what it has. So every row counts once, whatever happens.

With several collectors on one store, each may keep batches that the others do not know of. What comes later than
`settle_s` after its arrival is not in the sums until the day is over: then each day is compared with its rows, and made
again where it differs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from luytre_common.settings import at_least, setting
from luytre_common.telemetry import Counters

from luytre_collector.store import sql
from luytre_collector.store.base import Statements
from luytre_collector.store.derived import DERIVED, WINDOWS, Derived

_SECOND = 1_000_000
_DAY = 86_400 * _SECOND
_COMPARED_DAYS = 7
_log = logging.getLogger("luytre.rollups")


@dataclass(frozen=True)
class Config:
    """Sums and first sightings, derived from the stored rows."""

    enabled: bool = setting(True, "whether this collector derives; one of those that share a store is enough")
    interval_s: float = setting(30.0, "seconds between looks for closed windows", at_least(1))
    settle_s: float = setting(5.0, "seconds that arrivals have to reach the store", at_least(1))


class Rollups:
    """Driven by one thread. `oldest_waiting()` is when the oldest row arrived that is not stored yet, microseconds
    since 1970, or None."""

    def __init__(
        self,
        store: Statements,
        config: Config,
        clock: Callable[[], float],
        oldest_waiting: Callable[[], int | None],
        counters: Counters,
    ) -> None:
        self._store = store
        self._config = config
        self._clock = clock
        self._oldest_waiting = oldest_waiting
        self._counters = counters
        self._compared: set[str] = set()
        self._through: dict[str, int] = {}

    def run(self) -> None:
        """Add every window that has closed; compare the days that are over since yesterday or since our start."""
        now = int(self._clock() * _SECOND)
        self._tell_lag(now)  # also if the store does not answer
        waiting = self._oldest_waiting()
        closed = now - int(self._config.settle_s * _SECOND)
        closed = min(closed, waiting) if waiting is not None else closed
        for way in DERIVED:
            self._catch_up(way, closed)
            if way.sums:
                self._compare(way, closed)
        self._tell_lag(now)

    def _tell_lag(self, now: int) -> None:
        for name, through in self._through.items():
            self._counters.set("through_s", through // _SECOND, name)
            self._counters.set("lag_s", max(0, now - through) // _SECOND, name)

    def _catch_up(self, way: Derived, closed: int) -> None:
        begun, done = self._progress(way)
        if begun is not None:
            self._counters.add("windows_repeated", label=way.name)
            self._add(way, *begun)
            done = begun[1]
        begin = self._first_arrival(way) if done is None else done
        if begin is not None:
            self._through[way.name] = begin
        while begin is not None and begin < closed:
            end = min(closed, (begin // _DAY + 1) * _DAY)  # a window is within a day, hence within a partition
            self._mark(way, begin, end, 0)
            self._add(way, begin, end)
            begin = end

    def _progress(self, way: Derived) -> tuple[tuple[int, int] | None, int | None]:
        """The window that was begun and not done, if any; and the end of the last one that was done."""
        found = self._store.query(
            "SELECT toUnixTimestamp64Micro(window_from) AS low, toUnixTimestamp64Micro(window_to) AS high,"
            f" max(done) AS state FROM {sql.DATABASE}.{WINDOWS} WHERE name = {{name:String}}"
            " GROUP BY window_from, window_to ORDER BY high DESC LIMIT 2",
            {"name": way.name},
        ).to_pylist()
        begun = [(row["low"], row["high"]) for row in found if not row["state"]]
        done = [row["high"] for row in found if row["state"]]
        return (begun[0] if begun else None), (done[0] if done else None)

    def _first_arrival(self, way: Derived) -> int | None:
        found = self._store.query(
            "SELECT count() AS rows, toUnixTimestamp64Micro(min(collector_time)) AS first"
            f" FROM {sql.DATABASE}.{way.source}"
        ).to_pylist()[0]
        return int(found["first"]) if found["rows"] else None

    def _add(self, way: Derived, begin: int, end: int) -> None:
        self._insert(way, f"{way.name}/{begin}/{end}", begin, end)
        self._mark(way, begin, end, 1)
        self._counters.add("windows", label=way.name)
        self._through[way.name] = end

    def _insert(self, way: Derived, token: str, begin: int, end: int) -> None:
        window = f"collector_time >= {_time(begin)} AND collector_time < {_time(end)}"
        settings: dict[str, int | str] = {
            **sql.INSERT_SETTINGS,
            "max_threads": 1,
            "optimize_on_insert": 0,  # the grouping has done it
            "insert_deduplication_token": token,
        }
        into = f"{sql.DATABASE}.{way.table} ({', '.join(way.columns)}) SETTINGS {sql.settings_clause(settings)}"
        rows = way.select.format(source=f"{sql.DATABASE}.{way.source}", window=window)
        self._store.command(f"INSERT INTO {into} {rows}")

    def _mark(self, way: Derived, begin: int, end: int, done: int) -> None:
        self._store.command(
            f"INSERT INTO {sql.DATABASE}.{WINDOWS} (name, window_from, window_to, done)"
            f" SETTINGS async_insert = 0, insert_deduplicate = 0"
            f" SELECT '{way.name}', {_time(begin)}, {_time(end)}, {done}"
        )

    def _compare(self, way: Derived, closed: int) -> None:
        """Days that are over, each once: rows of the source and rows in the sums. Not older ones: they expire."""
        today = _day(closed)
        if f"{way.name}/{today}" in self._compared:
            return
        days = f"day < toDate('{today}') AND day >= toDate('{today}') - {_COMPARED_DAYS}"
        found = self._store.query(
            "SELECT toString(day) AS name, sum(there) AS rows, sum(added) AS summed FROM ("
            f" SELECT toDate(collector_time) AS day, count() AS there, 0 AS added FROM {sql.DATABASE}.{way.source}"
            f" WHERE {days} GROUP BY day UNION ALL"
            f" SELECT collector_day AS day, 0 AS there, sum(rows) AS added FROM {sql.DATABASE}.{way.table}"
            f" WHERE {days} GROUP BY day) GROUP BY day ORDER BY day"
        )
        for row in found.to_pylist():
            if row["rows"] != row["summed"]:
                self._make_again(way, row["name"], row["rows"], row["summed"])
        self._compared.add(f"{way.name}/{today}")

    def _make_again(self, way: Derived, day: str, rows: int, summed: int) -> None:
        _log.warning("%s: %s has %d rows of %s in its sums, and there are %d: made again", way.table, day, summed,
                     way.source, rows)  # fmt: skip
        self._counters.add("days_made_again", label=way.name)
        self._store.command(f"ALTER TABLE {sql.DATABASE}.{way.table} DROP PARTITION '{day}'")
        begin = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * _SECOND
        self._insert(way, f"{way.name}/{day}/{int(self._clock() * _SECOND)}", begin, begin + _DAY)


def _time(microseconds: int) -> str:
    return f"fromUnixTimestamp64Micro(toInt64({microseconds}), 'UTC')"


def _day(microseconds: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)).date().isoformat()
