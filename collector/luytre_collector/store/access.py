"""Who sees which rows, by organisation: row policies of ClickHouse. Pure, but for `write`.

An agent's rows are those of its organisation and of all above it, as table `agents` says. A policy's condition is put
before whatever a query asks, also before PREWHERE and before skip indexes, so that no error can tell of other rows.

On a server each organisation has a role (`role_statements`), and its members that role beside `luytre_analyst`.

The embedded engine has one user and takes no CREATE ROW POLICY, but reads policies from a file, and their conditions
may ask for a setting: `log_comment`, which the engine makes no other use of. Sessions of guests who may see some
organisations only have their ids there, and cannot change it; empty, as everywhere else, is no limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.sax.saxutils import escape

from luytre_common.schema import REGISTERS, TABLES

from luytre_collector.store import ddl, sql

#: Tables with rows of agents. `rollup_windows` and `schema_version` tell of none.
OF_AGENTS = (*TABLES, "flows_1m", "flows_1h", "first_seen")

#: The setting that says which organisations a session may see, separated by commas.
SETTING = "log_comment"

_SEEN = f"getSetting('{SETTING}')"


def embedded_policies() -> Mapping[str, str]:
    """The conditions of the embedded engine, by table."""
    within = f"hasAny(organisation_path, splitByChar(',', {_SEEN}))"
    agents = f"agent_id IN (SELECT agent_id FROM {sql.DATABASE}.agents WHERE {within})"
    return {
        **dict.fromkeys(REGISTERS, f"{_SEEN} = '' OR {within}"),
        **dict.fromkeys(OF_AGENTS, f"{_SEEN} = '' OR {agents}"),
    }


def write(folder: Path) -> Path:
    """Write the engine's configuration with these policies into `folder`; its path. OSError if it cannot be written."""
    folder.mkdir(mode=0o700, exist_ok=True)
    filters = "".join(
        f"<{table}><filter>{escape(condition)}</filter></{table}>\n" for table, condition in embedded_policies().items()
    )
    users, config = folder / "users.xml", folder / "config.xml"
    users.write_text(
        "<clickhouse>\n<users><default><password></password><networks><ip>::/0</ip></networks>"
        "<profile>default</profile><quota>default</quota>\n"
        f"<databases><{sql.DATABASE}>\n{filters}</{sql.DATABASE}></databases></default></users>\n"
        "<profiles><default></default></profiles><quotas><default></default></quotas>\n</clickhouse>\n",
        encoding="utf-8",
    )
    config.write_text(f"<clickhouse><users_config>{escape(str(users))}</users_config></clickhouse>\n", encoding="utf-8")
    return config


def role_statements(organisation: str, cluster: str = "") -> Iterator[str]:
    """What makes the role of an organisation on a server, or on a cluster of this name. They can be run again, and must
    be after an upgrade that brought tables: until then the role sees nothing of those."""
    on = f" ON CLUSTER {ddl.name(cluster)}" if cluster else ""
    role = ddl.name(f"luytre_{organisation}")
    within = f"has(organisation_path, {ddl.text(organisation)})"
    # On a cluster the rows of an agent and its row in `agents` are on one shard, and there each reads its own.
    database = sql.SHARD_DATABASE if cluster else sql.DATABASE
    yield f"CREATE ROLE IF NOT EXISTS {role}{on}"
    for tables, condition in (
        (tuple(REGISTERS), within),
        (OF_AGENTS, f"agent_id IN (SELECT agent_id FROM {database}.agents WHERE {within})"),
    ):
        named = ", ".join(f"{database}.{table}" for table in tables)
        yield f"CREATE ROW POLICY IF NOT EXISTS {role}{on} ON {named} FOR SELECT USING {condition} TO {role}"
    if cluster:  # what stands in front of the shards shows what they give
        named = ", ".join(f"{sql.DATABASE}.{table}" for table in (*REGISTERS, *OF_AGENTS))
        yield f"CREATE ROW POLICY IF NOT EXISTS {role}{on} ON {named} FOR SELECT USING 1 TO {role}"
