"""What a Sigma rule asks for, as our tree: the only place that knows pySigma.

pySigma parses Sigma and applies its modifiers; what comes out is turned into our own frozen tree at once and pySigma is
done.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any, cast

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
from luytre_collector.detect.auditd import NOWHERE
from luytre_collector.detect.fold import fold
from luytre_collector.detect.head import Complain
from luytre_collector.detect.leaves import LeafError
from luytre_collector.detect.logsource import field, fields, keyword_columns
from luytre_collector.detect.model import Place
from luytre_collector.detect.predicates import check
from luytre_collector.detect.route import Route, Where
from luytre_collector.detect.tree import FALSE, How, Node, Operator, Wild, conj, disj, neg
from luytre_collector.detect.yamlfile import Document

#: What pySigma raises on input that it does not expect, besides its own errors.
_PYSIGMA_ERRORS = (SigmaError, AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError)

_OPERATORS: dict[CompareOperators, Operator] = {
    CompareOperators.LT: "<",
    CompareOperators.LTE: "<=",
    CompareOperators.GT: ">",
    CompareOperators.GTE: ">=",
}
_FLAGS = {"IGNORECASE": "i", "MULTILINE": "m", "DOTALL": "s"}

#: The conditions of a rule, any of which makes it true.
Parsed = Sequence[Any]


class _Quiet(RE2RegexEngine):
    """Lets a bad pattern pass without RE2's own line on stderr: `leaves.regex` refuses it, and knows at which field."""

    def compile(self, pattern: str, flags: int = 0) -> RegexPattern:
        try:
            leaves.compile_regex(pattern)
        except LeafError:
            return cast(RegexPattern, re.compile(r"(?!)"))  # matches nothing
        return super().compile(pattern, flags)


default_policy.regex_engine = _Quiet()


def parse(document: Document, complain: Complain) -> Parsed | None:
    """What pySigma reads, or None after complaining."""
    detection = document.data.get("detection")
    for key in detection if isinstance(detection, dict) else ():
        if not isinstance(key, str):  # YAML takes off, on, yes and no for false and true
            complain(f"detection: a name is read as {key!r}; quote it", document.place_of("detection"))
            return None
    wanted: dict[str, Any] = {key: document.data[key] for key in ("logsource", "detection") if key in document.data}
    try:
        rule = SigmaRule.from_dict({"title": "rule", **wanted}, collect_errors=True)
    except _PYSIGMA_ERRORS as error:
        complain(f"detection: {_said(error)}", document.place_of("detection"))
        return None
    for fault in rule.errors:
        complain(f"detection: {_said(fault)}", document.place_of("detection"))
    if rule.errors:
        return None
    try:
        return [condition.parsed for condition in rule.detection.parsed_condition]
    except _PYSIGMA_ERRORS as error:
        complain(f"detection: {_said(error)}", document.place_of("detection", "condition"))
        return None


def _said(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply; flatten the condition"
    if isinstance(error, SigmaError) or str(error):
        return " ".join(str(error).split())
    return f"not understood ({type(error).__name__}); compare it with a shipped rule"


class Reading:
    """A rule as one route of its log source has it.

    tree: what it asks of the route's table.
    complaints: (message, place) of what it cannot ask there.
    unknown: whether it names a field that is none.
    never: by field and value, (message, place) of what no row can ever have.
    """

    def __init__(self, document: Document, route: Route, source: Sequence[Route], parsed: Parsed) -> None:
        self.route = route
        self.complaints: list[tuple[str, Place]] = []
        self.unknown = False
        self.never: dict[tuple[str, str], tuple[str, Place]] = {}
        self._document = document
        self._source = [one for one in source if one.shared or one is route]
        self.tree = self._tree(parsed)

    def says(self, name: str) -> bool:
        """Whether rows of this route have a field of that name."""
        return name in NOWHERE or name in self.route.words or field(self.route.table, name) is not None

    def shown(self) -> tuple[Column, ...]:
        """The columns of the rule's `fields`: only a hint, so a name that the table has not is no reason to refuse."""
        names = self._document.data.get("fields") or []
        found = (field(self.route.table, str(name)) for name in names)
        return tuple(dict.fromkeys(column for column in found if column is not None))

    def _tree(self, parsed: Parsed) -> Node:
        try:
            conditions = [self._node(one) for one in parsed]
        except _PYSIGMA_ERRORS as error:
            self._complain(f"detection: {_said(error)}", self._document.place_of("detection", "condition"))
            return FALSE
        if not isinstance(self._document.data.get("fields") or [], list):
            self._complain("fields: not a list of field names", self._document.place_of("fields"))
        return conj([rows(self.route.table, self.route.where), disj(conditions)])

    def _complain(self, message: str, place: Place) -> None:
        self.complaints.append((message, place))

    def _node(self, item: Any) -> Node:
        match item:
            case ConditionAND():
                return conj([self._node(one) for one in item.args])
            case ConditionOR():
                return disj([self._node(one) for one in item.args])
            case ConditionNOT():
                return neg(self._node(item.args[0]))
            case ConditionFieldEqualsValueExpression():
                return self._asked(item.field, item.value)
            case ConditionValueExpression():
                return self._keyword(item.value)
            case _:
                raise TypeError(f"{type(item).__name__} is not supported")

    def _asked(self, name: str, value: Any) -> Node:
        if name in NOWHERE and self.route.shared:
            self.never[name, ""] = f"{name}: {NOWHERE[name]}", self._place(name)
            return FALSE
        if name in self.route.words:
            return self._word(name, value)
        column = self._column(name)
        return FALSE if column is None else self._leaf(name, column, value)

    def _word(self, name: str, value: Any) -> Node:
        """The rows that have a word which the value is true of."""
        words = self.route.words[name]
        stand_in = Column(name, Kind.NAME, "a field of the log source")
        decide = check(self._leaf(name, stand_in, value), {(name, False): 0, (name, True): 1})
        node = disj(rows(self.route.table, one.where) for one in words if decide((one.text, fold(one.text))))
        if node == FALSE:
            known = ", ".join(dict.fromkeys(one.text for route in self._source for one in route.words.get(name, ())))
            place = self._document.place_of_field(name, "detection", value=str(value))
            self.never[name, str(value)] = f"{name}: no table holds {value}; known are {known}", place
        return node

    def _column(self, name: str) -> Column | None:
        """The column of that name; None if only other records of the log source have it, or, with a complaint, none."""
        column = field(self.route.table, name)
        tables = [one.table for one in self._source]
        if column is None and not any(one.words.get(name) or field(one.table, name) for one in self._source):
            close = difflib.get_close_matches(name, [known for table in tables for known in fields(table)], n=1)
            hint = f"did you mean {close[0]}?" if close else "`rules fields` lists what is known"
            said = f"table {tables[0]} has" if len(tables) == 1 else f"tables {', '.join(tables)} have"
            self._complain(f"{name}: {said} no such field; {hint}", self._place(name))
            self.unknown = True
        return column

    def _place(self, name: str) -> Place:
        return self._document.place_of_field(name, "detection") if name else self._document.place_of("detection")

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
        return disj([self._leaf("", one, value) for one in keyword_columns(self.route.table, self.route.keywords)])

    def _leaf(self, name: str, column: Column, value: Any) -> Node:
        try:
            return self._value(column, value)
        except LeafError as error:
            self._complain(f"{name or 'keyword'}: {error}", self._place(name))
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


def rows(table: str, where: Where) -> Node:
    """The rows of a table that a route, or a word of it, is about."""
    texts: dict[str, list[Node]] = {}
    for name, text in where:
        parts: Iterable[str | Wild] = (text[:-1], Wild.MANY) if text.endswith("*") else (text,)
        texts.setdefault(name, []).append(leaves.text(TABLES[table].column(name), tuple(parts), cased=False))
    return conj(disj(any_of) for any_of in texts.values())
