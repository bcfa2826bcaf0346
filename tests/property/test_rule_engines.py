"""One tree, several engines, one truth: the streaming matcher with and without its prefilter, the Arrow kernels and
ClickHouse agree with the reference reading, row for row."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from luytre_collector.detect.columnar import Batch
from luytre_collector.detect.masks import mask
from luytre_collector.detect.model import RuleSet
from luytre_collector.detect.sql import condition
from luytre_collector.detect.stream import Matcher
from luytre_collector.detect.tree import Node, witnesses
from luytre_collector.store import embedded, readonly

from tests.support import naive
from tests.support.rule_trees import COLUMNS, batch, rows, rule, trees

TABLES = sorted(COLUMNS)
_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def expected(nodes: list[Node], given_rows: list[dict[str, Any]]) -> dict[str, list[int]]:
    found = {
        f"rule-{number}": [index for index, row in enumerate(given_rows) if naive.holds(node, row)]
        for number, node in enumerate(nodes)
    }
    return {name: hits for name, hits in found.items() if hits}


@pytest.mark.parametrize("table", TABLES)
@settings(max_examples=120, deadline=None, suppress_health_check=_SLOW)
@given(data=st.data())
def test_matcher_equals_reference(table: str, data: st.DataObject) -> None:
    nodes = data.draw(st.lists(trees(table), min_size=1, max_size=4))
    some = data.draw(rows(table, 12))
    rules = RuleSet(events=tuple(rule(number, table, node) for number, node in enumerate(nodes)))
    wanted = expected(nodes, some)
    made = batch(table, some)
    assert Matcher(rules, time.time).matches(table, made) == wanted
    assert Matcher(rules, time.time, prefilter=False).matches(table, made) == wanted


@pytest.mark.parametrize("table", TABLES)
@settings(max_examples=40, deadline=None, suppress_health_check=_SLOW)
@given(data=st.data())
def test_prefilter_hides_nothing(table: str, data: st.DataObject) -> None:
    """A row that matches holds a witness of the rule; whatever else stands before or after it changes nothing."""
    node = data.draw(trees(table))
    some = data.draw(rows(table, 6))
    wanted = witnesses(node)
    if wanted is not None:
        for row in some:
            if naive.holds(node, row):
                assert any(
                    literal in naive.lower(text)
                    for column, literal in wanted
                    for value in [naive.value_of(column, row)]
                    for text in ([value] if isinstance(value, str) else value)
                )
    alone = [
        Matcher(RuleSet(events=(rule(0, table, node),)), time.time).matches(table, batch(table, [row])) for row in some
    ]
    together = Matcher(RuleSet(events=(rule(0, table, node),)), time.time).matches(table, batch(table, some))
    assert together.get("rule-0", []) == [index for index, found in enumerate(alone) if found]


def test_the_strategies_reach_matches_and_misses() -> None:
    """A property over rules that never match would prove nothing."""
    quick = settings(max_examples=1000, phases=[Phase.generate], database=None, deadline=None)
    for table in TABLES:
        pair = st.tuples(trees(table), rows(table, 4))
        find(pair, lambda one: not any(naive.holds(one[0], row) for row in one[1]), settings=quick)
        find(pair, lambda one: any(naive.holds(one[0], row) for row in one[1]), settings=quick)
    for table in ("processes", "dns"):
        pair = st.tuples(trees(table), rows(table, 4))
        find(
            pair,
            lambda one: bool(witnesses(one[0])) and any(naive.holds(one[0], row) for row in one[1]),
            settings=quick,
        )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.EmbeddedStore]:
    folder: Path = tmp_path_factory.mktemp("engines")
    one = embedded.EmbeddedStore(embedded.Config(directory=folder / "store"), readonly.Config())
    one.open()
    one.migrate()
    yield one
    one.close()


@pytest.mark.parametrize("table", TABLES)
def test_sql_equals_reference(table: str, store: embedded.EmbeddedStore) -> None:
    pool: list[dict[str, Any]] = []

    @settings(max_examples=40, deadline=None, suppress_health_check=_SLOW, database=None, derandomize=True)
    @given(rows(table, 12))
    def gather(some: list[dict[str, Any]]) -> None:
        pool.extend(some)

    gather()
    made = batch(table, pool, collector_time=int(time.time()) * 1_000_000)
    store.insert(table, made, f"engines-{table}")

    @settings(max_examples=6, deadline=None, suppress_health_check=_SLOW)
    @given(st.lists(trees(table), min_size=20, max_size=30))
    def compare(nodes: list[Node]) -> None:
        columns = ", ".join(
            f"groupArrayIf(sequence, {condition(node)}) AS r{number}" for number, node in enumerate(nodes)
        )
        answer = store.query(f"SELECT {columns} FROM {table}").to_pylist()[0]
        for number, node in enumerate(nodes):
            wanted = [index for index, row in enumerate(pool) if naive.holds(node, row)]
            assert sorted(answer[f"r{number}"]) == wanted, condition(node)
            kernels = mask(node, Batch(made)).to_pylist()
            assert [index for index, hit in enumerate(kernels) if hit] == wanted

    compare()
