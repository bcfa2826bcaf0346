"""Query rules, on their schedules: a SELECT over a range of time; each row it returns is an alert about its group."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from luytre_common.errors import LuytreError
from luytre_common.telemetry import Counters

from luytre_collector.detect.alert import Alert
from luytre_collector.detect.correlate import Queries, group_key, iso, known_alerts, make_alert
from luytre_collector.detect.evidence import show
from luytre_collector.detect.model import QueryRule, RuleSet

#: Limits of one run of one rule.
MAX_ROWS = 1000
MAX_SECONDS = 60
MAX_MEMORY = 1_000_000_000

_MICRO = 1_000_000
_log = logging.getLogger("luytre.query_rules")
_WHO = ("source_ip", "destination_ip", "user_name", "agent_id", "host_name")


class Scheduler:
    """The query rules of a rule set, each run when its time has come."""

    def __init__(
        self, ruleset: RuleSet, store: Queries, clock: Callable[[], float], counters: Counters | None = None
    ) -> None:
        self._rules = ruleset.queries
        self._store = store
        self._clock = clock
        self.counters = counters or Counters("query_rules")
        self._next: dict[str, int] = {}
        self._raised: dict[tuple[str, str], int] = {}

    def follow(self, ruleset: RuleSet) -> None:
        """Other rules from the next run on. When a rule of the same id ran, and what it has told, is remembered."""
        self._rules = ruleset.queries

    def run(self, *, strict: bool = False) -> list[Alert]:
        """Run what is due. A statement that the store refuses is counted, or raised if `strict`, and tried again."""
        alerts: list[Alert] = []
        for rule in self._rules:
            now_us = int(self._clock() * _MICRO)
            if now_us < self._next.get(rule.head.id, 0):
                continue
            self._next[rule.head.id] = now_us + rule.every_us
            try:
                made = self._run(rule, now_us)
            except LuytreError as error:
                if strict:
                    raise
                _log.warning("rule %s (%s): %s; tried again later", rule.head.title, rule.head.path, error)
                self.counters.add("rule_errors", label=rule.head.id)
                continue
            if made:
                self.counters.add("rule_matches", len(made), rule.head.id)
            alerts.extend(made)
        return alerts

    def _run(self, rule: QueryRule, now_us: int) -> list[Alert]:
        answer = self._store.query(
            statement(rule), {"from": _parameter(now_us - rule.lookback_us), "to": _parameter(now_us)}
        )
        rows = answer.to_pylist()
        if len(rows) > MAX_ROWS:
            self.counters.add("rows_over_limit", label=rule.head.id)
            rows = rows[:MAX_ROWS]
        self._forget(rule, now_us)
        known = known_alerts(self._store, rule.head, now_us - rule.lookback_us - rule.quiet_us) if rows else {}
        alerts = []
        for row in rows:
            missing = [name for name in rule.group if name not in row]
            if missing:
                self.counters.add("columns_missing", label=rule.head.id)
                return []
            at_us = _micros(row.pop("event_time", None), now_us)
            key = group_key([str(show(row[name])) for name in rule.group])
            own = self._raised.get((rule.head.id, key))
            told = [*known.get(key, ()), *([] if own is None else [own])]
            if any(abs(at_us - one) <= rule.quiet_us for one in told):
                continue
            self._raised[rule.head.id, key] = at_us
            alerts.append(self._alert(rule, row, key, at_us, now_us))
        return alerts

    def _forget(self, rule: QueryRule, now_us: int) -> None:
        """Drop what is too long ago to matter; groups are as many as attackers make them."""
        oldest = now_us - rule.lookback_us - rule.quiet_us
        for key in [key for key, at in self._raised.items() if key[0] == rule.head.id and at < oldest]:
            del self._raised[key]

    def _alert(self, rule: QueryRule, row: dict[str, Any], key: str, at_us: int, now_us: int) -> Alert:
        references = row.pop("evidence_ids", None) or []
        evidence = {
            "group": {name: show(row[name]) for name in rule.group},
            "group_key": key,
            "from": iso(now_us - rule.lookback_us),
            "to": iso(now_us),
            **{name: show(value) for name, value in row.items() if name not in rule.group},
        }
        seen = {name: row[name] for name in _WHO if name in row}
        identity = [key, f"at/{at_us // rule.quiet_us}"]
        return make_alert(rule.head, "query", at_us, now_us, identity, evidence, seen, references[:20])


def statement(rule: QueryRule) -> str:
    """The rule's SELECT within the limits. As a subquery nothing but a SELECT parses."""
    return (
        f"SELECT * FROM (\n{rule.sql.rstrip()}\n) LIMIT {MAX_ROWS + 1}"
        f" SETTINGS max_execution_time = {MAX_SECONDS}, max_memory_usage = {MAX_MEMORY}"
    )


def _parameter(time_us: int) -> str:
    seconds, micros = divmod(max(0, time_us), _MICRO)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S.") + f"{micros:06d}"


def _micros(value: Any, default: int) -> int:
    if isinstance(value, datetime):
        return int(value.replace(microsecond=0).timestamp()) * _MICRO + value.microsecond
    return default
