"""`luytre-collector ledger`: does the balance close, of every agent, numbering and stream?

What the agents say they saw, cut, numbered, lost and sent (table `ledger`) is set beside what is in the tables:

    packets    seen = looked at + undecoded, and what the kernel dropped before anybody could look
    rows       cut  = spooled + lost
    numbers    spooled = stored + gaps + waiting

Whatever does not come out is named with its stage. Numbers need no trust: those below the largest that is stored
were given, whether the agent lived to say so or not. Hours are those of the agent's clock; a batch counts in the hour
in which it was sealed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from luytre_common.ledger import Entry
from luytre_common.schema import WIRE_TABLES

from luytre_collector.store import ddl

#: Rows of a SELECT, as dictionaries.
Ask = Callable[[str], Iterable[Mapping[str, Any]]]

#: Agents whose clocks are right are never so far from ours: what arrived before that is not looked at.
_SKEW_S = 86_400


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """One stream of one numbering of one agent. Of packets, `stream` is the interface or file."""

    agent_id: str
    boot_id: str
    stream: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers that will never come, and why."""

    first: int
    last: int
    cause: str

    @property
    def rows(self) -> int:
        """How many."""
        return self.last - self.first + 1

    def within(self, first: int, last: int) -> int:
        """How many of them are from `first` to `last`."""
        return max(0, min(self.last, last) - max(self.first, first) + 1)


@dataclass(slots=True)
class Account:
    """What is known of one key, in one hour or over all of them."""

    entries: dict[tuple[str, str], int] = field(default_factory=dict)
    stored: int = 0
    came: int = 0
    first: int | None = None
    last: int | None = None

    def add(self, entry: str, cause: str, count: int) -> None:
        """The agent says: `count` more."""
        self.entries[entry, cause] = self.entries.get((entry, cause), 0) + count

    def store(self, rows: int, first: int, last: int) -> None:
        """The tables hold so many more, numbered so."""
        self.stored += rows
        self.first = first if self.first is None else min(self.first, first)
        self.last = last if self.last is None else max(self.last, last)

    def total(self, entry: str) -> int:
        """The sum over all causes."""
        return sum(count for (name, _), count in self.entries.items() if name == entry)

    def by_cause(self, entry: str) -> dict[str, int]:
        """The counts by cause."""
        return {cause: count for (name, cause), count in sorted(self.entries.items()) if name == entry}

    @property
    def span(self) -> int:
        """How many numbers there are from the first to the last that is stored."""
        return 0 if self.first is None or self.last is None else self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Balance:
    """The balance of a key over the time that was asked for. Counts are rows, but the first three.

    lost, gaps: by cause; what the agent says of rows that it could not keep, before and after they had numbers.
    came: of the gaps, rows that are stored all the same: they were on their way when the agent gave them up.
    waiting: numbered, and neither stored nor given up.
    before_spool: cut, and neither spooled nor lost: unexplained.
    missing: numbers that were given and are in no table and no gap: unexplained. Acknowledged ones among them were lost
        behind the acknowledgement.
    doubled: more rows than numbers: unexplained.
    """

    agent_id: str
    boot_id: str
    stream: str
    packets_seen: int
    kernel_dropped: int
    undecoded: dict[str, int]
    cut: int
    spooled: int
    lost: dict[str, int]
    gaps: dict[str, int]
    came: int
    sent: int
    resent: int
    acknowledged: int
    stored: int
    waiting: int
    before_spool: int
    missing: int
    doubled: int

    @property
    def unexplained(self) -> int:
        """Rows that nobody can account for."""
        return abs(self.before_spool) + self.missing + self.doubled

    @property
    def findings(self) -> list[str]:
        """What is not as it should be, each with its stage, in the order of the way of a row."""
        found = []
        if self.kernel_dropped:
            found.append(f"{self.kernel_dropped:,} packets dropped by the kernel")
        found += [f"{count:,} packets not decoded: {cause or 'unknown'}" for cause, count in self.undecoded.items()]
        if self.before_spool:
            found.append(f"{self.before_spool:,} rows UNEXPLAINED between sources and spool")
        found += [f"{count:,} rows lost before the spool: {cause or 'unknown'}" for cause, count in self.lost.items()]
        found += [f"{count:,} rows lost in the spool: {cause or 'unknown'}" for cause, count in self.gaps.items()]
        if self.came:
            found.append(f"{self.came:,} of these came all the same")
        if self.waiting:
            found.append(f"{self.waiting:,} rows wait with the agent")
        if self.missing:
            what = "acknowledged and " if self.acknowledged > self.stored else ""
            found.append(f"{self.missing:,} rows UNEXPLAINED: {what}not in the tables")
        if self.doubled:
            found.append(f"{self.doubled:,} rows UNEXPLAINED: twice in the tables")
        return found

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {**asdict(self), "unexplained": self.unexplained, "findings": self.findings}


def strike(key: Key, account: Account, gaps: Sequence[Gap]) -> Balance:
    """The balance of one key. Pure."""
    inside = 0
    if account.first is not None and account.last is not None:
        inside = sum(gap.within(account.first, account.last) for gap in gaps)
    outside = sum(gap.rows for gap in gaps) - inside
    between = account.span - account.stored - (inside - account.came)
    spooled, acknowledged = account.total(Entry.ROWS_SPOOLED), account.total(Entry.ROWS_ACKNOWLEDGED)
    beyond = max(0, spooled - account.span - outside)
    gone = min(beyond, max(0, acknowledged - account.stored - max(0, between)))
    lost = account.by_cause(Entry.ROWS_LOST)
    causes: dict[str, int] = {}
    for gap in gaps:
        causes[gap.cause] = causes.get(gap.cause, 0) + gap.rows
    return Balance(
        agent_id=key.agent_id,
        boot_id=key.boot_id,
        stream=key.stream,
        packets_seen=account.total(Entry.PACKETS_SEEN),
        kernel_dropped=account.total(Entry.KERNEL_DROPPED),
        undecoded=account.by_cause(Entry.UNDECODED),
        cut=account.total(Entry.ROWS_CUT),
        spooled=spooled,
        lost=lost,
        gaps=causes,
        came=account.came,
        sent=account.total(Entry.ROWS_SENT),
        resent=account.total(Entry.ROWS_RESENT),
        acknowledged=acknowledged,
        stored=account.stored,
        waiting=beyond - gone,
        before_spool=account.total(Entry.ROWS_CUT) - spooled - sum(lost.values()),
        missing=max(0, between) + gone,
        doubled=max(0, -between),
    )


@dataclass(slots=True)
class Books:
    """All accounts: by key, and by key and hour (seconds since 1970)."""

    accounts: dict[Key, Account] = field(default_factory=dict)
    hours: dict[tuple[Key, int], Account] = field(default_factory=dict)
    gaps: dict[Key, list[Gap]] = field(default_factory=dict)

    def balances(self) -> list[Balance]:
        """The balance of every key, in order."""
        return [strike(key, account, self.gaps.get(key, ())) for key, account in sorted(self.accounts.items())]

    def enter(self, key: Key, hour: int) -> tuple[Account, Account]:
        """The accounts that something of this key and hour belongs to."""
        return (
            self.accounts.setdefault(key, Account()),
            self.hours.setdefault((key, hour), Account()),
        )


def read(ask: Ask, since: int, until: int, agent: str = "") -> Books:
    """The accounts of what happened from `since` up to `until` (seconds since 1970, whole hours) by the agents' clocks;
    of one agent, if it is named."""
    books = Books()
    for row in ask(_entries(since, until, agent)):
        key = Key(str(row["agent_id"]), str(row["boot"]), str(row["name"]))
        for account in books.enter(key, int(row["hour"])):
            account.add(str(row["entry"]), str(row["cause"]), int(row["count"]))
    for row in ask(_gaps(since, until, agent)):
        key = Key(str(row["agent_id"]), str(row["boot"]), str(row["name"]))
        books.enter(key, int(row["hour"]))[1].add(
            Entry.GAP, str(row["cause"]), int(row["last"]) - int(row["first"]) + 1
        )
        books.gaps.setdefault(key, []).append(Gap(int(row["first"]), int(row["last"]), str(row["cause"])))
    for row in ask(_stored(since, until, agent)):
        key = Key(str(row["agent_id"]), str(row["boot"]), str(row["name"]))
        for account in books.enter(key, int(row["hour"])):
            account.store(int(row["rows"]), int(row["first"]), int(row["last"]))
    if books.gaps:
        for row in ask(_came(since, until, agent)):
            key = Key(str(row["agent_id"]), str(row["boot"]), str(row["name"]))
            books.accounts.setdefault(key, Account()).came += int(row["came"])
    return books


def _where(time: str, since: int, until: int, agent: str) -> str:
    """The condition on rows by the agent's clock; the one on the arrival is for the partitions."""
    whose = f" AND agent_id = {ddl.text(agent)}" if agent else ""
    return (
        f"{time} >= toDateTime({since}) AND {time} < toDateTime({until})"
        f" AND collector_time >= toDateTime({max(0, since - _SKEW_S)}){whose}"
    )


def _entries(since: int, until: int, agent: str) -> str:
    return (
        "SELECT agent_id, ledger_boot_id AS boot, ledger_stream AS name,"
        " toUnixTimestamp(toStartOfHour(event_time)) AS hour,"
        " ledger_entry AS entry, ledger_cause AS cause, sum(ledger_count) AS count FROM luytre.ledger"
        f" WHERE ledger_entry NOT IN ('{Entry.GAP}', '{Entry.DEGRADED}', '{Entry.RESTORED}')"
        f" AND {_where('event_time', since, until, agent)} GROUP BY ALL"
    )


def _gaps(since: int, until: int, agent: str) -> str:
    return (
        "SELECT agent_id, ledger_boot_id AS boot, ledger_stream AS name,"
        " toUnixTimestamp(toStartOfHour(event_time)) AS hour,"
        " ledger_cause AS cause, ledger_first_sequence AS first, ledger_last_sequence AS last FROM luytre.ledger"
        f" WHERE ledger_entry = '{Entry.GAP}' AND {_where('event_time', since, until, agent)}"
    )


def _came(since: int, until: int, agent: str) -> str:
    """Rows within the gaps that are stored all the same. Streams have the names of their tables."""
    gaps = (
        "SELECT agent_id, ledger_boot_id AS boot, ledger_stream AS name, ledger_first_sequence AS first,"
        " ledger_last_sequence AS last FROM luytre.ledger"
        f" WHERE ledger_entry = '{Entry.GAP}' AND {_where('event_time', since, until, agent)}"
    )
    return " UNION ALL ".join(
        "SELECT rows.agent_id AS agent_id, rows.boot_id AS boot, rows.stream AS name, count() AS came"
        f" FROM luytre.{table} AS rows INNER JOIN ({gaps} AND ledger_stream = {ddl.text(table)}) AS gaps"
        " ON rows.agent_id = gaps.agent_id AND rows.boot_id = gaps.boot AND rows.stream = gaps.name"
        f" WHERE (rows.agent_id, rows.boot_id) IN (SELECT agent_id, boot FROM ({gaps}))"
        " AND rows.sequence BETWEEN gaps.first AND gaps.last GROUP BY ALL"
        for table in WIRE_TABLES
    )


def _stored(since: int, until: int, agent: str) -> str:
    where = _where("agent_time", since, until, agent)
    one = (
        "SELECT agent_id, boot_id AS boot, {name} AS name, toUnixTimestamp(toStartOfHour(agent_time)) AS hour,"
        " count() AS rows, min(sequence) AS first, max(sequence) AS last FROM luytre.{table} WHERE {where} GROUP BY ALL"
    )
    parts = [one.format(name="stream", table=table, where=where) for table in WIRE_TABLES]
    parts.append(one.format(name="substring(stream, position(stream, '/') + 1)", table="quarantine", where=where))
    return " UNION ALL ".join(parts)
