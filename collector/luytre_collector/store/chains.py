"""Tables of the hash chains: how far each numbering was verified, and where rows are missing. Pure.

Both are written by the collector, a few times a minute, and hold one row for each key once they are merged: ask
`chains` for the largest number, and `gaps` with FINAL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from luytre_collector.store import ddl, sql

CHAINS = "chains"
GAPS = "gaps"

#: How long links are kept that nobody went on with, and gaps, days.
_DAYS = {CHAINS: 90, GAPS: 730}

_COLUMNS: dict[str, dict[str, tuple[str, str]]] = {
    CHAINS: {
        "agent_id": ("LowCardinality(String)", "Identity of the sender"),
        "boot_id": ("String", "The numbering"),
        "stream": ("LowCardinality(String)", "The numbering within the boot"),
        "last_sequence": ("UInt64", "Number of the last row that was verified or taken over"),
        "link": ("String", "SHA-256 chain up to there, hexadecimal"),
        "collector_time": ("DateTime64(6, 'UTC')", "When its batch came"),
    },
    GAPS: {
        "agent_id": ("LowCardinality(String)", "Identity of the sender"),
        "boot_id": ("String", "The numbering"),
        "stream": ("LowCardinality(String)", "The numbering within the boot"),
        "first_sequence": ("UInt64", "Number of the first row that did not come"),
        "last_sequence": ("UInt64", "Number of the last one"),
        "table": ("LowCardinality(String)", "Where they should be"),
        "host_name": ("LowCardinality(String)", "Host name as the agent states it"),
        "collector_time": ("DateTime64(6, 'UTC')", "When the gap was met"),
        "state": (
            "LowCardinality(String)",
            "open, explained (by table ledger), late (they came after all), unexplained",
        ),
        "cause": ("LowCardinality(String)", "What the ledger says: quota, age, disk, corrupt, refused"),
    },
}
_KEYS = {CHAINS: ("agent_id", "boot_id", "stream"), GAPS: ("agent_id", "boot_id", "stream", "first_sequence")}
_MEANINGS = {
    CHAINS: "How far the hash chain of each numbering is known: ask for max(last_sequence)",
    GAPS: "Rows with numbers that did not come, and what explains that: ask with FINAL",
}


def tables() -> Iterator[tuple[str, str]]:
    """Name and CREATE TABLE statement of both."""
    for name, columns in _COLUMNS.items():
        body = ", ".join(f"`{one}` {kind} COMMENT {ddl.text(meaning)}" for one, (kind, meaning) in columns.items())
        yield (
            name,
            (
                f"CREATE TABLE IF NOT EXISTS {{database}}.`{name}` ({body}) ENGINE = ReplacingMergeTree"
                f" ORDER BY ({', '.join(_KEYS[name])})"
                f" TTL toDateTime(collector_time) + toIntervalDay({_DAYS[name]})"
                f" SETTINGS {ddl.DURABLE} COMMENT {ddl.text(_MEANINGS[name])}"
            ),
        )


def insert(database: str, table: str, rows: Sequence[Sequence[str | int]]) -> str:
    """The statement that inserts rows of values in the order of the columns; times are microseconds since 1970."""
    columns = _COLUMNS[table]
    kinds = {"UInt64": "UInt64", "DateTime64(6, 'UTC')": "Int64"}
    structure = ", ".join(f"{one} {kinds.get(kind, 'String')}" for one, (kind, _) in columns.items())
    # As text in one literal: the engine reads that five times faster than a list of tuples.
    lines = "\n".join("\t".join(sql.parameter(one) for one in row) for row in rows)
    picked = ", ".join(
        f"fromUnixTimestamp64Micro({one}, 'UTC')" if kind.startswith("DateTime64") else f"`{one}`"
        for one, (kind, _) in columns.items()
    )
    names = ", ".join(f"`{one}`" for one in columns)
    return (
        f"INSERT INTO {database}.`{table}` ({names}) SETTINGS async_insert = 0, insert_deduplicate = 0"
        f" SELECT {picked} FROM format(TSV, {ddl.text(structure)}, {ddl.text(lines)})"
    )
