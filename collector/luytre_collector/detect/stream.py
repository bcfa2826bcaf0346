"""Event rules over every batch as it arrives.

A rule that needs some literal to occur (a witness, see `tree.witnesses`) is looked at only for rows where one does:
Hyperscan scans each column's folded Arrow buffer once for the literals of all rules, a dictionary's distinct values
once, and the hits are checked exactly: a few one by one, many as Arrow kernels over only these rows. A rule without a
witness runs as kernels over the batch. Rows that no literal touches never become Python objects.

Hyperscan is known only here; where it is missing, every rule runs as kernels.
"""

from __future__ import annotations

import importlib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from luytre_common.schema import Column, Kind
from luytre_common.telemetry import Counters

from luytre_collector.detect.alert import Alert
from luytre_collector.detect.columnar import Batch, rows_of
from luytre_collector.detect.evidence import event_alerts
from luytre_collector.detect.masks import mask
from luytre_collector.detect.model import EventRule, RuleSet
from luytre_collector.detect.predicates import Check, check, needed
from luytre_collector.detect.tree import Node, Witness, columns, conjuncts, witnesses

hyperscan: Any
try:
    hyperscan = importlib.import_module("hyperscan")
except ImportError:  # no wheel for this machine: slower, not blind
    hyperscan = None

#: Alerts of one rule from one batch. What is above is counted, and stands in the tables for SQL to find.
MAX_ALERTS = 1000

#: A rule whose candidates are more than one row in so many is left to the kernels, which cost less then.
_DENSE = 8
_SMALL = 256

#: Up to so many candidates of a rule are looked at one by one: a kernel costs some 20 us however few rows it is given.
_FEW = 64


@dataclass(frozen=True, slots=True)
class _Plan:
    """A rule made ready: by its witnesses, or (None) by kernels."""

    rule: EventRule
    witnesses: frozenset[Witness] | None
    check: Check


class _Scanner:
    """The literals of one column, as one Hyperscan database."""

    def __init__(self, column: Column, literals: Iterable[str]) -> None:
        self.column = column
        self.literals = sorted(literals)
        self._lengths = [len(literal.encode()) for literal in self.literals]
        expressions = ["".join(f"\\x{byte:02x}" for byte in literal.encode()).encode() for literal in self.literals]
        self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        self._database.compile(
            expressions=expressions,
            ids=list(range(len(expressions))),
            elements=len(expressions),
            flags=[0] * len(expressions),
        )

    def hits(self, batch: Batch) -> dict[str, set[int]]:
        """For each literal that occurs, the indices of the values (see `Batch.values`) that hold it."""
        values = batch.values(self.column, True)
        offsets_buffer, data = values.buffers()[1:]
        if data is None or data.size == 0 or len(values) == 0:
            return {}
        offsets = memoryview(offsets_buffer).cast("i")[values.offset : values.offset + len(values) + 1]
        base, after = offsets[0], offsets[-1]
        ends: list[tuple[int, int]] = []

        def found(literal: int, _start: int, end: int, _flags: int, _context: Any) -> None:
            # Anything true returned from here would stop the scan.
            ends.append((literal, end))

        self._database.scan(memoryview(data)[base:after], match_event_handler=found)
        starts: Sequence[int] = (
            offsets.tolist() if len(ends) * 32 > len(offsets) else offsets
        )  # a list is faster to ask
        hits: list[set[int]] = [set() for _ in self.literals]
        for literal, end in ends:
            value = bisect_right(starts, end + base - 1) - 1
            if end + base - self._lengths[literal] >= starts[value]:  # else it spans two values
                hits[literal].add(value)
        return {literal: indices for literal, indices in zip(self.literals, hits, strict=True) if indices}


class _TablePlan:
    """All rules of one table."""

    def __init__(self, rules: Sequence[EventRule], prefilter: bool) -> None:
        every = set[tuple[str, bool]]().union(*(needed(rule.tree) for rule in rules))
        by_name = {leaf_column.name: leaf_column for rule in rules for leaf_column in columns(rule.tree)}
        self.columns = [(by_name[name], folded) for name, folded in sorted(every)]
        layout = {(column.name, folded): at for at, (column, folded) in enumerate(self.columns)}
        self.plans = [
            _Plan(rule, witnesses(rule.tree) if prefilter else None, check(rule.tree, layout)) for rule in rules
        ]
        literals: defaultdict[Column, set[str]] = defaultdict(set)
        for plan in self.plans:
            for column, literal in plan.witnesses or ():
                literals[column].add(literal)
        self.scanners = [_Scanner(column, found) for column, found in literals.items()]


class Matcher:
    """The event rules of a rule set, ready to scan batches. Not for use by several threads at once."""

    def __init__(
        self,
        ruleset: RuleSet,
        clock: Callable[[], float],
        counters: Counters | None = None,
        *,
        prefilter: bool = True,
        every_rule: bool = False,
    ) -> None:
        """Make the rules ready.

        clock: seconds since 1970. prefilter: look for witnesses first, where Hyperscan is installed.
        every_rule: also those that only correlations use.
        """
        self.counters = counters or Counters("detect")
        self._clock = clock
        by_table: defaultdict[str, list[EventRule]] = defaultdict(list)
        for rule in ruleset.events:
            if rule.alerts or every_rule:
                by_table[rule.table].append(rule)
        use = prefilter and hyperscan is not None
        self._tables = {table: _TablePlan(rules, use) for table, rules in by_table.items()}
        self.counters.set("rules_loaded", len(ruleset))
        self.counters.set("rules_faulty", len(ruleset.faults))

    def scan(self, table: str, rows: pa.Table) -> list[Alert]:
        """The alerts that event rules raise about `rows`, a batch of `table` with the common columns filled in."""
        alerts: list[Alert] = []
        batch = Batch(rows)
        now_us = int(self._clock() * 1_000_000)
        for rule, found in self._matches(table, batch):
            if len(found) > MAX_ALERTS:
                self.counters.add("alerts_over_limit", len(found) - MAX_ALERTS, rule.head.id)
            alerts.extend(event_alerts(rule, batch, found[:MAX_ALERTS], now_us))
        return alerts

    def matches(self, table: str, rows: pa.Table) -> dict[str, list[int]]:
        """For each rule id that matches, the indices of the rows."""
        return {rule.head.id: found for rule, found in self._matches(table, Batch(rows))}

    def _matches(self, table: str, batch: Batch) -> list[tuple[EventRule, list[int]]]:
        plan = self._tables.get(table)
        if plan is None or len(batch) == 0:
            return []
        self.counters.add("rows_scanned", len(batch), table)
        candidates = _candidates(plan, batch)
        few = {rule: rows for rule, rows in candidates.items() if len(rows) <= _FEW}
        touched = sorted(set[int]().union(*few.values()))
        position = {row: at for at, row in enumerate(touched)}
        values: list[tuple[Any, ...]] = []
        if touched:
            picked = pa.array(touched, pa.int64())
            taken = [batch.take(column, folded, picked) for column, folded in plan.columns]
            values = list(zip(*taken, strict=True))
        results = []
        for one in plan.plans:
            rows = candidates.get(one.rule.head.id, ())
            if one.witnesses is None or len(rows) * _DENSE > len(batch) > _SMALL:
                found = pc.indices_nonzero(mask(one.rule.tree, batch)).to_pylist()
            else:
                self.counters.add("rule_candidates", len(rows), one.rule.head.id)
                if len(rows) > _FEW:
                    found = _among(one.rule, batch, rows)
                else:
                    decide = one.check
                    found = sorted(row for row in rows if decide(values[position[row]]))
            if found:
                self.counters.add("rule_matches", len(found), one.rule.head.id)
                results.append((one.rule, found))
        return results


def _among(rule: EventRule, batch: Batch, rows: Iterable[int]) -> list[int]:
    """Which of these rows the rule matches. Each part of it is asked of ever fewer rows, names and numbers first."""
    picked: Any = pa.array(sorted(rows), pa.int64())
    for node in sorted(conjuncts(rule.tree), key=_reads_texts):
        picked = picked.filter(mask(node, batch.part(picked)))
        if not len(picked):
            break
    return list(picked.to_pylist())


def _reads_texts(node: Node) -> bool:
    return any(column.kind in (Kind.TEXT, Kind.TEXTS) for column in columns(node))


def _candidates(plan: _TablePlan, batch: Batch) -> dict[str, set[int]]:
    """For each rule with witnesses, the rows where one occurs."""
    hits: dict[Witness, set[int]] = {}
    for scanner in plan.scanners:
        for literal, indices in scanner.hits(batch).items():
            hits[scanner.column, literal] = indices
    candidates: dict[str, set[int]] = {}
    for one in plan.plans:
        by_column: defaultdict[Column, set[int]] = defaultdict(set)
        for witness in one.witnesses or ():
            if witness in hits:
                by_column[witness[0]] |= hits[witness]
        rows: set[int] = set()
        for column, indices in by_column.items():
            rows.update(rows_of(batch, column, sorted(indices)).to_pylist())
        if rows:
            candidates[one.rule.head.id] = rows
    return candidates
