"""How long rows are kept: by class of agents, with holds. What is too old is deleted by the collector, day by day.

Tables are partitioned by day of arrival, and an agent belongs to one class. When every row of a day is too old, the
partition is dropped, which costs nothing; before that, what is too old of it is deleted by agent, which rewrites the
day's parts once for each class. A hold keeps the rows of its agents that arrived on its days, whatever their class
says, until it is taken out of the configuration. A TTL of the engine could do neither.
"""

from __future__ import annotations

import datetime
import fnmatch
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from luytre_common.schema import TABLES
from luytre_common.settings import at_least, not_empty, required, setting
from luytre_common.telemetry import Counters

from luytre_collector.store import ddl, sql
from luytre_collector.store.base import Statements

_DAY_S = 86_400
_log = logging.getLogger("luytre.retention")


def iso_day(value: str) -> str | None:
    """A setting's check: a date as YYYY-MM-DD."""
    try:
        datetime.date.fromisoformat(value)
    except ValueError:
        return "is not a date, YYYY-MM-DD"
    return None


@dataclass(frozen=True)
class Class:
    """Agents whose rows are kept for another time, as the level of their information system asks."""

    name: str = required("what it is called")
    agents: list[str] = required("names of agents; * and ? stand for any characters", not_empty)
    days: int = required("days of arrival that are kept", at_least(1))


@dataclass(frozen=True)
class Hold:
    """Rows that must not be deleted: an incident, an order."""

    name: str = required("what it is called")
    agents: list[str] = setting(["*"], "names of the agents; * and ? stand for any characters", not_empty)
    first_day: str = setting("1970-01-01", "first day of arrival (UTC)", iso_day)
    last_day: str = setting("9999-12-31", "last day of arrival (UTC)", iso_day)


@dataclass(frozen=True)
class Config:
    """How long rows are kept, by day of arrival (UTC)."""

    days: int = setting(365, "rows of agents that are in no class", at_least(1))
    alert_days: int = setting(730, "alerts", at_least(1))
    interval_s: float = setting(3600.0, "seconds between looks", at_least(1))
    classes: list[Class] = setting([], "agents whose rows are kept shorter or longer; the first that fits counts")
    holds: list[Hold] = setting([], "what must not be deleted")


@dataclass(frozen=True, slots=True)
class Step:
    """One deletion from a partition. `agents` empty: all of it, which is then dropped."""

    table: str
    partition: str
    rows: int
    agents: tuple[str, ...] = ()

    @property
    def statement(self) -> str:
        """The SQL."""
        table = f"{sql.DATABASE}.{self.table}"
        if not self.agents:
            return f"ALTER TABLE {table} DROP PARTITION {ddl.text(self.partition)}"
        names = ", ".join(map(ddl.text, self.agents))
        return (
            f"ALTER TABLE {table} DELETE IN PARTITION {ddl.text(self.partition)} WHERE agent_id IN ({names})"
            " SETTINGS mutations_sync = 1"
        )

    def __str__(self) -> str:
        whose = f"{len(self.agents)} agents" if self.agents else "everybody"
        return f"{self.table} {self.partition}: {self.rows:,} rows of {whose}"


#: Tables whose partition is the day of arrival, with the column that says it. Alerts are by month, see `Retention`.
_DAILY = {
    **{
        table.name: "toDate(collector_time)"
        for table in TABLES.values()
        if table.partition_by == "toDate(collector_time)"
    },
    "flows_1m": "collector_day",
    "flows_1h": "collector_day",
}


def due(
    config: Config, today: datetime.date, found: Mapping[tuple[str, datetime.date], Mapping[str, int]]
) -> list[Step]:
    """What is to be deleted. `found`: rows by agent, of each table and day. Pure."""
    steps = []
    for (table, day), agents in sorted(found.items()):
        age = (today - day).days
        old = {
            name: rows for name, rows in agents.items() if age > days_of(config, name) and not held(config, name, day)
        }
        if old and len(old) == len(agents):
            steps.append(Step(table, str(day), sum(old.values())))
        elif old:
            steps.append(Step(table, str(day), sum(old.values()), tuple(sorted(old))))
    return steps


def days_of(config: Config, agent: str) -> int:
    """How many days the rows of this agent are kept."""
    return next((one.days for one in config.classes if _matches(agent, one.agents)), config.days)


def held(config: Config, agent: str, day: datetime.date) -> bool:
    """Whether a hold keeps the rows of this agent and day."""
    return any(_matches(agent, one.agents) and one.first_day <= day.isoformat() <= one.last_day for one in config.holds)


def _matches(agent: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(agent, pattern) for pattern in patterns)


class Retention:
    """Deletes what is too old. Driven by one thread."""

    def __init__(self, store: Statements, config: Config, clock: Callable[[], float], counters: Counters) -> None:
        self._store = store
        self._config = config
        self._clock = clock
        self._counters = counters

    def run(self) -> None:
        """Delete what is due now."""
        for step in self.due():
            self._store.command(step.statement)
            self._counters.add("rows_expired", step.rows, step.table)
            self._counters.add("days_dropped" if not step.agents else "days_thinned", label=step.table)
            _log.info("expired: %s", step)

    def due(self) -> list[Step]:
        """What is to be deleted now."""
        today = datetime.datetime.fromtimestamp(self._clock(), datetime.UTC).date()
        shortest = min([self._config.days, *(one.days for one in self._config.classes)])
        found: defaultdict[tuple[str, datetime.date], dict[str, int]] = defaultdict(dict)
        for table, day in _DAILY.items():
            for row in self._old(table, day, today - datetime.timedelta(days=shortest)):
                found[table, row["day"]][row["agent_id"]] = row["rows"]
        return [*due(self._config, today, found), *self._alerts(today)]

    def _old(self, table: str, day: str, before: datetime.date) -> list[dict[str, Any]]:
        return self._store.query(
            f"SELECT {day} AS day, agent_id, count() AS rows FROM {sql.DATABASE}.{table}"
            f" WHERE day < toDate('{before}') GROUP BY day, agent_id"
        ).to_pylist()

    def _alerts(self, today: datetime.date) -> Iterator[Step]:
        """Alerts lie by month of their event and are few: a month goes whole, once its last day is too old."""
        oldest = today - datetime.timedelta(days=self._config.alert_days)
        found = self._store.query(
            "SELECT toStartOfMonth(event_time) AS month, agent_id, count() AS rows"
            f" FROM {sql.DATABASE}.alerts WHERE event_time < toDateTime('{oldest.replace(day=1)} 00:00:00', 'UTC')"
            " GROUP BY month, agent_id ORDER BY month"
        )
        months: defaultdict[datetime.date, dict[str, int]] = defaultdict(dict)
        for row in found.to_pylist():
            months[row["month"]][row["agent_id"]] = row["rows"]
        for month, agents in months.items():
            if not any(_held_in(self._config, name, month) for name in agents):
                yield Step("alerts", f"{month:%Y%m}", sum(agents.values()))


def _held_in(config: Config, agent: str, month: datetime.date) -> bool:
    days = (month + datetime.timedelta(days=number) for number in range(31))
    return any(held(config, agent, day) for day in days if day.month == month.month)
