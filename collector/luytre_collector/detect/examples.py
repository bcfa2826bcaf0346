"""A rule's own examples, run through the engines that will run the rule.

A row of an example is a mapping of fields (Sigma's names or the columns'). What it leaves out is absent, except what
every row has. For correlations and queries an example is a list of rows, and a row may also say `table` (needed by
queries), `at` (seconds after the start), `times` (copies) and `every` (seconds between copies); in its texts `{n}` is
the number of the copy from 0, and `{100+n}` counts from 100.
"""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa
from luytre_common.errors import LuytreError
from luytre_common.schema import TABLES, Column, Kind, Maker

from luytre_collector.columns import arrow_type, stored_schema
from luytre_collector.detect.alert import Alert
from luytre_collector.detect.correlate import Config, Correlator, Queries
from luytre_collector.detect.elements import Element
from luytre_collector.detect.leaves import packed
from luytre_collector.detect.logsource import field
from luytre_collector.detect.model import CorrelationRule, EventRule, QueryRule, Rule, RuleSet
from luytre_collector.detect.query import Scheduler
from luytre_collector.detect.stream import Matcher

#: Examples of many rows happen this long before now: stored rows that are a year old go away.
_AGO_US = 12 * 3_600_000_000
_COPY = re.compile(r"\{(?:(\d+)\+)?n\}")
_STEPS = ("table", "at", "times", "every")
_MAX_COPIES = 10_000
_numbers = itertools.count()  # a store takes every token once
_VERDICT = {True: "is matched", False: "is not matched"}


class ExampleError(Exception):
    """An example that cannot be read; the message says which row and why."""


class Scratch(Queries, Protocol):
    """A store that may be filled and forgotten."""

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """Insert rows."""


#: Gives an empty store, with its tables; called once per example.
MakeScratch = Callable[[], Scratch]


def failures(rule: Rule, scratch: MakeScratch | None, now_us: int) -> Iterator[str]:
    """What is wrong with the rule by its own examples; without `scratch` only event rules can be run."""
    if not isinstance(rule, EventRule) and scratch is None:
        return
    for side, wanted in (("match", True), ("ignore", False)):
        for number, example in enumerate(getattr(rule.examples, side), 1):
            if isinstance(rule, EventRule) and example.get("table", rule.table) != rule.table:
                continue  # of a rule that stands on several tables
            try:
                got = _holds(rule, example, scratch, now_us)
            except (ExampleError, LuytreError) as error:
                yield f"examples: {side} {number}: {error}"
                continue
            if got is not wanted:
                yield f"examples: {side} {number} {_VERDICT[got]}; correct the rule or the example"


def _holds(rule: Rule, example: Any, scratch: MakeScratch | None, now_us: int) -> bool:
    if isinstance(rule, EventRule):
        rows = example_table(rule.table, [example], now_us)
        matcher = Matcher(RuleSet(events=(rule,)), clock=lambda: 0.0, every_rule=True)
        return rule.head.id in matcher.matches(rule.table, rows)
    assert scratch is not None
    return bool(replay(rule, example, scratch(), now_us - _AGO_US))


def replay(
    rule: CorrelationRule | QueryRule, example: Sequence[Mapping[str, Any]], store: Scratch, start_us: int
) -> list[Alert]:
    """Put the rows of an example into an empty store and run the rule once, when the last row has arrived."""
    default = rule.bases[0].rule.table if isinstance(rule, CorrelationRule) else ""
    last_s = 0.0
    for table, rows in _unfold(example, default).items():
        last_s = max(last_s, *(row["at"] for row in rows))
        store.insert(table, example_table(table, rows, start_us), f"example-{next(_numbers)}")
    clock = lambda: start_us / 1_000_000 + last_s + 1  # noqa: E731
    if isinstance(rule, CorrelationRule):
        config = Config(lateness_s=7 * 86_400.0, start_lookback_s=7 * 86_400.0)
        return Correlator(RuleSet(correlations=(rule,)), store, clock, config=config).run(strict=True)
    return Scheduler(RuleSet(queries=(rule,)), store, clock).run(strict=True)


def _unfold(example: Sequence[Mapping[str, Any]], default: str) -> dict[str, list[dict[str, Any]]]:
    tables: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for number, row in enumerate(example, 1):
        table = row.get("table", default)
        if table not in TABLES or not TABLES[table].from_agent:
            raise ExampleError(f"row {number}: table: {table!r} is not a table of events")
        times = row.get("times", 1)
        if not isinstance(times, int) or not 1 <= times <= _MAX_COPIES:
            raise ExampleError(f"row {number}: times: not 1 to {_MAX_COPIES}")
        try:
            at, every = float(row.get("at", 0)), float(row.get("every", 0))
        except (TypeError, ValueError):
            raise ExampleError(f"row {number}: at and every are seconds") from None
        for copy in range(times):
            own = {key: _number_copy(value, copy) for key, value in row.items() if key not in _STEPS}
            tables[table].append({**own, "at": at + copy * every})
    return tables


def _number_copy(value: Any, copy: int) -> Any:
    if not isinstance(value, str) or "{" not in value:
        return value
    text = _COPY.sub(lambda found: str(int(found[1] or 0) + copy), value)
    return int(text) if text.isdecimal() else text


def example_table(table: str, rows: Sequence[Mapping[str, Any]], start_us: int) -> pa.Table:
    """Rows of examples as a batch of `table` with its stored columns. ExampleError names what cannot be read."""
    read: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        at_us = start_us + int(float(row.get("at", 0)) * 1_000_000)
        values: dict[str, Any] = _common(table, number, at_us)
        for name, value in row.items():
            if name in ("at", "table"):
                continue
            column = field(table, str(name))
            if column is None:
                raise ExampleError(f"{name}: table {table} has no such field")
            if column.maker is Maker.SQL:
                source = column.of.name if isinstance(column, Element) else "what it is computed from"
                raise ExampleError(f"{name}: is computed; give {source}")
            values[column.name] = _value(column, value)
        read.append(values)
    columns = TABLES[table].stored_columns
    arrays = [
        pa.array([values.get(column.name, _ZERO.get(column.kind, 0)) for values in read], arrow_type(column.kind))
        for column in columns
    ]
    return pa.Table.from_arrays(arrays, schema=stored_schema(TABLES[table]))


_ZERO: dict[Kind, Any] = {Kind.IP: bytes(16), Kind.TEXT: "", Kind.NAME: "", Kind.TEXTS: [], Kind.U32S: []}


def _common(table: str, number: int, at_us: int) -> dict[str, Any]:
    values: dict[str, Any] = {
        "agent_id": "example",
        "host_name": "example",
        "boot_id": "example",
        "stream": table,
        "sequence": number,
        "agent_time": at_us,
        "collector_time": at_us + 50_000,
        "flow_start": at_us,
        "flow_id": number + 1,
        "source_port": 30_000 + number % 30_000,
        TABLES[table].event_time: at_us + 20_000,
    }
    return {column.name: values[column.name] for column in TABLES[table].columns if column.name in values}


def _value(column: Column, value: Any) -> Any:
    try:
        match column.kind:
            case Kind.IP:
                return packed(ipaddress.ip_address(str(value)))
            case Kind.TEXT | Kind.NAME:
                if isinstance(value, dict | list | None):
                    raise ValueError
                return str(value)
            case Kind.TEXTS:
                return [str(one) for one in value] if isinstance(value, list) else [str(value)]
            case Kind.U32S:
                return [int(one) for one in value]
            case _:
                pa.scalar(int(value), arrow_type(column.kind))
                return int(value)
    except (TypeError, ValueError, OverflowError, pa.ArrowInvalid):
        raise ExampleError(f"{column.name}: {value!r} is not a value of this field") from None
