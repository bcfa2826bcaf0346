"""Statements for a cluster: what they say, and that ClickHouse's parser takes them. No cluster runs here."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chdb
import pytest
from luytre_collector.store import migrate
from luytre_collector.store.cluster import Cluster, spread

GOLDEN = Path(__file__).parents[3] / "golden/ddl_cluster.sql"
CLUSTER = Cluster("luytre")


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    with contextlib.closing(chdb.connect(":memory:")) as connection:
        yield connection


def all_statements() -> list[str]:
    """What a migration runs on an empty server, in its order."""
    ran: list[str] = []

    class Empty:
        def command(self, statement: str) -> None:
            ran.append(statement)

        def query(self, _sql: str, _parameters: object = None) -> Any:
            import pyarrow as pa

            return pa.table({})

    migrate.migrate(Empty(), "Asia/Ho_Chi_Minh")
    return ran


def test_the_parser_takes_every_statement(engine: Any) -> None:
    tables = []
    for statement in all_statements():
        for one in spread(statement, CLUSTER):
            if not one.startswith("INSERT"):
                assert "ON CLUSTER `luytre`" in one
                engine.query(f"EXPLAIN AST {one}")
            tables += re.findall(r"CREATE TABLE IF NOT EXISTS (luytre\w*\.`\w+`)", one)
    shards = [name.partition(".")[2] for name in tables if name.startswith("luytre_shard.")]
    doors = [name.partition(".")[2] for name in tables if name.startswith("luytre.")]
    assert shards == doors
    assert {f"`{name}`" for name in [*migrate.STORED_TABLES, *migrate.DERIVED_TABLES, "schema_version"]} == set(doors)


def test_golden() -> None:
    """Without columns, which the golden DDL of one server has, and without views."""
    lines = [
        re.sub(r"ON CLUSTER `luytre`\n\(.*\)\nENGINE", "ON CLUSTER `luytre` (...)\nENGINE", one, flags=re.DOTALL)
        for statement in all_statements()
        for one in spread(statement, CLUSTER)
        if "VIEW" not in one
    ]
    found = ";\n\n".join(re.sub(r"\s+COMMENT '.*", "", line) for line in lines) + ";\n"
    if os.environ.get("LUYTRE_WRITE_GOLDEN"):
        GOLDEN.write_text(found)
    assert found == GOLDEN.read_text()


@pytest.mark.parametrize(
    ("statement", "wanted"),
    [
        ("OPTIMIZE TABLE luytre.agents FINAL", ["luytre_shard"]),
        ("ALTER TABLE luytre.`flows` ADD COLUMN IF NOT EXISTS `x` UInt8 FIRST", ["luytre_shard", "luytre"]),
        ("ALTER TABLE luytre.`flows` MODIFY COLUMN `x` UInt8 ALIAS 1", ["luytre_shard", "luytre"]),
        ("ALTER TABLE luytre.`flows` ADD INDEX IF NOT EXISTS x y TYPE minmax GRANULARITY 1", ["luytre_shard"]),
        ("ALTER TABLE luytre.`flows` MODIFY SETTING storage_policy = 'luytre'", ["luytre_shard"]),
        ("ALTER TABLE luytre.`flows` MODIFY TTL x + toIntervalDay(9) TO VOLUME 'cold'", ["luytre_shard"]),
        ("ALTER TABLE luytre.flows DROP PARTITION '2026-11-23'", ["luytre_shard"]),
        ("ALTER TABLE luytre.`flows` DELETE IN PARTITION '2026-11-23' WHERE agent_id IN ('a')", ["luytre_shard"]),
    ],
)
def test_changes_reach_the_tables_that_they_concern(engine: Any, statement: str, wanted: list[str]) -> None:
    made = list(spread(statement, CLUSTER))
    assert [one.split()[2].split(".")[0] for one in made] == wanted
    for one in made:
        engine.query(f"EXPLAIN AST {one}")
        assert one.replace("luytre_shard.", "luytre.").replace(" ON CLUSTER `luytre`", "") == statement


@pytest.mark.parametrize("statement", ["SELECT 1", "INSERT INTO luytre.flows SELECT * FROM luytre.flows"])
def test_what_is_no_schema_stays_as_it_is(statement: str) -> None:
    assert list(spread(statement, CLUSTER)) == [statement]
