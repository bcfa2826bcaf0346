"""Every shipped rule: complete, in two languages, with examples that hold in every engine that runs it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import luytre_rules
import pytest
from luytre_collector.columns import stored_schema
from luytre_collector.detect.examples import example_table, failures, replay
from luytre_collector.detect.model import CorrelationRule, EventRule, QueryRule, Rule
from luytre_collector.detect.rules import load
from luytre_collector.detect.sql import condition
from luytre_collector.store import embedded, readonly
from luytre_common.schema import TABLES

from tests.support import naive

RULES = load([luytre_rules.FOLDER])
EVERY: list[Rule] = [*RULES.events, *RULES.correlations, *RULES.queries]
NOW_US = int(time.time()) * 1_000_000


def by_title(rules: Any) -> Any:
    return pytest.mark.parametrize("rule", rules, ids=lambda rule: rule.head.title)


def test_all_load() -> None:
    assert [str(fault) for fault in RULES.faults] == []
    assert len(EVERY) == RULES.files >= 14


@by_title(EVERY)
def test_complete(rule: Rule) -> None:
    head = rule.head
    assert head.title_vi != head.title
    assert head.description
    assert head.description_vi
    assert head.techniques
    assert head.tactics
    assert rule.examples.match
    assert rule.examples.ignore
    text = head.path.read_text(encoding="utf-8")
    for key in ("status", "date", "author", "level", "falsepositives"):
        assert f"\n{key}:" in text


@by_title(RULES.events)
def test_examples_on_the_stream(rule: EventRule) -> None:
    assert list(failures(rule, None, NOW_US)) == []


@by_title(RULES.events)
def test_examples_in_the_reference(rule: EventRule) -> None:
    for examples, wanted in ((rule.examples.match, True), (rule.examples.ignore, False)):
        for example in examples:
            (row,) = example_table(rule.table, [example], NOW_US).to_pylist()
            assert naive.holds(rule.tree, row) is wanted, example


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.EmbeddedStore]:
    folder: Path = tmp_path_factory.mktemp("rules")
    one = embedded.EmbeddedStore(embedded.Config(directory=folder / "store"), readonly.Config())
    one.open()
    one.migrate()
    yield one
    one.close()


def emptied(store: embedded.EmbeddedStore) -> embedded.EmbeddedStore:
    for table in sorted({rule.table for rule in RULES.events} | {"flows", "dns", "tls", "processes"}):
        store.command(f"TRUNCATE TABLE {table}")
    return store


def test_examples_in_sql(store: embedded.EmbeddedStore) -> None:
    emptied(store)
    for table in sorted({rule.table for rule in RULES.events}):
        rules = [rule for rule in RULES.events if rule.table == table]
        rows = [example for rule in rules for example in (*rule.examples.match, *rule.examples.ignore)]
        store.insert(table, example_table(table, rows, NOW_US), f"shipped-{table}")
        columns = ", ".join(f"groupArrayIf(sequence, {condition(rule.tree)}) AS r{at}" for at, rule in enumerate(rules))
        answer = store.query(f"SELECT {columns} FROM {table}").to_pylist()[0]
        first = 0
        for at, rule in enumerate(rules):
            matching, ignored = len(rule.examples.match), len(rule.examples.ignore)
            hits = set(answer[f"r{at}"])
            assert hits >= set(range(first, first + matching)), rule.head.title
            assert not hits & set(range(first + matching, first + matching + ignored)), rule.head.title
            first += matching + ignored


@by_title([*RULES.correlations, *RULES.queries])
def test_examples_of_many_rows(rule: CorrelationRule | QueryRule, store: embedded.EmbeddedStore) -> None:
    assert list(failures(rule, lambda: emptied(store), NOW_US)) == []


@by_title([*RULES.correlations, *RULES.queries])
def test_each_story_alerts_once_and_says_who(rule: CorrelationRule | QueryRule, store: embedded.EmbeddedStore) -> None:
    (alert,) = replay(rule, rule.examples.match[0], emptied(store), NOW_US - 3_600_000_000)
    assert alert.rule_id == rule.head.id
    assert alert.source_ip != bytes(16)
    assert alert.evidence["group"]
    assert 0 < len(alert.evidence_ids) <= 20
    assert all(reference.count("/") == 4 for reference in alert.evidence_ids)
    assert alert.agent_id == "example"


def test_examples_use_the_stored_columns() -> None:
    for name in ("flows", "dns", "tls", "processes", "files", "network_changes", "inventory"):
        assert example_table(name, [{}], NOW_US).schema == stored_schema(TABLES[name])
