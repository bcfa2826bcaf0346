"""Every hunt of deploy/clickhouse/queries finds what it says that it finds, and nothing of what it says it ignores.

The rows stand in the head of each file: `finds` and `ignores` are lists of rows with their table; `times` makes
several, `every` seconds apart, the last one `ago` seconds before now; `{n}` in a text is the number of the row, `step`
is added to a column from row to row. `answer` is what the first row of the result contains.
"""

from __future__ import annotations

import ipaddress
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from luytre_collector.rollups import Config, Rollups
from luytre_collector.store import derived, embedded, readonly
from luytre_common.schema import STORED_TABLES
from luytre_common.telemetry import Counters

from tests.support import made

HUNTS = sorted((Path(__file__).parents[2] / "deploy/clickhouse/queries").glob("*.sql"))
SECOND = 1_000_000


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.EmbeddedStore]:
    store = embedded.EmbeddedStore(embedded.Config(tmp_path_factory.mktemp("store")), readonly.Config())
    store.open()
    store.migrate()
    yield store
    store.close()


def head(path: Path) -> dict[str, Any]:
    lines = path.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line[3:] for line in lines if line.startswith("-- "))
    found = yaml.safe_load(text)
    assert isinstance(found, dict)
    return found


def rows_of(given: Mapping[str, Any], now_us: int) -> list[dict[str, Any]]:
    """One entry of `finds` or `ignores` as rows."""
    row = {key: value for key, value in given.items() if key not in ("table", "times", "every", "ago", "step")}
    table, times = STORED_TABLES[given["table"]], given.get("times", 1)
    made_rows = []
    for number in range(times):
        at = now_us - int((given.get("ago", 5) + (times - 1 - number) * given.get("every", 0)) * SECOND)
        one = {key: _numbered(value, number) for key, value in row.items()}
        for column, step in given.get("step", {}).items():
            one[column] = _moved(one[column], step * number)
        one["collector_time"] = at
        if table.name == "flows":
            one |= {"flow_start": at, "flow_end": at} | ({} if "flow_end_reason" in one else {"flow_end_reason": "end"})
            one.setdefault("flow_id", 1000 + number)
        made_rows.append({table.event_time: at, **one})
    return made_rows


def _numbered(value: Any, number: int) -> Any:
    return value.replace("{n}", str(number)) if isinstance(value, str) else value


def _moved(value: Any, by: int) -> Any:
    return str(ipaddress.ip_address(value) + by) if isinstance(value, str) else value + by


def load(store: embedded.EmbeddedStore, entries: list[dict[str, Any]]) -> None:
    now_us = int(time.time()) * SECOND
    by_table: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in entries:
        by_table[entry["table"]] += rows_of(entry, now_us)
    for table, rows in by_table.items():
        made.insert(store, table, rows, now_us, f"{time.monotonic_ns()}")


def ask(store: embedded.EmbeddedStore, path: Path) -> list[dict[str, Any]]:
    """The hunt as people run it, after the sums were made."""
    for name in dict(derived.tables()):
        store.command(f"TRUNCATE TABLE luytre.{name}")
    Rollups(store, Config(), lambda: time.time() + 60, lambda: None, Counters("rollups")).run()
    answer = store.query_text(path.read_text(encoding="utf-8"), "JSONEachRow")
    return [json.loads(line) for line in answer.splitlines()]


@pytest.mark.parametrize("path", HUNTS, ids=lambda path: path.stem)
def test_a_hunt_finds_what_it_says(engine: embedded.EmbeddedStore, path: Path) -> None:
    said = head(path)
    for name in STORED_TABLES:
        engine.command(f"TRUNCATE TABLE luytre.{name}")
    load(engine, said.get("ignores", []))
    assert ask(engine, path) == []
    load(engine, said["finds"])
    first, *_ = ask(engine, path)
    for key, value in said["answer"].items():
        assert str(first[key]) == str(value), first


def test_there_are_many_and_each_says_what_it_is_for() -> None:
    assert len(HUNTS) >= 30
    for path in HUNTS:
        said = head(path)
        assert set(said) <= {"en", "vi", "finds", "ignores", "answer"}
        assert said["ignores"], path.stem
        assert len(said["en"]) > 20
        assert any(ord(one) > 127 for one in said["vi"]), path.stem
