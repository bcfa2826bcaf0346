"""Who sees which rows, by organisation: row policies of ClickHouse. Pure, but for `write`.

An agent's rows are those of its organisation and of all above it, as table `agents` says. A policy's condition is put
before whatever a query asks, also before PREWHERE and before skip indexes, so that no error can tell of other rows.

On a server each organisation has a role (`role_statements`), and its members that role beside `luytre_analyst`.

The embedded engine has one user and takes no CREATE ROW POLICY, but reads policies from a file, and their conditions
may ask for a setting: `log_comment`, which the engine makes no other use of. Sessions of guests who may see some
organisations only have there what they may see, and cannot change it; empty, as everywhere else, is no limit. It is
`ORGANISATION,...;-,AGENT,...`: names of agents rather than a question about `agents`, because a policy holds also where
there is no such table yet, in a store that is being migrated or restored. `-` is nobody's name: an empty list would
let rows pass that are no agent's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from luytre_common.schema import REGISTERS, TABLES

from luytre_collector.store import ddl, sql
from luytre_collector.store.migrate import DERIVED_TABLES

#: Tables with rows of agents. `rollup_windows` and `schema_version` tell of none.
OF_AGENTS = (*TABLES, *(name for name, statement in DERIVED_TABLES.items() if "`agent_id`" in statement))

#: The setting that says what a session may see.
SETTING = "log_comment"

_SEEN = f"getSetting('{SETTING}')"


def seen(organisations: Sequence[str], agents: Sequence[str]) -> str:
    """The value of the setting for a guest of these organisations, whose agents these are."""
    return f"{','.join(organisations)};{','.join(('-', *agents))}"


#: The agents of the organisations `names` and of all below them.
AGENTS_OF = f"SELECT agent_id FROM {sql.DATABASE}.agents FINAL WHERE hasAny(organisation_path, {{names:Array(String)}})"


def embedded_policies() -> Mapping[str, str]:
    """The conditions of the embedded engine, by table."""
    organisations, agents = (f"splitByChar(',', splitByChar(';', {_SEEN})[{place}])" for place in (1, 2))
    return {
        **dict.fromkeys(REGISTERS, f"{_SEEN} = '' OR hasAny(organisation_path, {organisations})"),
        **dict.fromkeys((*OF_AGENTS, "agents"), f"{_SEEN} = '' OR agent_id IN ({agents})"),
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
