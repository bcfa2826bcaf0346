"""Correlations in ClickHouse against plain counting: every closed window [t - span, t] that ends at a row."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from luytre_collector.detect.correlation_sql import Range, stories
from luytre_collector.detect.model import Base, CorrelationRule, Head
from luytre_collector.detect.tree import How, Text
from luytre_collector.store import embedded, readonly
from luytre_common.schema import TABLES

from tests.support.rule_trees import batch, rule

SPAN_US = 5_000_000
DNS = TABLES["dns"]
KIND, NAME, GROUP, SIZE = (
    DNS.column(name) for name in ("dns_question_type", "dns_question_name", "dns_response_code", "dns_latency")
)
CASES: list[tuple[Any, str, float]] = [
    ("event_count", ">=", 3), ("event_count", ">", 4), ("event_count", "=", 2), ("event_count", "<", 2),
    ("event_count", "!=", 3), ("value_count", ">=", 3), ("value_count", "<=", 1), ("value_sum", ">=", 12),
    ("value_avg", "<=", 2.5), ("temporal", ">=", 2), ("temporal", ">=", 3), ("temporal_ordered", ">=", 3),
]  # fmt: skip


def events(dice: random.Random, start_us: int) -> list[dict[str, Any]]:
    """Many groups; times on a coarse grid, so that edges and ties are common; some groups and values are absent."""
    made = []
    for group in range(150):
        for _ in range(dice.randrange(1, 14)):
            at = start_us + dice.randrange(0, 24) * 1_000_000 + dice.choice([0, 0, 0, 1, -1])
            made.append(
                {
                    "event_time": at,
                    "collector_time": int(time.time()) * 1_000_000,
                    "dns_response_code": dice.choice([f"g{group}", f"G{group}"]) if group else "",
                    "dns_question_type": dice.choice("ABC"),
                    "dns_question_name": dice.choice(["x", "X", "y", "z", "w", ""]),
                    "dns_latency": dice.randrange(0, 6),
                }
            )
    return made


def correlation(kind: Any, operator: Any, threshold: float) -> CorrelationRule:
    several = kind.startswith("temporal")
    bases = tuple(
        Base(
            rule(number, "dns", Text(KIND, How.EXACT, letter), alerts=False),
            (GROUP,),
            {"value_count": (NAME,), "value_sum": (SIZE,), "value_avg": (SIZE,)}.get(kind, ()),
        )
        for number, letter in enumerate("abc" if several else "a")
    )
    head = Head("c", "", "C", "C", "", "", "high", "test", (), (), Path("c.yml"), 1)
    return CorrelationRule(head, kind, bases, ("rcode_name",), SPAN_US, operator, threshold)


def anchors(one: CorrelationRule, rows: list[dict[str, Any]]) -> dict[str, list[int]]:
    """The times of the rows whose window satisfies the rule, by group: counted as the definition says."""
    groups: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        letters = "ABC" if one.type.startswith("temporal") else "A"
        wanted = row["dns_question_type"] in letters and (one.type != "value_count" or row["dns_question_name"])
        if row["dns_response_code"] and wanted:
            groups[row["dns_response_code"].lower()].append(row)
    compare = {
        ">=": lambda a, b: a >= b, ">": lambda a, b: a > b, "=": lambda a, b: a == b, "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b, "!=": lambda a, b: a != b,
    }[one.operator]  # fmt: skip
    found: defaultdict[str, list[int]] = defaultdict(list)
    for group, members in groups.items():
        for row in members:
            end = row["event_time"]
            window = [other for other in members if end - SPAN_US <= other["event_time"] <= end]
            sizes = [other["dns_latency"] for other in window]
            if one.type == "temporal_ordered":
                good = row["dns_question_type"] == "C" and any(
                    a["dns_question_type"] == "A"
                    and b["dns_question_type"] == "B"
                    and a["event_time"] < b["event_time"] < end
                    for a in window
                    for b in window
                )
            else:
                measure = {
                    "event_count": len(window),
                    "value_count": len({other["dns_question_name"].lower() for other in window}),
                    "value_sum": sum(sizes),
                    "value_avg": sum(sizes) / len(sizes),
                    "temporal": len({other["dns_question_type"] for other in window}),
                }[one.type]
                good = compare(measure, one.threshold)
            if good:
                found[group].append(end)
    return found


def told(times: list[int]) -> list[tuple[int, int]]:
    made: list[tuple[int, int]] = []
    for at in sorted(times):
        if made and at - made[-1][1] <= SPAN_US:
            made[-1] = (made[-1][0], at)
        else:
            made.append((at, at))
    return made


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.EmbeddedStore]:
    folder: Path = tmp_path_factory.mktemp("windows")
    one = embedded.EmbeddedStore(embedded.Config(directory=folder / "store"), readonly.Config())
    one.open()
    one.migrate()
    yield one
    one.close()


def test_every_type_of_correlation(store: embedded.EmbeddedStore) -> None:
    start_us = (int(time.time()) - 3600) * 1_000_000
    rows = events(random.Random(7), start_us)
    store.insert("dns", batch("dns", rows), "windows")
    for kind, operator, threshold in CASES:
        one = correlation(kind, operator, threshold)
        wanted = {group: told(times) for group, times in anchors(one, rows).items()}
        assert wanted, "the case proves nothing"
        answer = store.query(stories(one, Range(start_us - 10 * SPAN_US, start_us + 100_000_000), 0)).to_pylist()
        got = {row["g"][0]: [tuple(pair.values()) for pair in row["stories"]] for row in answer}
        assert got == wanted, (kind, operator, threshold)
