"""Rule files to rules: the only place that knows pySigma.

pySigma parses Sigma and applies its modifiers; what comes out is turned into our own frozen tree at once and pySigma is
done. One bad rule is one bad rule: its faults are collected with file, line and remedy, and every other rule loads.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from luytre_common.errors import UserError
from luytre_common.schema import TABLES, Column, Kind
from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.exceptions import SigmaError
from sigma.policy import default_policy
from sigma.policy.regex_engine import RE2RegexEngine, RegexPattern
from sigma.rule import SigmaRule
from sigma.types import (
    CompareOperators,
    Placeholder,
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SigmaTimestampPart,
    SpecialChars,
)

from luytre_collector.detect import leaves
from luytre_collector.detect.correlationfile import correlation_rules
from luytre_collector.detect.head import examples, head
from luytre_collector.detect.leaves import LeafError
from luytre_collector.detect.logsource import fields, keyword_columns, route
from luytre_collector.detect.model import EventRule, Fault, Place, QueryRule, Rule, RuleSet
from luytre_collector.detect.queryfile import query_rule
from luytre_collector.detect.tree import FALSE, How, Node, Operator, Text, Wild, conj, depth, disj, neg
from luytre_collector.detect.tree import leaves as leaves_of
from luytre_collector.detect.yamlfile import Document, YamlError, read

MAX_LEAVES = 10_000
MAX_DEPTH = 50

#: What pySigma raises on input that it does not expect, besides its own errors.
_PYSIGMA_ERRORS = (SigmaError, AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError)

_OPERATORS: dict[CompareOperators, Operator] = {
    CompareOperators.LT: "<",
    CompareOperators.LTE: "<=",
    CompareOperators.GT: ">",
    CompareOperators.GTE: ">=",
}
_FLAGS = {"IGNORECASE": "i", "MULTILINE": "m", "DOTALL": "s"}


class _Quiet(RE2RegexEngine):
    """Lets a bad pattern pass without RE2's own line on stderr: `leaves.regex` refuses it, and knows at which field."""

    def compile(self, pattern: str, flags: int = 0) -> RegexPattern:
        try:
            leaves.compile_regex(pattern)
        except LeafError:
            return cast(RegexPattern, re.compile(r"(?!)"))  # matches nothing
        return super().compile(pattern, flags)


default_policy.regex_engine = _Quiet()


def load(paths: Sequence[Path]) -> RuleSet:
    """Load the rules in files and folders (`*.yml`, `*.yaml`, at any depth). UserError if a path does not exist."""
    faults: list[Fault] = []
    documents: list[Document] = []
    files = 0
    for path in rule_files(paths):
        files += 1
        try:
            documents.extend(read(path))
        except YamlError as fault:
            faults.append(Fault(path, fault.place, str(fault)))
    seen: dict[str, Document] = {}
    events: list[EventRule] = []
    queries: list[QueryRule] = []
    later: list[Document] = []
    for document in documents:
        before = len(faults)
        _check_unique(document, seen, faults)
        if len(faults) > before:
            continue
        if "correlation" in document.data:
            later.append(document)
        elif "query" in document.data:
            if (made := query_rule(document, faults)) is not None:
                queries.append(made)
        elif (event := event_rule(document, faults)) is not None:
            events.append(event)
    correlations, quiet = correlation_rules(later, events, faults)
    events = [replace(rule, alerts=rule.head.id not in quiet) for rule in events]
    every: list[Rule] = [*events, *correlations, *queries]
    by_id = {rule.head.id: rule for rule in every}
    faults = sorted(set(faults), key=lambda fault: (str(fault.path), fault.place))
    return RuleSet(tuple(events), correlations, tuple(queries), tuple(faults), files, by_id)


def rule_files(paths: Sequence[Path]) -> Iterator[Path]:
    """The rule files in files and folders. UserError if a path does not exist."""
    for path in paths:
        if path.is_dir():
            yield from sorted(one for one in path.rglob("*") if one.suffix in (".yml", ".yaml") and one.is_file())
        elif path.is_file():
            yield path
        else:
            raise UserError(f"{path}: no such file or folder of rules; give an existing one")


def _check_unique(document: Document, seen: dict[str, Document], faults: list[Fault]) -> None:
    for key in ("id", "name"):
        value = document.data.get(key)
        if isinstance(value, str) and value:
            other = seen.setdefault(value, document)
            if other is not document:
                where = f"{other.path}:{other.line}"
                faults.append(
                    Fault(
                        document.path,
                        document.place_of(key),
                        f'{key}: "{value}" is already taken by {where}; change one',
                    )
                )


def event_rule(document: Document, faults: list[Fault]) -> EventRule | None:
    """A Sigma rule about one event, or None after appending its faults."""
    before = len(faults)

    def complain(message: str, place: Place) -> None:
        faults.append(Fault(document.path, place, message))

    about = head(document, complain)
    for key, remedy in (
        ("filter", "filters are not supported; put the exception into the rule's condition"),
        ("action", "old multi-document rules are not supported; write one rule per document"),
    ):
        if key in document.data:
            complain(f"{key}: {remedy}", document.place_of(key))
            return None
    table, implied = _logsource(document, complain)
    sigma = _parse(document, complain)
    if sigma is None or table is None:
        return None
    builder = _Builder(document, table, complain)
    try:
        conditions = [builder.node(condition.parsed) for condition in sigma.detection.parsed_condition]
    except _PYSIGMA_ERRORS as error:
        complain(f"detection: {_said(error)}", document.place_of("detection", "condition"))
        return None
    shown = builder.shown(document.data.get("fields") or [])
    held = examples(document, complain, rows_each=False)
    if len(faults) > before or about is None:
        return None
    tree = conj([*implied, disj(conditions)])
    if tree == FALSE:
        complain(
            "detection: can never be true; look for numbers outside the column's range", document.place_of("detection")
        )
        return None
    if sum(1 for _ in leaves_of(tree)) > MAX_LEAVES:
        complain(f"detection: more than {MAX_LEAVES} comparisons; split the rule", document.place_of("detection"))
        return None
    if depth(tree) > MAX_DEPTH:
        complain(
            f"detection: nested more than {MAX_DEPTH} deep; flatten it", document.place_of("detection", "condition")
        )
        return None
    return EventRule(about, table, tree, shown, examples=held)


def _logsource(document: Document, complain: Any) -> tuple[str | None, list[Node]]:
    source = document.data.get("logsource")
    if not isinstance(source, dict):
        complain("logsource: missing; give category, product or service", document.place_of("logsource"))
        return None, []
    parts = [source.get(key) for key in ("category", "product", "service")]
    if any(part is not None and not isinstance(part, str) for part in parts):
        complain("logsource: category, product and service are words", document.place_of("logsource"))
        return None, []
    found = route(*(part.lower() if part else None for part in parts))
    if found is None:
        named = ", ".join(f"{key}: {source[key]}" for key in ("category", "product", "service") if key in source)
        complain(
            f"logsource: no table holds {named or 'nothing'}; detect/logsource.py lists what is known",
            document.place_of("logsource"),
        )
        return None, []
    implied: dict[str, list[Node]] = {}
    for column, value in found.where:
        implied.setdefault(column, []).append(Text(TABLES[found.table].column(column), How.EXACT, value))
    return found.table, [disj(texts) for texts in implied.values()]


def _parse(document: Document, complain: Any) -> SigmaRule | None:
    wanted: dict[str, Any] = {key: document.data[key] for key in ("logsource", "detection") if key in document.data}
    try:
        rule = SigmaRule.from_dict({"title": "rule", **wanted}, collect_errors=True)
    except _PYSIGMA_ERRORS as error:
        complain(f"detection: {_said(error)}", document.place_of("detection"))
        return None
    for fault in rule.errors:
        complain(f"detection: {_said(fault)}", document.place_of("detection"))
    return None if rule.errors else rule


def _said(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply; flatten the condition"
    if isinstance(error, SigmaError) or str(error):
        return " ".join(str(error).split())
    return f"not understood ({type(error).__name__}); compare it with a shipped rule"


class _Builder:
    """Turns pySigma's parsed condition of one rule into our tree; complains about every leaf that cannot be."""

    def __init__(self, document: Document, table: str, complain: Any) -> None:
        self._document = document
        self._table = table
        self._fields = fields(table)
        self._complain = complain

    def node(self, item: Any) -> Node:
        match item:
            case ConditionAND():
                return conj([self.node(one) for one in item.args])
            case ConditionOR():
                return disj([self.node(one) for one in item.args])
            case ConditionNOT():
                return neg(self.node(item.args[0]))
            case ConditionFieldEqualsValueExpression():
                column = self._column(item.field)
                return FALSE if column is None else self._leaf(item.field, column, item.value)
            case ConditionValueExpression():
                return self._keyword(item.value)
            case _:
                raise TypeError(f"{type(item).__name__} is not supported")

    def shown(self, names: Any) -> tuple[Column, ...]:
        if not isinstance(names, list):
            self._complain("fields: not a list of field names", self._document.place_of("fields"))
            return ()
        # Only a hint of what to show: a name that the table has not is no reason to refuse a rule.
        return tuple(dict.fromkeys(self._fields[name] for name in names if str(name) in self._fields))

    def _column(self, name: str) -> Column | None:
        column = self._fields.get(name)
        if column is None:
            close = difflib.get_close_matches(name, self._fields, n=1)
            hint = f"did you mean {close[0]}?" if close else "see proto/SCHEMA.md for the fields"
            self._complain(
                f"{name}: table {self._table} has no such field; {hint}",
                self._document.place_of_field(name, "detection"),
            )
        return column

    def _keyword(self, value: Any) -> Node:
        """A keyword is looked for anywhere in any text that the agent reported."""
        if isinstance(value, SigmaNumber):
            value = SigmaString(str(value.number))
        if isinstance(value, SigmaString):
            if not value.s:
                raise SigmaError("an empty keyword; remove it")
            anywhere = [SpecialChars.WILDCARD_MULTI, *value.s, SpecialChars.WILDCARD_MULTI]
            value = type(value)()
            value.s = tuple(anywhere)
        elif not isinstance(value, SigmaRegularExpression | SigmaExpansion):
            raise SigmaError(f"a keyword is text or a pattern, not {type(value).__name__}")
        if isinstance(value, SigmaExpansion):
            return disj([self._keyword(one) for one in value.values])
        return disj([self._leaf("", column, value) for column in keyword_columns(self._table)])

    def _leaf(self, field: str, column: Column, value: Any) -> Node:
        try:
            return self._value(column, value)
        except LeafError as error:
            where = self._document.place_of_field(field, "detection") if field else self._document.place_of("detection")
            self._complain(f"{field or 'keyword'}: {error}", where)
            return FALSE

    def _value(self, column: Column, value: Any) -> Node:
        match value:
            case SigmaExpansion():
                return disj([self._value(column, one) for one in value.values])
            case SigmaString():
                return self._string(column, value)
            case SigmaTimestampPart():
                raise LeafError("parts of a time are not supported; use a query rule")
            case SigmaNumber():
                return self._number(column, "=", value.number)
            case SigmaBool():
                if column.kind in leaves.TEXT_KINDS:
                    return leaves.text(column, ["true" if value.boolean else "false"], cased=False)
                return leaves.number(column, "=", int(value.boolean))
            case SigmaRegularExpression():
                if value.regexp.contains_placeholder():
                    raise _placeholder(value.regexp.s)
                flags = "".join(_FLAGS[flag.name] for flag in value.flags)
                return leaves.regex(column, value.to_plain(), flags)
            case SigmaCIDRExpression():
                return leaves.cidr(column, value.network)
            case SigmaCompareExpression() if value.op in _OPERATORS and not isinstance(
                value.number, SigmaTimestampPart
            ):
                return self._number(column, _OPERATORS[value.op], value.number.number)
            case SigmaNull():
                return leaves.present(column, False)
            case SigmaExists():
                return leaves.present(column, bool(value.exists))
            case SigmaFieldReference():
                other = self._column(value.field)
                how = How.STARTS if value.starts_with else How.ENDS if value.ends_with else How.EXACT
                return FALSE if other is None else leaves.same_as(column, how, other, cased=False)
            case _:
                raise LeafError(f"{type(value).__name__} is not supported; use another modifier")

    def _number(self, column: Column, operator: Operator, value: int | float) -> Node:
        if column.kind in leaves.TEXT_KINDS and operator == "=":
            return leaves.text(column, [str(value)], cased=False)
        return leaves.number(column, operator, value)

    def _string(self, column: Column, value: SigmaString) -> Node:
        parts: list[str | Wild] = []
        for part in value.s:
            if isinstance(part, Placeholder):
                raise _placeholder(value.s)
            if isinstance(part, SpecialChars):
                parts.append(Wild.MANY if part is SpecialChars.WILDCARD_MULTI else Wild.ONE)
            else:
                parts.append(part)
        if column.kind is Kind.IP and any(isinstance(part, str) and "/" in part for part in parts):
            raise LeafError(f'"{value}" is a network; write {column.name}|cidr')
        return leaves.text(column, parts, cased=isinstance(value, SigmaCasedString))


def _placeholder(parts: Sequence[Any]) -> LeafError:
    names = ", ".join(f"%{part.name}%" for part in parts if isinstance(part, Placeholder))
    return LeafError(f"placeholder {names} has no value; write the values out")
