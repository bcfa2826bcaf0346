"""Hot and cold disks of a server: the tables' storage policy, and the days after which rows move to its cold volume.

The server moves them itself (`TTL ... TO VOLUME`), on every replica, and puts what arrives late where it belongs at
once. This TTL deletes nothing: how long rows are kept is a matter of `retention`. Alerts and what is small stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from luytre_common.errors import UserError
from luytre_common.schema import TABLES

from luytre_collector.store import ddl
from luytre_collector.store.base import Statements
from luytre_collector.store.migrate import Step
from luytre_collector.store.server_config import Config
from luytre_collector.store.sql import DATABASE, SHARD_DATABASE

#: Tables by day of arrival, with the SQL of the moment from which their days count.
ARRIVAL: Mapping[str, str] = {
    **{one.name: "toDateTime(collector_time)" for one in TABLES.values() if "collector_time" in one.partition_by},
    "flows_1m": "collector_day",
    "flows_1h": "collector_day",
}


#: A new TTL moves parts that are there; it need not write them anew.
_KEEP_PARTS = "materialize_ttl_recalculate_only = 1"


@dataclass(frozen=True, slots=True)
class Found:
    """What is there: the volumes of every policy; of every table the policy, and the engine with its TTL."""

    volumes: Mapping[str, frozenset[str]]
    policies: Mapping[str, str]
    engines: Mapping[str, str]


def plan(config: Config, found: Found) -> list[Step]:
    """What leads to the tiers of the configuration. Pure. UserError if the server's policy is not fit for them."""
    policy, volume, days = config.storage_policy, config.cold_volume, config.cold_after_days
    if days and not policy:
        raise UserError("store.server.cold_after_days needs store.server.storage_policy")
    if policy:
        _check(config, found)
    steps = []
    for table, moment in ARRIVAL.items():
        alter = f"ALTER TABLE {DATABASE}.{ddl.name(table)}"
        if policy and found.policies[table] != policy:
            statement = f"{alter} MODIFY SETTING storage_policy = {ddl.text(policy)}, {_KEEP_PARTS}"
            steps.append(Step(statement, f"put {table} on storage policy {policy}"))
        move = f"{moment} + toIntervalDay({days}) TO VOLUME {ddl.text(volume)}"
        if days and f" TTL {move}" not in found.engines[table]:
            steps.append(Step(f"{alter} MODIFY TTL {move}", f"moved {table} to volume {volume} after {days} days"))
        elif not days and " TO VOLUME " in found.engines[table]:
            steps.append(Step(f"{alter} REMOVE TTL", f"left {table} where it is"))
    return steps


def _check(config: Config, found: Found) -> None:
    policy = config.storage_policy
    there = found.volumes.get(policy)
    if there is None:
        raise UserError(
            f"store.server.storage_policy: the server has no policy {policy!r}, only {', '.join(sorted(found.volumes))}"
        )
    if config.cold_after_days and config.cold_volume not in there:
        raise UserError(
            f"store.server.cold_volume: policy {policy!r} has no volume {config.cold_volume!r}, only"
            f" {', '.join(sorted(there))}"
        )
    for table in ARRIVAL:
        missing = found.volumes.get(found.policies[table], frozenset()) - there
        if missing:
            raise UserError(
                f"store.server.storage_policy: policy {policy!r} lacks the volumes {', '.join(sorted(missing))} on"
                f" which {table} is; a policy must have those of the policy before it"
            )


def look(runner: Statements, on_cluster: bool) -> Found:
    """What is there."""
    volumes: dict[str, set[str]] = {}
    policies = runner.query("SELECT policy_name AS policy, volume_name AS volume FROM system.storage_policies")
    for row in policies.to_pylist():
        volumes.setdefault(row["policy"], set()).add(row["volume"])
    tables = runner.query(
        "SELECT name, storage_policy AS policy, engine_full AS engine FROM system.tables"
        " WHERE database = {here:String}",
        {"here": SHARD_DATABASE if on_cluster else DATABASE},
    ).to_pylist()
    return Found(
        {policy: frozenset(names) for policy, names in volumes.items()},
        {row["name"]: row["policy"] for row in tables},
        {row["name"]: row["engine"] for row in tables},
    )


def settle(runner: Statements, config: Config) -> list[str]:
    """Bring the tables, which are there, to the tiers of the configuration; what was done, one line each."""
    steps = plan(config, look(runner, bool(config.cluster)))
    for step in steps:
        runner.command(step.statement)
    return [step.done for step in steps]
