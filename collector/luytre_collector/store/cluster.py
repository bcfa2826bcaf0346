"""The statements of one server, spread over a cluster of shards and replicas. Pure: text in, text out.

A table `luytre.X` becomes two: `luytre_shard.X`, which is replicated and holds a shard's rows, and `luytre.X`, which is
`Distributed` over it, so that inserts, queries and views stay as they are. An agent's rows all go to one shard: what is
asked of one host is asked of one shard, and an agent's part of an insert is there whole or not at all. What would have
one row for each key on one server (`ReplacingMergeTree`) goes to the shard of its key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from luytre_collector.store import ddl
from luytre_collector.store.sql import DATABASE, LOCAL_DATABASE, SHARD_DATABASE


@dataclass(frozen=True)
class Cluster:
    """name: in `remote_servers` and in ON CLUSTER. path: in Keeper, with macros; `{table}` is the table's name."""

    name: str
    path: str = "/clickhouse/luytre/{shard}/{table}"


_NEW_DATABASE = re.compile(r"CREATE DATABASE IF NOT EXISTS (\w+)")
_TABLE = re.compile(
    rf"CREATE TABLE IF NOT EXISTS {DATABASE}\.`?(\w+)`?\s*(\(.*\))\s+ENGINE = (\w*MergeTree)"
    r"(\(\(.*?\)\)|\([^()]*\))?\s*(.*)",
    re.DOTALL,
)
_ALTER = re.compile(rf"ALTER TABLE {DATABASE}\.(`?\w+`?) (.*)", re.DOTALL)
_VIEW = re.compile(rf"CREATE OR REPLACE VIEW ({LOCAL_DATABASE}\.`?\w+`?) (.*)", re.DOTALL)
_OPTIMIZE = re.compile(rf"OPTIMIZE TABLE {DATABASE}\.(`?\w+`?) FINAL")
_OF_COLUMNS = re.compile(r"(?:ADD|MODIFY) COLUMN ")
_KEY = re.compile(r"ORDER BY \(?`?(\w+)")
_WINDOW = re.compile(r"\bnon_replicated_deduplication_window = (\d+)")


def spread(statement: str, cluster: Cluster) -> Iterator[str]:
    """The statements for the cluster that do what this one does on a server. Those that change nothing of the schema
    are handed on as they are."""
    on = f"ON CLUSTER {ddl.name(cluster.name)}"
    if found := _NEW_DATABASE.fullmatch(statement):
        yield f"CREATE DATABASE IF NOT EXISTS {found[1]} {on}"
        if found[1] == DATABASE:
            yield f"CREATE DATABASE IF NOT EXISTS {SHARD_DATABASE} {on}"
    elif found := _TABLE.fullmatch(statement):
        name, body, engine, arguments, rest = found.groups()
        yield (
            f"CREATE TABLE IF NOT EXISTS {SHARD_DATABASE}.{ddl.name(name)} {on}\n{body}\n"
            f"ENGINE = {_replicated(engine, name, arguments, cluster)}\n{_WINDOW.sub(_replicated_window, rest)}"
        )
        where = f"{ddl.name(cluster.name)}, {SHARD_DATABASE}, {ddl.name(name)}, {_key(engine, body, rest)}"
        yield (
            f"CREATE TABLE IF NOT EXISTS {DATABASE}.{ddl.name(name)} {on} AS {SHARD_DATABASE}.{ddl.name(name)}\n"
            f"ENGINE = Distributed({where})"
        )
    elif found := _ALTER.fullmatch(statement):
        yield f"ALTER TABLE {SHARD_DATABASE}.{found[1]} {on} {found[2]}"
        if _OF_COLUMNS.match(found[2]):
            yield f"ALTER TABLE {DATABASE}.{found[1]} {on} {found[2]}"
    elif found := _OPTIMIZE.fullmatch(statement):
        yield f"OPTIMIZE TABLE {SHARD_DATABASE}.{found[1]} {on} FINAL"
    elif found := _VIEW.fullmatch(statement):
        yield f"CREATE OR REPLACE VIEW {found[1]} {on} {found[2]}"
    else:
        yield statement


def _replicated(engine: str, table: str, arguments: str | None, cluster: Cluster) -> str:
    path = cluster.path.replace("{table}", table)
    more = f", {arguments[1:-1]}" if arguments else ""
    return f"Replicated{engine}({ddl.text(path)}, '{{replica}}'{more})"


def _replicated_window(found: re.Match[str]) -> str:
    """Replicas share what they remember of inserts through Keeper, under another setting's name."""
    return f"replicated_deduplication_window = {found[1]}"


def _key(engine: str, body: str, rest: str) -> str:
    order = _KEY.search(rest)
    assert order, "every table has an order"
    by_agent = "`agent_id`" in body and engine != "ReplacingMergeTree"
    return f"cityHash64({'agent_id' if by_agent else order[1]})"
