"""Deletes what is older than `retention` allows, day by day.

Tables are partitioned by day of arrival. When every row of a day is too old, the partition is dropped, which costs
nothing; before that, what is too old of it is deleted by agent, which rewrites the day's parts once for each number of
days. Holds keep rows by agent and day. A TTL of the engine could do neither.

`agents` has no days: an agent's row goes when it was not heard for as long as anything of it may be kept. First
sightings are forgotten by the engine, by a TTL on `first_seen`.
"""

from __future__ import annotations

import datetime
import logging
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from luytre_common.errors import UserError
from luytre_common.schema import TABLES
from luytre_common.telemetry import Counters

from luytre_collector import query
from luytre_collector.retention import Keeping
from luytre_collector.store import choose, ddl, derived, sql
from luytre_collector.store.base import Reading, Statements
from luytre_collector.store.lock import FolderInUseError

_log = logging.getLogger("luytre.retention")

#: So far ahead a clock is not believed, seconds.
_LEAP_S = 7 * 86_400

#: Tables whose partition is the day of arrival, with the column that says it.
DAILY = {
    **{
        table.name: "toDate(collector_time)"
        for table in TABLES.values()
        if table.partition_by == "toDate(collector_time)"
    },
    "flows_1m": "collector_day",
    "flows_1h": "collector_day",
}

#: Those of them that are kept as long as alerts are: what says that nothing was lost must outlive the rows.
RECORDS = frozenset({"ledger"})


@dataclass(frozen=True, slots=True)
class Step:
    """One deletion.

    From a partition: all of it if `agents` is empty, else their rows. From `agents`, which has no partitions: the rows
    of these, if they were last seen before the day `before`.
    """

    table: str
    partition: str
    rows: int
    agents: tuple[str, ...] = ()
    before: str = ""

    @property
    def statement(self) -> str:
        """The SQL."""
        table = f"{sql.DATABASE}.{self.table}"
        names = ", ".join(map(ddl.text, self.agents))
        if self.before:
            return (
                f"ALTER TABLE {table} DELETE WHERE agent_id IN ({names})"
                f" AND last_seen < toDateTime64('{self.before} 00:00:00', 6, 'UTC') SETTINGS mutations_sync = 1"
            )
        if not self.agents:
            return f"ALTER TABLE {table} DROP PARTITION {ddl.text(self.partition)}"
        return (
            f"ALTER TABLE {table} DELETE IN PARTITION {ddl.text(self.partition)} WHERE agent_id IN ({names})"
            " SETTINGS mutations_sync = 1"
        )

    def __str__(self) -> str:
        whose = f"{len(self.agents)} agents" if self.agents else "everybody"
        return f"{self.table} {self.partition or f'before {self.before}'}: {self.rows:,} rows of {whose}"

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @staticmethod
    def from_json(given: Mapping[str, Any]) -> Step:
        """From plain values; ValueError for what is no deletion that `due` could have found."""
        try:
            agents = tuple(str(one) for one in given["agents"])
            step = Step(str(given["table"]), str(given["partition"]), int(given["rows"]), agents, str(given["before"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a deletion: {error}") from None
        if not _known(step):
            raise ValueError(f"not a deletion: {step.table} {step.partition}")
        return step


def _known(step: Step) -> bool:
    if step.table == "agents":
        return bool(_DAY.fullmatch(step.before)) and bool(step.agents) and not step.partition
    partition = _MONTH if step.table == "alerts" else _DAY if step.table in DAILY else None
    return partition is not None and bool(partition.fullmatch(step.partition)) and not step.before


_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_MONTH = re.compile(r"[0-9]{6}", re.ASCII)


def due(
    keeping: Keeping, today: datetime.date, found: Mapping[tuple[str, datetime.date], Mapping[str, int]]
) -> list[Step]:
    """What is to be deleted of tables by day. `found`: rows by agent, of each table and day. Pure."""
    steps = []
    for (table, day), agents in sorted(found.items()):
        age = (today - day).days
        old = {
            name: rows
            for name, rows in agents.items()
            if age > (keeping.config.alert_days if table in RECORDS else keeping.days(name))
            and not keeping.held(name, day)
        }
        if old and len(old) == len(agents):
            steps.append(Step(table, str(day), sum(old.values())))
        elif old:
            steps.append(Step(table, str(day), sum(old.values()), tuple(sorted(old))))
    return steps


class Looked:
    """Which days were looked at, and when something of them is due next. Rows hardly ever come to a day that is over:
    to look at all of them every hour would only have all that is kept counted every hour."""

    def __init__(self) -> None:
        self._next: dict[tuple[str, datetime.date], datetime.date] = {}

    def needs(self, table: str, day: datetime.date, today: datetime.date) -> bool:
        """Whether something of this day may be due."""
        return self._next.get((table, day), today) <= today

    def saw(self, table: str, day: datetime.date, due_next: datetime.date) -> None:
        """Nothing of it is due before this day."""
        self._next[table, day] = due_next

    def forget(self, table: str, before: datetime.date) -> None:
        """Days that are in the table no more."""
        for key in [key for key in self._next if key[0] == table and key[1] < before]:
            del self._next[key]


def find(store: Reading, keeping: Keeping, now: float, looked: Looked | None = None) -> list[Step]:
    """What is to be deleted now (seconds since 1970); without looking again at days that were `looked` at in vain."""
    today = datetime.datetime.fromtimestamp(now, datetime.UTC).date()
    steps: list[Step] = []
    for table, day in DAILY.items():
        steps += _daily(store, keeping, today, table, day, looked or Looked())
    return [*steps, *_alerts(store, keeping, today), *_agents(store, keeping, today)]


def _daily(
    store: Reading, keeping: Keeping, today: datetime.date, table: str, day: str, looked: Looked
) -> Iterator[Step]:
    days = keeping.config.alert_days if table in RECORDS else keeping.shortest
    begin = _date(store.query(f"SELECT min({day}) AS day FROM {sql.DATABASE}.{table}").column("day")[0].as_py())
    if begin == _EVER:  # there are no rows
        return
    looked.forget(table, begin)
    old = [begin + datetime.timedelta(days=number) for number in range((today - begin).days - days)]
    wanted = [one for one in old if looked.needs(table, one, today)]
    for start in range(0, len(wanted), _DAYS_AT_ONCE):
        some = wanted[start : start + _DAYS_AT_ONCE]
        listed = ", ".join(f"toDate('{one}')" for one in some)
        rows = store.query(
            f"SELECT {day} AS day, agent_id, count() AS rows FROM {sql.DATABASE}.{table}"
            f" WHERE day IN ({listed}) GROUP BY day, agent_id"
        )
        found: dict[tuple[str, datetime.date], dict[str, int]] = {(table, one): {} for one in some}
        for row in rows.to_pylist():
            found[table, _date(row["day"])][row["agent_id"]] = row["rows"]
        steps = due(keeping, today, found)
        yield from steps
        busy = {step.partition for step in steps}
        for (_, one), agents in found.items():
            if str(one) not in busy:
                again = today + datetime.timedelta(days=_AGAIN_DAYS)
                looked.saw(table, one, min(again, due_next(keeping, table, one, agents)))


def due_next(keeping: Keeping, table: str, day: datetime.date, agents: Iterable[str]) -> datetime.date:
    """When something of this day is due, whose rows are of these agents; holds end with the configuration. Pure."""
    free = (name for name in agents if not keeping.held(name, day))
    days = (keeping.config.alert_days if table in RECORDS else keeping.days(name) for name in free)
    least = min(days, default=None)
    return datetime.date.max if least is None else day + datetime.timedelta(days=least + 1)


def _alerts(store: Reading, keeping: Keeping, today: datetime.date) -> Iterator[Step]:
    """Alerts lie by month of their event and are few: a month goes whole, once its last day is too old."""
    oldest = today - datetime.timedelta(days=keeping.config.alert_days)
    found = store.query(
        "SELECT toStartOfMonth(event_time) AS month, agent_id, count() AS rows"
        f" FROM {sql.DATABASE}.alerts WHERE event_time < toDateTime('{oldest.replace(day=1)} 00:00:00', 'UTC')"
        " GROUP BY month, agent_id ORDER BY month"
    )
    months: defaultdict[datetime.date, dict[str, int]] = defaultdict(dict)
    for row in found.to_pylist():
        months[_date(row["month"])][row["agent_id"]] = row["rows"]
    for month, agents in months.items():
        last = (month + datetime.timedelta(days=31)).replace(day=1) - datetime.timedelta(days=1)
        if not any(keeping.held(name, month, last) for name in agents):
            yield Step("alerts", f"{month:%Y%m}", sum(agents.values()))


def _agents(store: Reading, keeping: Keeping, today: datetime.date) -> Iterator[Step]:
    """Agents that were not heard for so long that nothing of them is left."""
    before = today - datetime.timedelta(days=max(keeping.config.alert_days, keeping.longest))
    found = store.query(
        f"SELECT agent_id, count() AS rows FROM {sql.DATABASE}.agents GROUP BY agent_id"
        f" HAVING max(last_seen) < toDateTime64('{before} 00:00:00', 6, 'UTC')"
    ).to_pylist()
    old = {row["agent_id"]: row["rows"] for row in found if not keeping.held(row["agent_id"], _EVER, before)}
    if old:
        yield Step("agents", "", sum(old.values()), tuple(sorted(old)), str(before))


class Expiry:
    """Deletes what is too old. Safe to call from several threads, which then wait for each other."""

    def __init__(
        self,
        store: Statements,
        keeping: Keeping,
        clock: Callable[[], float],
        counters: Counters,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._keeping = keeping
        self._clock = clock
        self._monotonic = monotonic
        self._began = clock() - monotonic()
        self._counters = counters
        self._looked = Looked()
        self._lock = threading.Lock()

    def run(self) -> None:
        """Delete what is due now; nothing while the clock is far ahead of where it would be had nobody set it since the
        start: by a clock of another year all that there is would be too old."""
        ahead_s = self._clock() - self._monotonic() - self._began
        if ahead_s > _LEAP_S:
            self._counters.add("clock_leaps")
            _log.error(
                "this host's clock is %d days ahead of where it was at the start; nothing is deleted until it is right"
                " again; if it is right now, restart the collector",
                ahead_s // 86_400,
            )
            return
        for step in self.due():
            self.take(step)

    def due(self) -> list[Step]:
        """What is to be deleted now. Driven by one thread."""
        return find(self._store, self._keeping, self._clock(), self._looked)

    def take(self, step: Step) -> None:
        """Do one deletion. To do it twice is no harm."""
        with self._lock:
            self._store.command(step.statement)
            self._counters.add("rows_expired", step.rows, step.table)
            self._counters.add("days_dropped" if not step.agents else "days_thinned", label=step.table)
            _log.info("expired: %s", step)

    def take_all(self, steps: Any) -> int:
        """Do deletions that another process found and hands over as JSON; how many. ValueError if they are none."""
        if not isinstance(steps, list) or not all(isinstance(one, dict) for one in steps):
            raise ValueError("not a list of deletions")
        found = [Step.from_json(one) for one in steps]
        for step in found:
            self.take(step)
        return len(found)

    def settle(self) -> list[str]:
        """Let the engine forget first sightings in time; what was done, one line each."""
        days = min(derived.REMEMBERED_DAYS, self._keeping.config.max_days)
        engines = self._store.query(
            "SELECT engine_full AS full FROM system.tables WHERE name = 'first_seen' AND engine LIKE '%MergeTree'"
            " AND database IN ({database:String}, {shard:String})",
            {"database": sql.DATABASE, "shard": sql.SHARD_DATABASE},
        )
        wanted = derived.remembered(days)
        if all(f" TTL {wanted}" in row["full"] for row in engines.to_pylist()):
            return []
        self._store.command(f"ALTER TABLE {sql.DATABASE}.first_seen MODIFY TTL {wanted}")
        return [f"first_seen: forgotten {days} days after the last sighting"]


#: Deletions handed over in one request; days that are looked at in one query.
_AT_ONCE = 100
_DAYS_AT_ONCE = 31

#: Days after which a day is looked at again in any case: another collector's store may have been away for long.
_AGAIN_DAYS = 7


def _check_tables(store: Reading, remedy: str) -> None:
    found = store.query(f"SELECT name FROM system.tables WHERE database = '{sql.DATABASE}'").column("name").to_pylist()
    missing = sorted({*DAILY, "alerts", "agents"} - set(found))
    if missing:
        raise UserError(f"there is no table {missing[0]} yet; {remedy}")


def expire(config: choose.Config, keeping: Keeping, now: float, *, apply: bool) -> list[Step]:
    """What is due, whether a collector holds the store or not; with `apply` it is deleted, by the collector if one
    runs."""
    choose.expect_made(config)
    store = choose.make_store(config)
    try:
        store.open()
    except FolderInUseError as error:
        running = query.Running(config, error.pid)
        _check_tables(running, "start the collector of this version")
        steps = find(running, keeping, now)
        for start in range(0, len(steps) if apply else 0, _AT_ONCE):
            running.do("expire", [step.to_json() for step in steps[start : start + _AT_ONCE]])
        return steps
    try:
        _check_tables(store, "run: luytre-collector migrate")
        expiry = Expiry(store, keeping, lambda: now, Counters("retention"))
        steps = expiry.due()
        for step in steps if apply else ():
            expiry.take(step)
        return steps
    finally:
        store.close()


_EVER = datetime.date(1970, 1, 1)


def _date(value: Any) -> datetime.date:
    """A Date as either store gives it."""
    return value if isinstance(value, datetime.date) else datetime.date.fromisoformat(str(value))
