"""Correlations, on a schedule: what arrived since the last run decides which windows are asked about.

State lives in ClickHouse: a run needs only to know when the run before it began, and after a restart it looks back
`start_lookback`. The same story never makes two alerts: runs see the alerts table, and the alert's id follows from the
rule, the group and the story's start.
"""

from __future__ import annotations

import ipaddress
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import pyarrow as pa
from luytre_common.errors import LuytreError
from luytre_common.settings import at_least, setting
from luytre_common.telemetry import Counters

from luytre_collector.detect import correlation_sql
from luytre_collector.detect.alert import NO_ADDRESS, Alert, alert_id
from luytre_collector.detect.correlation_sql import MAX_GROUPS, Range
from luytre_collector.detect.leaves import packed
from luytre_collector.detect.model import CorrelationRule, Head, RuleSet
from luytre_collector.detect.sql import literal
from luytre_collector.detect.stories import Due, Story, due

_SECOND = 1_000_000
_log = logging.getLogger("luytre.correlate")


class Queries(Protocol):
    """What detection asks of a store."""

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """Run a SELECT."""


@dataclass(frozen=True)
class Config:
    """Correlations and query rules over the stored tables."""

    interval_s: float = setting(5.0, "seconds between runs", at_least(0.1))
    overlap_s: float = setting(
        60.0, "seconds of arrivals looked at again, for rows that were received but not yet stored", at_least(0.1)
    )
    lateness_s: float = setting(
        3600.0, "seconds after its event that a row may arrive and still be correlated", at_least(0.1)
    )
    start_lookback_s: float = setting(3600.0, "seconds of arrivals looked at after a start", at_least(0.1))
    reminder_s: float = setting(
        3600.0, "seconds after which an alert about a story that still goes on is raised again", at_least(0.1)
    )


class Correlator:
    """The correlations of a rule set over the tables of a store."""

    def __init__(
        self,
        ruleset: RuleSet,
        store: Queries,
        clock: Callable[[], float],
        counters: Counters | None = None,
        config: Config | None = None,
    ) -> None:
        self._rules = ruleset.correlations
        self._store = store
        self._clock = clock
        self._config = config or Config()
        self.counters = counters or Counters("correlate")
        self._since: dict[str, int] = {}
        self._raised: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))

    def follow(self, ruleset: RuleSet) -> None:
        """Other rules from the next run on. What a rule of the same id has told is remembered."""
        self._rules = ruleset.correlations

    def run(self, *, strict: bool = False) -> list[Alert]:
        """The alerts that are due. A rule that the store refuses is counted, or raised if `strict`, and tried again."""
        alerts: list[Alert] = []
        for rule in self._rules:
            now_us = int(self._clock() * _SECOND)
            try:
                made = self._run(rule, now_us)
            except LuytreError as error:
                if strict:
                    raise
                _log.warning("rule %s (%s): %s; tried again later", rule.head.title, rule.head.path, error)
                self.counters.add("rule_errors", label=rule.head.id)
                continue
            self._since[rule.head.id] = now_us
            if made:
                self.counters.add("rule_matches", len(made), rule.head.id)
            alerts.extend(made)
        return alerts

    def _run(self, rule: CorrelationRule, now_us: int) -> list[Alert]:
        config = self._config
        last = self._since.get(rule.head.id)
        since = (
            now_us - int(config.start_lookback_s * _SECOND) if last is None else last - int(config.overlap_s * _SECOND)
        )
        late = now_us - int(config.lateness_s * _SECOND)
        found = _one(self._store.query(correlation_sql.extent(rule, since, late)))
        if found["late"]:
            self.counters.add("late_rows", found["late"], rule.head.id)
        if found["rows"] <= found["late"]:
            return []
        low, high = found["low"], min(found["high"], now_us + correlation_sql.CLOCK_AHEAD_US)
        times = Range(low - 2 * rule.span_us, high + rule.span_us)
        answer = self._store.query(correlation_sql.stories(rule, times, low - rule.span_us)).to_pylist()
        if len(answer) > MAX_GROUPS:
            self.counters.add("groups_over_limit", label=rule.head.id)
            answer = answer[:MAX_GROUPS]
        reminder = max(int(config.reminder_s * _SECOND), rule.span_us)
        known = self._known(rule.head, low - reminder - 2 * rule.span_us) if answer else {}
        alerts: list[Alert] = []
        raised: list[tuple[str, int]] = []
        for row in answer:
            group = [str(value) for value in row["g"]]
            key = group_key(group)
            told = [Story(*_pair(pair), open_start=_pair(pair)[0] < low) for pair in row["stories"]]
            for one in due(told, known.get(key, ()), rule.span_us, reminder):
                alerts.append(self._alert(rule, group, one, now_us))
                raised.append((key, one.at_us))
        for key, at_us in raised:  # only now: a query that failed on the way must find nothing said
            self._raised[rule.head.id][key].append(at_us)
        return alerts

    def _known(self, head: Head, from_us: int) -> dict[str, list[int]]:
        """The times of the alerts that the table has, and of those that are on their way there, by group."""
        known = known_alerts(self._store, head, from_us)
        raised = self._raised[head.id]
        for key in list(raised):
            raised[key] = [at for at in raised[key] if at >= from_us]
            if raised[key]:
                known[key].extend(raised[key])
            else:
                del raised[key]
        return known

    def _alert(self, rule: CorrelationRule, group: list[str], one: Due, now_us: int) -> Alert:
        times = Range(one.at_us - rule.span_us, one.story.last_us)
        seen = _one(self._store.query(correlation_sql.evidence(rule, group, times)))
        evidence: dict[str, Any] = {
            "group": dict(zip(rule.group_by, group, strict=True)),
            "group_key": group_key(group),
            "events": seen["events"],
            "threshold": f"{rule.type} {rule.operator} {rule.threshold} in {rule.span_us // _SECOND} s",
            "first": iso(seen["first"]),
            "last": iso(seen["last"]),
            "values": sorted(map(str, seen["sample"])),
        }
        if rule.type == "value_count":
            evidence["distinct"] = seen["keys"]
        return make_alert(
            rule.head, "correlation", one.at_us, now_us, [group_key(group), one.anchor], evidence, seen, seen["refs"]
        )


def known_alerts(store: Queries, head: Head, from_us: int) -> defaultdict[str, list[int]]:
    """Event times of the stored alerts of a rule since `from_us`, by the key of their group."""
    answer = store.query(
        "SELECT JSONExtractString(evidence, 'group_key') AS key, toUnixTimestamp64Micro(event_time) AS at FROM alerts"
        f" WHERE rule_id = {literal(head.id)} AND event_time >= fromUnixTimestamp64Micro({max(0, from_us)})"
    )
    known: defaultdict[str, list[int]] = defaultdict(list)
    for row in answer.to_pylist():
        known[row["key"]].append(row["at"])
    return known


def make_alert(
    head: Head,
    kind: Any,
    at_us: int,
    now_us: int,
    identity: Sequence[str],
    evidence: Mapping[str, Any],
    seen: Mapping[str, Any],
    references: Sequence[str],
) -> Alert:
    """An alert about many rows; `seen` holds who is in all of them, as text."""
    return Alert(
        alert_id=alert_id(head.id, *identity),
        event_time=at_us,
        alert_created=now_us,
        rule_id=head.id,
        rule_name=head.title,
        rule_name_vi=head.title_vi,
        rule_level=head.level,
        rule_kind=kind,
        threat_technique_id=head.techniques,
        threat_tactic_name=head.tactics,
        source_ip=address(seen.get("source_ip")),
        destination_ip=address(seen.get("destination_ip")),
        user_name=str(seen.get("user_name") or ""),
        agent_id=str(seen.get("agent_id") or ""),
        host_name=str(seen.get("host_name") or ""),
        evidence=evidence,
        evidence_ids=tuple(map(str, references)),
    )


def group_key(group: Sequence[str]) -> str:
    """A group as one text, the same on every collector."""
    return json.dumps(list(group), ensure_ascii=False)


def address(value: Any) -> bytes:
    """16 bytes of an address given as bytes or text; `::` for anything else."""
    if isinstance(value, bytes) and len(value) == 16:
        return value
    try:
        return packed(ipaddress.ip_address(str(value)))
    except ValueError:
        return NO_ADDRESS


def iso(time_us: int) -> str:
    """Microseconds since 1970 as RFC 3339 text in UTC."""
    seconds, micros = divmod(time_us, _SECOND)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{micros:06d}Z"


def _one(table: pa.Table) -> dict[str, Any]:
    return table.slice(0, 1).to_pylist()[0] if table.num_rows else defaultdict(int)


def _pair(value: Any) -> tuple[int, int]:
    """A tuple of ClickHouse as Arrow gives it: a struct or a list."""
    first, last = value.values() if isinstance(value, dict) else value
    return int(first), int(last)
