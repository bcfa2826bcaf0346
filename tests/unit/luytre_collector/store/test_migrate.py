"""What a migration decides, and that the engine understands it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from luytre_collector.store import embedded, migrate, readonly
from luytre_collector.store.base import StoreError
from luytre_collector.store.migrate import SCHEMA_VERSION, Found, FoundColumn, plan
from luytre_common.errors import UserError
from luytre_common.schema import TABLES, Column, Kind, Maker, Table

ZONE = "Asia/Ho_Chi_Minh"
TABLE = Table(
    "t",
    "meaning",
    (
        Column("event_time", Kind.TIME, "when"),
        Column("a", Kind.U64, "first"),
        Column("b", Kind.U64, "sum", maker=Maker.SQL, alias="a + 1"),
    ),
    "event_time",
    ("agent_id", "event_time"),
)


def complete() -> Found:
    columns = {column.name: FoundColumn(column.kind.clickhouse, column.alias) for column in TABLE.columns}
    extras = frozenset({("t", "event_time_range"), ("t", "last_sequence")})
    return Found(SCHEMA_VERSION, {"t": columns}, extras, {"t": f"x [{migrate.view(TABLE, ZONE)[1]}]"})


def done(found: Found, zone: str = ZONE) -> list[str]:
    return [step.done for step in plan(found, zone, lambda expression: expression.replace(" ", ""), {"t": TABLE}, {})]


def without(found: Found, name: str) -> Found:
    return replace(found, tables={"t": {key: value for key, value in found.tables["t"].items() if key != name}})


def changed(found: Found, name: str, column: FoundColumn) -> Found:
    return replace(found, tables={"t": {**found.tables["t"], name: column}})


def test_what_is_complete_stays() -> None:
    assert done(complete()) == []
    assert done(changed(complete(), "b", FoundColumn("UInt64", "a+1"))) == []


def test_an_empty_database_gets_everything_and_the_version_last() -> None:
    assert done(Found()) == [
        "created table t", f"created view luytre_local.t ({ZONE})", f"reached schema version {SCHEMA_VERSION}",
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "place"), [("a", "AFTER `event_time`"), ("event_time", "FIRST")])
def test_a_missing_column_is_added_in_its_place(name: str, place: str) -> None:
    steps = plan(without(complete(), name), ZONE, str, {"t": TABLE}, {})
    assert [step.done for step in steps] == [f"added column t.{name}"]
    assert steps[0].statement.endswith(place)


def test_a_changed_expression_is_replaced() -> None:
    assert done(changed(complete(), "b", FoundColumn("UInt64", "a + 2"))) == ["changed the expression of t.b"]


def test_a_missing_index_and_projection_are_added() -> None:
    assert done(replace(complete(), extras=frozenset())) == [
        "added index t.event_time_range", "added projection t.last_sequence",
    ]  # fmt: skip


def test_a_changed_codec_is_replaced_and_parameters_are_the_engines_own() -> None:
    codecs = {("t", "event_time"): "ZSTD", ("t", "a"): "LZ4", ("t", "sequence"): "Delta, ZSTD"}
    assert done(replace(complete(), codecs=codecs)) == ["changed the codecs of t: a"]
    assert migrate._codec("CODEC(Delta(8), ZSTD(1))") == "Delta, ZSTD"


def test_another_zone_makes_the_views_anew() -> None:
    assert done(complete(), "Europe/Paris") == ["created view luytre_local.t (Europe/Paris)"]


@pytest.mark.parametrize(
    ("name", "column", "says"),
    [
        ("a", FoundColumn("String"), "column t.a is String in the store and UInt64 here"),
        ("b", FoundColumn("UInt64"), "column t.b is UInt64 in the store and UInt64 ALIAS here"),
        ("a", FoundColumn("UInt64", "1"), "column t.a is UInt64 ALIAS in the store and UInt64 here"),
    ],
)
def test_another_type_is_refused(name: str, column: FoundColumn, says: str) -> None:
    with pytest.raises(UserError, match=says):
        done(changed(complete(), name, column))


def test_tables_of_a_newer_collector_are_refused() -> None:
    with pytest.raises(UserError, match=r"schema version 9, this collector knows up to \d+; upgrade the collector"):
        done(replace(complete(), version=9))


def test_steps_of_a_version_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "SCHEMA_VERSION", 2)
    monkeypatch.setattr(migrate, "VERSIONS", {2: ["ALTER TABLE t DROP INDEX old"]})
    assert done(replace(complete(), version=1)) == [
        "version 2: ALTER TABLE t DROP INDEX old", "reached schema version 2",
    ]  # fmt: skip
    assert done(replace(complete(), version=2)) == []


@pytest.fixture
def store(tmp_path: Path) -> Iterator[embedded.EmbeddedStore]:
    one = embedded.EmbeddedStore(embedded.Config(directory=tmp_path / "store"), readonly.Config())
    one.open()
    yield one
    one.close()


def test_the_engine_takes_every_kind_of_step(store: embedded.EmbeddedStore) -> None:
    store.migrate()
    for statement in (
        "ALTER TABLE luytre.flows DROP COLUMN process_name",
        "ALTER TABLE luytre.flows MODIFY COLUMN flow_duration UInt64 ALIAS flow_id",
        "ALTER TABLE luytre.flows DROP INDEX flow_end_range",
        "ALTER TABLE luytre.dns DROP PROJECTION last_sequence",
        "DROP TABLE luytre.tls",
        "DROP VIEW luytre_local.dns",
    ):
        store.command(statement)
    before = list(store.query("DESCRIBE TABLE luytre.processes").column("name").to_pylist())
    assert store.migrate() == [
        "changed the expression of flows.flow_duration", "added column flows.process_name",
        "added index flows.flow_end_range", "added projection dns.last_sequence", "created table tls",
        "created view luytre_local.dns (Asia/Ho_Chi_Minh)",
    ]  # fmt: skip
    assert store.migrate() == []
    order = list(store.query("DESCRIBE TABLE luytre.flows").column("name").to_pylist())
    assert order == [column.name for column in TABLES["flows"].columns]
    assert before == [column.name for column in TABLES["processes"].columns]


def test_a_run_that_failed_is_repeated(store: embedded.EmbeddedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run = embedded.EmbeddedStore.command
    calls = 0

    def failing(self: Any, statement: str) -> None:
        nonlocal calls
        calls += 1
        if calls == 8:
            raise StoreError("the power went")
        run(self, statement)

    monkeypatch.setattr(embedded.EmbeddedStore, "command", failing)
    with pytest.raises(StoreError, match="power"):
        store.migrate()
    assert migrate.look(store).version == 0
    left = store.migrate()
    assert "created table flows" not in left
    assert left[-1] == "reached schema version 1"
    assert store.migrate() == []


def test_the_engine_refuses_a_newer_version(store: embedded.EmbeddedStore) -> None:
    store.migrate()
    store.command("INSERT INTO luytre.schema_version (version) VALUES (2)")
    with pytest.raises(UserError, match="upgrade the collector"):
        store.migrate()
