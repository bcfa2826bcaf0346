"""The registers `organisations` and `systems` as the file of sites declares them, and where the agents belong by it.

Written at the start, and only what differs from what is there: what is declared no more gets a row with `removed`,
which takes the old one's place. Collectors that share a store must share the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from luytre_common.schema import REGISTERS, Kind, Table

from luytre_collector.columns import arrow_type, stored_schema
from luytre_collector.sites import Sites, System
from luytre_collector.store import ddl, sql
from luytre_collector.store.base import Store

ORGANISATIONS, SYSTEMS, AGENTS = (REGISTERS[name] for name in ("organisations", "systems", "agents"))

Row = Mapping[str, Any]


def declare(store: Store, sites: Sites, kept_days: Callable[[System], int], now_us: int) -> list[str]:
    """Bring the registers to what is declared; what was done, one line each."""
    done, rewritten = [], []
    for table, wanted in (
        (ORGANISATIONS, organisation_rows(sites)),
        (SYSTEMS, system_rows(sites, kept_days)),
    ):
        (key,) = table.order_by
        changes = differences(stored(store, table), wanted, key)
        if changes:
            rewritten.append(table)
        written = max([now_us, *(row["recorded_time"] + 1 for row in changes)])
        _insert(store, table, [{**row, "recorded_time": written} for row in changes])
        done += [f"{table.name}: {'removed' if row['removed'] else 'declared'} {row[key]}" for row in changes]
    if moved := moves(stored(store, AGENTS), sites):
        _insert(store, AGENTS, [{**row, "recorded_time": max(now_us, row["recorded_time"] + 1)} for row in moved])
        done.append(f"agents: {len(moved)} have another system, level or organisation")
        rewritten.append(AGENTS)
    for table in rewritten:  # rights go by these rows, and must not go by those that were replaced
        store.command(f"OPTIMIZE TABLE {sql.DATABASE}.{table.name} FINAL")
    return done


def organisation_rows(sites: Sites) -> list[Row]:
    """The rows of `organisations`, but for when they were written. Pure."""
    return [
        {
            "organisation_id": one.id,
            "organisation_name": one.name,
            "organisation_name_vi": one.name_vi,
            "organisation_parent_id": one.parent,
            "organisation_path": list(sites.path(one.id)),
            "removed": 0,
        }
        for one in sites.organisations
    ]


def system_rows(sites: Sites, kept_days: Callable[[System], int]) -> list[Row]:
    """The rows of `systems`, but for when they were written. Pure."""
    return [
        {
            "system_id": one.id,
            "system_name": one.name,
            "system_name_vi": one.name_vi,
            "system_level": one.level,
            "organisation_id": one.organisation,
            "organisation_path": list(sites.path(one.organisation)),
            "system_agents": list(one.agents),
            "system_kept_days": kept_days(one),
            "removed": 0,
        }
        for one in sites.systems
    ]


def place(sites: Sites, agent_id: str) -> dict[str, Any]:
    """The columns that say where an agent belongs. Pure."""
    system = sites.system_of(agent_id)
    return {
        "system_id": system.id if system else "",
        "system_level": system.level if system else 0,
        "organisation_id": system.organisation if system else "",
        "organisation_path": list(sites.path(system.organisation)) if system else [],
    }


def differences(found: Sequence[Row], wanted: Sequence[Row], key: str) -> list[Row]:
    """The rows to write: new ones, changed ones, and those of `found` that are not wanted, as removed. `recorded_time`
    is that of the row which each replaces, 0 for none. Pure."""
    there = {row[key]: row for row in found}
    changes = []
    for row in wanted:
        old = there.pop(row[key], None)
        if old is None or any(old[name] != value for name, value in row.items()):
            changes.append({**row, "recorded_time": old["recorded_time"] if old else 0})
    return [*changes, *({**row, "removed": 1} for row in there.values() if not row["removed"])]


def moves(found: Sequence[Row], sites: Sites) -> list[Row]:
    """The rows of agents that belong elsewhere now, changed. Pure."""
    placed = ((row, place(sites, row["agent_id"])) for row in found)
    return [{**row, **where} for row, where in placed if any(row[name] != value for name, value in where.items())]


def stored(store: Store, table: Table) -> list[Row]:
    """The rows of a register, times in microseconds since 1970; a removed one is not among them."""
    names = ", ".join(
        f"toUnixTimestamp64Micro({ddl.name(one.name)}) AS {ddl.name(one.name)}"
        if one.kind is Kind.TIME
        else ddl.name(one.name)
        for one in table.stored_columns
    )
    rows: list[Row] = list(store.query(f"SELECT {names} FROM {sql.DATABASE}.{table.name} AS found FINAL").to_pylist())
    return rows


def insert(store: Store, table: Table, rows: Sequence[Row], token: str) -> None:
    """Insert rows of a register, times in microseconds since 1970."""
    arrays: list[Any] = []
    for column in table.stored_columns:
        values = [row[column.name] for row in rows]
        if column.kind is Kind.NAME:
            arrays.append(pa.array(values, pa.string()).dictionary_encode())
        else:
            arrays.append(pa.array(values, arrow_type(column.kind)))
    store.insert(table.name, pa.Table.from_arrays(arrays, schema=stored_schema(table)), token)


def _insert(store: Store, table: Table, rows: Sequence[Row]) -> None:
    if rows:
        (key,) = table.order_by
        insert(store, table, rows, f"{table.name}/{rows[0]['recorded_time']}/{rows[0][key]}/{len(rows)}")
