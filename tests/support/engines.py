"""One rule over some rows in every engine: streaming, kernels, ClickHouse, and the reference."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa
from luytre_collector.detect.examples import example_table
from luytre_collector.detect.model import RuleSet
from luytre_collector.detect.sql import condition
from luytre_collector.detect.stream import Matcher

from tests.support import naive

_tokens = itertools.count()


class Store(Protocol):
    def command(self, statement: str) -> None: ...

    def insert(self, table: str, rows: pa.Table, token: str) -> None: ...

    def query(self, sql_text: str) -> pa.Table: ...


def matched(rules: RuleSet, store: Store, table: str, given: Sequence[Mapping[str, Any]]) -> list[int]:
    """The rows of `table` that the one rule matches; all engines must say the same."""
    rows = example_table(table, given, int(time.time()) * 1_000_000)
    trees = [rule.tree for rule in rules.events if rule.table == table]
    assert len(trees) <= 1
    wanted = [at for at, row in enumerate(rows.to_pylist()) if any(naive.holds(tree, row) for tree in trees)]
    for prefilter in (True, False):
        found = Matcher(rules, time.time, prefilter=prefilter).matches(table, rows)
        assert [at for hits in found.values() for at in hits] == wanted
    if trees:
        store.command(f"TRUNCATE TABLE {table}")
        store.insert(table, rows, f"engines-{next(_tokens)}")
        answer = store.query(f"SELECT sequence FROM {table} WHERE {condition(trees[0])} ORDER BY sequence")
        assert answer.column("sequence").to_pylist() == wanted
    return wanted
