"""Correlation documents (Sigma 2.1) to rules: references resolved, fields mapped to columns, thresholds read.

Decisions where the specification is silent are in the README of this folder.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from luytre_common.schema import Column, Kind

from luytre_collector.detect.head import Complain, duration_us, examples, head
from luytre_collector.detect.logsource import field, fields
from luytre_collector.detect.model import Base, CorrelationRule, CorrelationType, EventRule, Fault, Place
from luytre_collector.detect.yamlfile import Document

MAX_SPAN_US = 7 * 86_400_000_000

_TYPES = get_args(CorrelationType)
_NUMBERS = frozenset({Kind.U8, Kind.U16, Kind.U32, Kind.U64, Kind.I32})
_OPERATORS: Mapping[str, Any] = {"eq": "=", "neq": "!=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_KEYS = {"type", "rules", "group-by", "timespan", "condition", "aliases", "generate"}


def correlation_rules(
    documents: Sequence[Document], events: Sequence[EventRule], faults: list[Fault]
) -> tuple[tuple[CorrelationRule, ...], frozenset[str]]:
    """The correlations, and the ids of event rules that only they use: those raise no alerts by themselves."""
    known: dict[str, list[EventRule]] = {}
    for event in events:
        for name in (event.head.id, event.head.name):
            if name:
                known.setdefault(name, []).append(event)
    made: list[CorrelationRule] = []
    quiet: set[str] = set()
    loud: set[str] = set()
    for document in documents:
        reader = _Reader(document, known, faults)
        rule = reader.read()
        referenced = {base.head.id for base in reader.bases}
        # A correlation that failed to load must not set its base rules free: they are noise alone.
        (loud if reader.generate else quiet).update(referenced)
        if rule is not None:
            made.append(rule)
    return tuple(made), frozenset(quiet - loud)


class _Reader:
    def __init__(self, document: Document, known: Mapping[str, Sequence[EventRule]], faults: list[Fault]) -> None:
        self._document = document
        self._known = known
        self._faults = faults
        self._body: dict[str, Any] = {}
        self.bases: list[EventRule] = []
        self.generate = False

    def _complain(self, message: str, place: Place) -> None:
        self._faults.append(Fault(self._document.path, place, message))

    def _wrong(self, key: str, message: str) -> None:
        self._complain(f"correlation: {message}", self._document.place_of("correlation", key))

    def read(self) -> CorrelationRule | None:
        before = len(self._faults)
        body = self._document.data["correlation"]
        if not isinstance(body, dict):
            self._wrong("", "not a mapping; give type, rules, group-by, timespan and condition")
            return None
        self._body = body
        for key in set(map(str, body)) - _KEYS:
            self._wrong(key, f"{key}: unknown key; known here: {', '.join(sorted(_KEYS))}")
        complain: Complain = self._complain
        about = head(self._document, complain)
        held = examples(self._document, complain, rows_each=True)
        given: Any = body.get("type")
        kind: CorrelationType = given if given in _TYPES else "event_count"
        if given not in _TYPES:
            known = ", ".join(_TYPES)
            self._wrong("type", f"type: {given!r} is not supported; use one of {known}, or a query rule")
        self._resolve()
        span_us = duration_us(body.get("timespan"))
        if span_us is None or span_us > MAX_SPAN_US:
            self._wrong(
                "timespan", f"timespan: {body.get('timespan')!r} is not 1s to 7d; for longer write a query rule"
            )
        operator, threshold, names = self._condition(kind)
        group = self._words("group-by", body.get("group-by") or [])
        bases = tuple(self._base(rule, group, names, kind) for rule in self.bases)
        generate = body.get("generate", False)
        if not isinstance(generate, bool):
            self._wrong("generate", "generate: not true or false")
        self.generate = generate is True
        if len(self._faults) > before or about is None or span_us is None:
            return None
        return CorrelationRule(about, kind, bases, tuple(group), span_us, operator, threshold, held)

    def _resolve(self) -> None:
        references = self._words("rules", self._body.get("rules") or [])
        if not references:
            self._wrong("rules", "rules: missing; give the id or name of the rules to count")
        for reference in references:
            found = self._known.get(reference, ())
            if not found:
                close = difflib.get_close_matches(reference, self._known, n=1)
                hint = f"did you mean {close[0]}?" if close else "give the id or name of an event rule that loads"
                self._wrong("rules", f"rules: no rule {reference}; {hint}")
            elif len(found) > 1:
                tables = ", ".join(rule.table for rule in found)
                self._wrong(
                    "rules", f"rules: {reference} stands on several tables ({tables}); split it, then count one"
                )
            elif found[0] not in self.bases:
                self.bases.extend(found)

    def _words(self, key: str, value: Any) -> list[str]:
        words = [value] if isinstance(value, str) else value
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            return words
        self._wrong(key, f"{key}: not a list of words")
        return []

    def _condition(self, kind: CorrelationType) -> tuple[Any, int | float, list[str]]:
        temporal = kind in ("temporal", "temporal_ordered")
        value = self._body.get("condition", {"gte": len(self.bases)} if temporal else None)
        if not isinstance(value, dict):
            self._wrong("condition", "condition: not a mapping; write for example gte: 10")
            return ">=", 1, []
        operators = [key for key in value if key in _OPERATORS]
        unknown = set(map(str, value)) - set(_OPERATORS) - {"field"}
        threshold: Any = value[operators[0]] if len(operators) == 1 else None
        if unknown or isinstance(threshold, bool) or not _is_number(threshold):
            self._wrong(
                "condition",
                f"condition: give exactly one of {', '.join(_OPERATORS)} with a number, and field where needed",
            )
            return ">=", 1, []
        if kind == "temporal_ordered" and (operators[0], threshold) != ("gte", len(self.bases)):
            self._wrong("condition", "condition: temporal_ordered asks for all its rules; remove the condition")
        names = self._words("condition", value.get("field") or [])
        if kind.startswith("value_") and not names:
            self._wrong("condition", f"condition: {kind} needs field: the field whose values count")
        if kind in ("value_sum", "value_avg") and len(names) > 1:
            self._wrong("condition", f"condition: {kind} takes one field")
        return _OPERATORS[operators[0]], threshold, names

    def _base(self, rule: EventRule, group: list[str], names: list[str], kind: str) -> Base:
        group_columns = [self._column(rule, name, "group-by") for name in group]
        value_columns = [self._column(rule, name, "condition") for name in names]
        for column in group_columns:
            if column is not None and column.kind in (Kind.TEXTS, Kind.U32S):
                self._wrong("group-by", f"group-by: {column.name} is a list; group by single values")
        for column in value_columns:
            if column is not None and kind in ("value_sum", "value_avg") and column.kind not in _NUMBERS:
                self._wrong("condition", f"condition: {column.name} is no number; {kind} adds numbers")
        return Base(rule, tuple(one for one in group_columns if one), tuple(one for one in value_columns if one))

    def _column(self, rule: EventRule, name: str, key: str) -> Column | None:
        aliases = self._body.get("aliases") or {}
        mapping = aliases.get(name) if isinstance(aliases, dict) else None
        if mapping is not None:
            own = (
                [mapping.get(ref) for ref in (rule.head.id, rule.head.name) if ref] if isinstance(mapping, dict) else []
            )
            target = next((one for one in own if isinstance(one, str)), None)
            if target is None:
                self._wrong(
                    "aliases", f"aliases: {name} does not say which field of {rule.head.name or rule.head.id} it is"
                )
                return None
            name = target
        column = field(rule.table, name)
        if column is None:
            close = difflib.get_close_matches(name, fields(rule.table), n=1)
            hint = f"did you mean {close[0]}?" if close else "see proto/SCHEMA.md for the fields"
            self._wrong(key, f"{key}: table {rule.table} has no field {name}; {hint}")
        return column


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
