"""What the loader hands to the engines: rules as frozen data, and the faults of those that could not be loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from luytre_common.commandline import printable
from luytre_common.schema import Column

from luytre_collector.detect.tree import Node

LEVELS = ("informational", "low", "medium", "high", "critical")


class Place(NamedTuple):
    """A place in a file, from 1."""

    line: int
    column: int = 1


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a rule file."""

    path: Path
    place: Place
    message: str

    def __str__(self) -> str:
        return printable(f"{self.path}:{self.place.line}:{self.place.column}: {self.message}")


@dataclass(frozen=True, slots=True)
class Head:
    """What every kind of rule says about itself."""

    id: str
    name: str  # Sigma's `name`: how other rules call it; empty if none
    title: str
    title_vi: str
    description: str
    description_vi: str
    level: str
    status: str
    techniques: tuple[str, ...]
    tactics: tuple[str, ...]
    path: Path
    line: int


@dataclass(frozen=True, slots=True)
class Examples:
    """Rows that a rule must match and rows that it must not; a correlation's example is a list of rows."""

    match: tuple[Any, ...] = ()
    ignore: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class EventRule:
    """A rule about one row. `alerts` is false when only correlations use it."""

    head: Head
    table: str
    tree: Node
    fields: tuple[Column, ...]  # shown as evidence besides the columns that decide
    alerts: bool = True
    examples: Examples = Examples()
    kind: Literal["event"] = "event"


CorrelationType = Literal["event_count", "value_count", "value_sum", "value_avg", "temporal", "temporal_ordered"]


@dataclass(frozen=True, slots=True)
class Base:
    """A rule that a correlation counts, with the correlation's fields as columns of the rule's table."""

    rule: EventRule
    group_by: tuple[Column, ...]
    values: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class CorrelationRule:
    """A rule about many rows: `operator` and `threshold` hold in a window of `span_us` that ends at one of them."""

    head: Head
    type: CorrelationType
    bases: tuple[Base, ...]
    group_by: tuple[str, ...]  # as the rule names them
    span_us: int
    operator: Literal["=", "!=", "<", "<=", ">", ">="]
    threshold: int | float
    examples: Examples = Examples()
    kind: Literal["correlation"] = "correlation"


@dataclass(frozen=True, slots=True)
class QueryRule:
    """A scheduled SELECT; each row it returns is an alert about the values of `group`."""

    head: Head
    sql: str
    group: tuple[str, ...]
    every_us: int
    lookback_us: int
    quiet_us: int
    examples: Examples = Examples()
    kind: Literal["query"] = "query"


Rule = EventRule | CorrelationRule | QueryRule


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules that loaded, in the order of their files, and the faults of the others.

    events: a rule whose log source stands on several tables is here once for each.
    notes: what loaded rules ask for in vain.
    """

    events: tuple[EventRule, ...] = ()
    correlations: tuple[CorrelationRule, ...] = ()
    queries: tuple[QueryRule, ...] = ()
    faults: tuple[Fault, ...] = ()
    files: int = 0
    by_id: Mapping[str, Rule] = field(default_factory=dict)
    notes: tuple[Fault, ...] = ()

    def __len__(self) -> int:
        return len({rule.head.id for rule in self.events}) + len(self.correlations) + len(self.queries)
