"""The hash chains between collectors and over restarts, and what became of rows that are missing in them.

Every few seconds the last link of each numbering that went on is written to table `chains`, and the gaps that were met
to table `gaps`. A crash forgets a few seconds: the first link behind is then taken over unverified, and counted.

A gap is explained by rows of table `ledger`, in which the agent says what it had to drop. They come behind everything
that waits in its spool, so a gap is judged once all has come that was spooled until a while after the gap was met. One
that nobody explains is an alert, and so is one that the ledger puts down to a damaged spool: of that the agent only
knows that its files were not as it had left them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from luytre_common.ledger import Entry
from luytre_common.settings import at_least, setting
from luytre_common.telemetry import Counters

from luytre_collector.agent_alerts import alert_of
from luytre_collector.detect.alert import Alert
from luytre_collector.ingest.chain import Chains, Gap, Link, Numbering
from luytre_collector.ingest.finding import Finding, Kind
from luytre_collector.store import ddl, sql
from luytre_collector.store.base import Statements
from luytre_collector.store.chains import CHAINS, GAPS, insert

_log = logging.getLogger("luytre.chains")
_SECOND = 1_000_000
#: Rows of one insert, so that the statement stays below what the engine reads.
_PIECE = 500
#: Links of so many days are known from the start.
_DAYS = 2
#: A gap of an agent that is never heard again is judged after so long.
_LATEST_US = 86_400 * _SECOND
#: Of one agent and table, a gap is told of so often; table `gaps` has them all.
_QUIET_US = 3600 * _SECOND
#: Gaps that are judged in one look, and how many of them may be of one agent: one with very many must not keep those of
#: the others from being told.
_AT_ONCE, _OF_ONE_AGENT = 1000, 200
#: The causes that agents have; their words go into labels of counters, and others are not taken over.
_CAUSES = frozenset({"quota", "age", "disk", "corrupt", "refused"})
#: Ranges of the ledger that are set beside one gap; one that needs more is not explained.
_MOST_RANGES = 10_000
#: Seconds between looks at the gaps that are open.
_JUDGE_S = 30.0


@dataclass(frozen=True)
class Config:
    """The hash chains of what agents send."""

    interval_s: float = setting(5.0, "how often links and gaps are written down, seconds", at_least(0.1))
    patience_s: float = setting(
        300.0, "how long an agent has, once it has caught up, to explain rows that are missing, seconds", at_least(0)
    )


def stored_link(store: Statements, numbering: Numbering) -> Link | None:
    """The last link of a numbering that is written down."""
    (row,) = store.query(
        "SELECT toInt64(max(last_sequence)) AS last, argMax(link, last_sequence) AS link"
        f" FROM {sql.DATABASE}.{CHAINS} WHERE agent_id = {{agent:String}} AND boot_id = {{boot:String}}"
        " AND stream = {stream:String}",
        dict(zip(("agent", "boot", "stream"), numbering, strict=True)),
    ).to_pylist()
    return (int(row["last"]), bytes.fromhex(row["link"])) if row["link"] else None


def uncovered(first: int, last: int, explained: Iterable[tuple[int, int]]) -> int:
    """How many of the numbers `first` to `last` are in none of the ranges. Pure."""
    missing, at = 0, first
    for begin, end in sorted(explained):
        if begin > last:
            break
        if end < at:
            continue
        missing += max(0, begin - at)
        at = max(at, end + 1)
    return missing + max(0, last + 1 - at)


class ChainKeeper:
    """Driven by one thread. `caught_up(agent, us)`: whether everything has come that it had spooled before then."""

    def __init__(
        self,
        chains: Chains,
        store: Statements,
        config: Config,
        caught_up: Callable[[str, int], bool],
        raise_alerts: Callable[[Sequence[Alert]], None],
        counters: Counters,
        clock: Callable[[], float],
    ) -> None:
        self._chains = chains
        self._store = store
        self._config = config
        self._caught_up = caught_up
        self._raise_alerts = raise_alerts
        self._counters = counters
        self._clock = clock
        self._recalled = False
        self._judged_us = 0
        self._told: dict[tuple[str, str], int] = {}

    def run(self) -> None:
        """Write down what is new, judge the gaps that are due. StoreUnavailableError: nothing is lost, call again."""
        if not self._recalled:
            self._recall()
        self._save()
        now_us = int(self._clock() * _SECOND)
        if not 0 <= now_us - self._judged_us < min(_JUDGE_S, self._config.patience_s / 10) * _SECOND:
            self._judge(now_us)
            self._judged_us = now_us

    def _recall(self) -> None:
        rows = self._store.query(
            "SELECT agent_id, boot_id, stream, toInt64(max(last_sequence)) AS last,"
            f" argMax(link, last_sequence) AS link FROM {sql.DATABASE}.{CHAINS}"
            " WHERE collector_time > now() - toIntervalDay({days:UInt8}) GROUP BY agent_id, boot_id, stream",
            {"days": _DAYS},
        ).to_pylist()
        self._chains.remember(
            ((row["agent_id"], row["boot_id"], row["stream"]), (int(row["last"]), bytes.fromhex(row["link"])))
            for row in rows
        )
        self._recalled = True

    def _save(self) -> None:
        links, gaps = self._chains.take_links(), self._chains.take_gaps()
        try:
            self._insert(CHAINS, [(*numbering, last, link.hex(), at) for numbering, (last, link), at in links])
            self._insert(GAPS, [_row(gap, "open") for gap in gaps])
        except BaseException:
            self._chains.give_back(links, gaps)
            raise
        self._counters.add("links_saved", len(links))

    def _insert(self, table: str, rows: Sequence[Sequence[str | int]]) -> None:
        for at in range(0, len(rows), _PIECE):
            self._store.command(insert(sql.DATABASE, table, rows[at : at + _PIECE]))

    def _judge(self, now_us: int) -> None:
        found = self._store.query(
            "SELECT agent_id, boot_id, stream, toInt64(first_sequence) AS first, toInt64(last_sequence) AS last, table,"
            " host_name, toUnixTimestamp64Micro(collector_time) AS seen"
            f" FROM {sql.DATABASE}.{GAPS} FINAL WHERE state = 'open' ORDER BY seen"
            f" LIMIT {_OF_ONE_AGENT} BY agent_id LIMIT {_AT_ONCE}"
        ).to_pylist()
        settled: list[Sequence[str | int]] = []
        alerts: list[Alert] = []
        for row in found:
            numbering = (row["agent_id"], row["boot_id"], row["stream"])
            gap = Gap(numbering, row["table"], row["host_name"], row["first"], row["last"], int(row["seen"]))
            if (outcome := self._outcome(gap, now_us)) is None:
                continue
            state, cause, missing = outcome
            settled.append(_row(gap, state, cause))
            if (state == "unexplained" or cause == "corrupt") and self._is_to_be_told(gap, now_us):
                alerts.append(_alert(gap, state, missing, now_us))
        if alerts:
            try:
                self._raise_alerts(alerts)  # first: an alert that is made twice is one
            except BaseException:
                self._told.clear()
                raise
        self._insert(GAPS, settled)
        for *_, became, why in settled:
            if became == "explained":
                self._counters.add("gaps_explained", label=str(why))
            elif became == "late":
                self._counters.add("gaps_late")
            else:
                self._counters.add("gaps_unexplained")
        self._counters.set("gaps_open", len(found) - len(settled))

    def _is_to_be_told(self, gap: Gap, now_us: int) -> bool:
        told = (gap.numbering[0], gap.table)
        if 0 <= now_us - self._told.get(told, -_QUIET_US) < _QUIET_US:
            self._counters.add("gap_alerts_left_out")
            return False
        if len(self._told) > 10_000:
            self._told.clear()
        self._told[told] = now_us
        return True

    def _outcome(self, gap: Gap, now_us: int) -> tuple[str, str, int] | None:
        """State, cause and number of rows that nobody explains; None while it is too early to say."""
        said = self._ledger(gap)
        found = {one["cause"] if one["cause"] in _CAUSES else "other" for one in said}
        causes = "corrupt" if "corrupt" in found else " ".join(sorted(found))
        missing = uncovered(gap.first, gap.last, [(int(one["first"]), int(one["last"])) for one in said])
        if not missing:
            return "explained", causes, 0
        if self._has_come(gap):
            return "late", "", 0
        patience_us = int(self._config.patience_s * _SECOND)
        due = self._caught_up(gap.numbering[0], gap.seen_us + patience_us) or now_us - gap.seen_us > _LATEST_US
        return ("unexplained", causes, missing) if due else None

    def _ledger(self, gap: Gap) -> list[dict[str, Any]]:
        agent_id, boot_id, stream = gap.numbering
        return self._store.query(
            "SELECT ledger_cause AS cause, toInt64(ledger_first_sequence) AS first,"
            " toInt64(ledger_last_sequence) AS last"
            f" FROM {sql.DATABASE}.ledger WHERE agent_id = {{agent:String}} AND ledger_entry = '{Entry.GAP}'"
            " AND ledger_boot_id = {boot:String} AND ledger_stream = {stream:String}"
            " AND toInt64(ledger_last_sequence) >= {first:Int64} AND toInt64(ledger_first_sequence) <= {last:Int64}"
            f" LIMIT {_MOST_RANGES}",
            {"agent": agent_id, "boot": boot_id, "stream": stream, "first": gap.first, "last": gap.last},
        ).to_pylist()

    def _has_come(self, gap: Gap) -> bool:
        """By way of another collector, which had it under way."""
        agent_id, boot_id, stream = gap.numbering
        rows: Mapping[str, Any]
        (rows,) = self._store.query(
            f"SELECT uniqExact(sequence) AS n FROM {sql.DATABASE}.{ddl.name(gap.table)}"
            " WHERE agent_id = {agent:String}"
            " AND boot_id = {boot:String} AND stream = {stream:String} AND toInt64(sequence) >= {first:Int64}"
            " AND toInt64(sequence) <= {last:Int64}",
            {"agent": agent_id, "boot": boot_id, "stream": stream, "first": gap.first, "last": gap.last},
        ).to_pylist()
        return int(rows["n"]) == gap.last - gap.first + 1


def _row(gap: Gap, state: str, cause: str = "") -> tuple[str | int, ...]:
    return (*gap.numbering, gap.first, gap.last, gap.table, gap.host_name, gap.seen_us, state, cause)


def _alert(gap: Gap, state: str, missing: int, now_us: int) -> Alert:
    agent_id, boot_id, stream = gap.numbering
    facts = {
        "table": gap.table,
        "boot_id": boot_id,
        "stream": stream,
        "first_sequence": gap.first,
        "last_sequence": gap.last,
        "rows": missing or gap.last - gap.first + 1,
        "met_us": gap.seen_us,
    }
    kind = Kind.ROWS_MISSING if state == "unexplained" else Kind.SPOOL_DAMAGED
    story = f"{boot_id}/{stream}/{gap.first}"
    _log.warning("%s: rows %d to %d of %s are missing: %s", agent_id, gap.first, gap.last, gap.table, state)
    return alert_of(Finding(kind, agent_id, gap.host_name, now_us, story, facts))
