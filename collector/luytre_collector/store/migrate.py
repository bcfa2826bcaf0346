"""From the tables that are there to the tables of the schema.

Most changes are derived: a column, index or projection that the schema has and the table lacks is added, a changed
ALIAS or codec is replaced, a TTL is removed. They need no number, because an older collector can go on inserting beside
them: it names its columns. What an older collector must not write beside gets a new `SCHEMA_VERSION` and its steps in
`VERSIONS`. Derived tables are made as they are today where they are missing, and not altered: drop them with
`rollup_windows`, and the collector makes them again from their sources.

Every step may be run again, and the version is written last: a run that failed half-way is repeated.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from luytre_common.errors import UserError
from luytre_common.schema import STORED_TABLES, Column, Kind, Maker, Table

from luytre_collector.store import chains, ddl, derived, views
from luytre_collector.store.base import Statements
from luytre_collector.store.sql import DATABASE, LOCAL_DATABASE, SHARD_DATABASE

#: Of the tables as this collector knows them.
SCHEMA_VERSION = 1

#: Steps that lead to a version, where they cannot be derived: version -> statements.
VERSIONS: Mapping[int, Sequence[str]] = {}

#: CREATE statements of the derived tables and of those of the hash chains, by name; `{database}` is to be put in.
DERIVED_TABLES: Mapping[str, str] = {**dict(derived.tables()), **dict(chains.tables())}

_VERSION_TABLE = (
    f"CREATE TABLE IF NOT EXISTS {DATABASE}.schema_version"
    " (version UInt32 COMMENT 'A version of the schema that was reached',"
    " applied DateTime64(6, 'UTC') DEFAULT now64(6) COMMENT 'When')"
    " ENGINE = MergeTree ORDER BY version SETTINGS fsync_after_insert = 1 COMMENT 'Versions of the schema reached'"
)


@dataclass(frozen=True, slots=True)
class FoundColumn:
    """A column of a table that is there; `alias` is empty for a stored one."""

    type: str
    alias: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What is there: the highest version reached (0: none), columns by table, indexes and projections, views, the
    tables whose TTL deletes, and the codecs of columns (by table and name, as `_codec` writes them)."""

    version: int = 0
    tables: Mapping[str, Mapping[str, FoundColumn]] = field(default_factory=dict)
    extras: frozenset[tuple[str, str]] = frozenset()
    views: Mapping[str, str] = field(default_factory=dict)
    expiring: frozenset[str] = frozenset()
    codecs: Mapping[tuple[str, str], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """One statement, and what it does in words."""

    statement: str
    done: str


def plan(
    found: Found,
    zone: str,
    normal: Callable[[str], str],
    tables: Mapping[str, Table] = STORED_TABLES,
    others: Mapping[str, str] = DERIVED_TABLES,
) -> list[Step]:
    """What leads from `found` to the schema. Pure, but for `normal`, which writes an expression as ClickHouse does.

    UserError if the tables are newer than this collector, or a column has another type than the schema's.
    """
    if found.version > SCHEMA_VERSION:
        raise UserError(
            f"the tables have schema version {found.version}, this collector knows up to {SCHEMA_VERSION};"
            " upgrade the collector"
        )
    steps: list[Step] = []
    for version in range(found.version + 1, SCHEMA_VERSION + 1):
        steps += [Step(statement, f"version {version}: {statement}") for statement in VERSIONS.get(version, ())]
    for table in tables.values():
        if table.name not in found.tables:
            steps.append(Step(_in_database(table), f"created table {table.name}"))
        else:
            steps += _alter(table, found, normal)
    for name, statement in others.items():
        if name not in found.tables:
            steps.append(Step(statement.format(database=DATABASE), f"created table {name}"))
    for table in tables.values():
        statement, mark = view(table, zone)
        if mark not in found.views.get(table.name, ""):
            steps.append(Step(statement, f"created view {LOCAL_DATABASE}.{table.name} ({zone})"))
    for name, statement, mark in views.statements(zone) if others else ():
        if mark not in found.views.get(name, ""):
            steps.append(Step(statement, f"created view {LOCAL_DATABASE}.{name} ({zone})"))
    if found.version < SCHEMA_VERSION:
        insert = f"INSERT INTO {DATABASE}.schema_version (version) VALUES ({SCHEMA_VERSION})"
        steps.append(Step(insert, f"reached schema version {SCHEMA_VERSION}"))
    return steps


def view(table: Table, zone: str) -> tuple[str, str]:
    """The view with local times, and the mark in its comment that tells whether one that is there is the same.

    The zone is part of a ClickHouse type, so in a view a time is shown in it, a literal beside it is read in it, and
    `toHour` counts in it; the engine sees through `toTimeZone` when it looks at keys and indexes.
    """
    columns = ", ".join(_local(column, zone) for column in table.columns)
    newest = "" if table.numbered else " FINAL"
    select = f"SELECT {columns} FROM {DATABASE}.{ddl.name(table.name)}{newest}"
    mark = hashlib.sha256(select.encode()).hexdigest()[:12]
    comment = ddl.text(f"{table.meaning}; times in {zone} [{mark}]")
    return f"CREATE OR REPLACE VIEW {LOCAL_DATABASE}.{ddl.name(table.name)} AS {select} COMMENT {comment}", mark


def _local(column: Column, zone: str) -> str:
    quoted = ddl.name(column.name)
    return f"toTimeZone({quoted}, {ddl.text(zone)}) AS {quoted}" if column.kind is Kind.TIME else quoted


def _in_database(table: Table) -> str:
    quoted = ddl.name(table.name)
    return ddl.create_table(table).replace(f"EXISTS {quoted}", f"EXISTS {DATABASE}.{quoted}", 1)


def _alter(table: Table, found: Found, normal: Callable[[str], str]) -> list[Step]:
    alter = f"ALTER TABLE {DATABASE}.{ddl.name(table.name)}"
    there = found.tables[table.name]
    steps: list[Step] = []
    if table.name in found.expiring:  # how long rows are kept is the collector's business now
        steps.append(Step(f"{alter} REMOVE TTL", f"removed the TTL of {table.name}"))
    place = "FIRST"
    for column in table.columns:
        existing = there.get(column.name)
        if existing is None:
            statement = f"{alter} ADD COLUMN IF NOT EXISTS {ddl.column(column)} {place}"
            steps.append(Step(statement, f"added column {table.name}.{column.name}"))
        elif existing.type != column.kind.clickhouse or bool(existing.alias) != (column.maker is Maker.SQL):
            raise UserError(
                f"column {table.name}.{column.name} is {_kind(existing)} in the store and"
                f" {_kind(FoundColumn(column.kind.clickhouse, column.alias))} here; columns are never retyped:"
                " this folder or database belongs to something else"
            )
        elif existing.alias and normal(existing.alias) != normal(column.alias):
            statement = f"{alter} MODIFY COLUMN {ddl.column(column)}"
            steps.append(Step(statement, f"changed the expression of {table.name}.{column.name}"))
        place = f"AFTER {ddl.name(column.name)}"
    packed = [one for one in table.columns if _differs(found.codecs.get((table.name, one.name)), ddl.codec(one))]
    if packed:
        changes = ", ".join(f"MODIFY COLUMN {ddl.name(one.name)} {ddl.codec(one)}" for one in packed)
        names = ", ".join(one.name for one in packed)
        steps.append(Step(f"{alter} {changes}", f"changed the codecs of {table.name}: {names}"))
    for name, definition in ddl.extras(table):
        if (table.name, name) not in found.extras:
            kind, rest = definition.split(" ", 1)
            steps.append(Step(f"{alter} ADD {kind} IF NOT EXISTS {rest}", f"added {kind.lower()} {table.name}.{name}"))
    return steps


def _codec(text: str) -> str:
    """A codec without its parameters, which ClickHouse adds: `CODEC(Delta(8), ZSTD(1))` is `Delta, ZSTD`. New parts get
    a changed one, and old parts when they are merged."""
    return re.sub(r"\([^()]*\)", "", text.removeprefix("CODEC(").removesuffix(")"))


def _differs(found: str | None, wanted: str) -> bool:
    return found is not None and found != _codec(wanted)


def _kind(column: FoundColumn) -> str:
    return f"{column.type} ALIAS" if column.alias else column.type


def look(runner: Statements) -> Found:
    """What is there."""
    here = {"database": DATABASE, "local": LOCAL_DATABASE, "shard": SHARD_DATABASE}
    tables: dict[str, dict[str, FoundColumn]] = {}
    for row in runner.query(
        "SELECT table, name, type, if(default_kind = 'ALIAS', default_expression, '') AS alias FROM system.columns"
        " WHERE database = {database:String} ORDER BY table, position",
        here,
    ).to_pylist():
        tables.setdefault(row["table"], {})[row["name"]] = FoundColumn(row["type"], row["alias"])
    extras = runner.query(
        "SELECT table, name FROM system.data_skipping_indices WHERE database IN ({database:String}, {shard:String})"
        " UNION ALL SELECT table, name FROM system.projections WHERE database IN ({database:String}, {shard:String})",
        here,
    ).to_pylist()
    views = runner.query("SELECT name, comment FROM system.tables WHERE database = {local:String}", here).to_pylist()
    codecs = runner.query(  # of a cluster, those of the shards, which come later
        "SELECT table, name, compression_codec AS codec FROM system.columns"
        " WHERE database IN ({database:String}, {shard:String}) AND default_kind != 'ALIAS' ORDER BY database",
        here,
    ).to_pylist()
    expiring = runner.query(
        "SELECT name FROM system.tables WHERE database IN ({database:String}, {shard:String})"
        " AND position(engine_full, ' TTL ') > 0 AND position(engine_full, ' TO VOLUME ') = 0",
        here,
    ).to_pylist()
    version = 0
    if "schema_version" in tables:
        version = runner.query(f"SELECT max(version) AS version FROM {DATABASE}.schema_version").column(0)[0].as_py()
    return Found(
        version,
        tables,
        frozenset((row["table"], row["name"]) for row in extras),
        {row["name"]: row["comment"] for row in views},
        frozenset(row["name"] for row in expiring),
        {(row["table"], row["name"]): _codec(row["codec"]) for row in codecs},
    )


def migrate(runner: Statements, zone: str) -> list[str]:
    """Bring the tables to the schema; what was done, one line each."""
    runner.command(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
    runner.command(f"CREATE DATABASE IF NOT EXISTS {LOCAL_DATABASE}")
    runner.command(_VERSION_TABLE)

    def normal(expression: str) -> str:
        found = runner.query("SELECT formatQuerySingleLine({q:String}) AS text", {"q": f"SELECT {expression}"})
        return str(found.column(0)[0].as_py())

    steps = plan(look(runner), zone, normal)
    for step in steps:
        runner.command(step.statement)
    return [step.done for step in steps]
