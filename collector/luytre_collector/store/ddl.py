"""CREATE TABLE statements, derived from the column table. Pure: text in, text out.

Choices that hold for every table:

* `fsync_after_insert`, `fsync_part_directory`: an insert is acknowledged to the agent, which then deletes its copy, so
  the rows must survive a power cut.
* `non_replicated_deduplication_window`: how many insert tokens the table remembers (see `Store.insert`).
* no TTL: how long rows are kept depends on the agent, and on holds: see `retention`.
* a `minmax` index on the event time, where the primary key does not already narrow it down.
* skip indexes for what is looked for on all hosts, which the primary key cannot narrow down. On tables of 1.5 million
  rows, 184 blocks (`tests.bench.bench_indexes`, where those are too that were not worth it):

      question                                     rows read   bytes a row   CPU of an insert, ns a row
      one flow by its id: flows, dns, tls                3 %           1.0   18-35
      one address, as source or as destination          3-4 %   1.0 and 0.5   20 and 13
      one address: sockets, as source or destination  7 and 2 %  0.2 and 0.1   7 and 22
      one address: logins                                5 %           0.1   4
      flows of a process                                 7 %           0.0   not to be measured
      sockets of a process; files                    4 and 2 %  0.3 and 1.0   17 and 21
      a path of a file, or a word of it (`hasToken`)     2 %           1.1   54-72
      a content of a file by its hash                    8 %           0.7   not to be measured
      a process by its id; its children                2-3 %      1.0 each   24 each
      a program by its hash                             27 %           0.0   not to be measured
      a domain, or it and all under it (`LIKE '%.x'`)    2 %           0.6   30-50
      a server name                                      2 %           0.8   53
      a word of a command line (`hasToken`)              2 %           1.8   120

  A flow or process event costs an insert 2,000 to 4,000 ns. Pieces of words (`ngrambf_v1`, for `LIKE '%x%'`) would add
  300 to 540. Words of the lines of logins would add 140 to 180, and a quarter of the rows would be read all the same;
  with users of logins, two thirds.
* a projection with the largest sequence of every numbering, which is what `Store.last_sequences` asks for.
"""

from __future__ import annotations

from collections.abc import Iterator

from luytre_common.schema import Column, Kind, Maker, Table

#: How many of its last insert tokens a table remembers. A batch is sent again at most once per reconnection, and the
#: collector's own check of sequences stands behind this one.
DEDUPLICATION_WINDOW = 1000

#: Settings of every table that is inserted into.
DURABLE = (
    f"non_replicated_deduplication_window = {DEDUPLICATION_WINDOW}, fsync_after_insert = 1, fsync_part_directory = 1"
)

#: How columns of a kind are packed that name no codec of their own; ZSTD where none is named here. ZSTD takes a third
#: off what the default (LZ4) leaves and costs an insert nothing that could be measured: see `tests.bench.bench_store`.
CODECS = {Kind.U32: "T64, ZSTD", Kind.U64: "T64, ZSTD", Kind.I32: "T64, ZSTD"}

#: Columns that together name a numbering of rows.
NUMBERING = ("agent_id", "boot_id", "stream")


def text(value: str) -> str:
    """A ClickHouse string literal."""
    return "'" + value.translate(_ESCAPES) + "'"


_ESCAPES = {ord("\\"): "\\\\", ord("'"): "\\'", ord("\n"): "\\n", ord("\t"): "\\t", 0: "\\0"}


def name(value: str) -> str:
    """A ClickHouse identifier, quoted."""
    return "`" + value.replace("\\", "\\\\").replace("`", "\\`") + "`"


def column(one: Column) -> str:
    """The definition of a column, as in CREATE TABLE and ALTER TABLE ADD COLUMN."""
    parts = [name(one.name), one.kind.clickhouse]
    if one.maker is Maker.SQL:
        parts.append(f"ALIAS {one.alias}")
    parts.append(f"COMMENT {text(one.meaning)}")
    if one.maker is not Maker.SQL:
        parts.append(codec(one))
    return " ".join(parts)


def codec(one: Column) -> str:
    """How a stored column is packed: its own codec, or what suits its kind. An ALIAS is not stored, and has none."""
    return f"CODEC({one.codec or CODECS.get(one.kind, 'ZSTD')})" if one.maker is not Maker.SQL else ""


def create_table(table: Table) -> str:
    """The whole statement. Creating a table that is there does nothing."""
    lines = [column(one) for one in table.columns]
    lines += [definition for _, definition in extras(table)]
    body = ",\n    ".join(lines)
    return (
        f"CREATE TABLE IF NOT EXISTS {name(table.name)}\n"
        f"(\n    {body}\n)\n"
        f"ENGINE = {table.engine}\n"
        + (f"PARTITION BY {table.partition_by}\n" if table.partition_by else "")
        + f"ORDER BY ({', '.join(table.order_by)})\n"
        f"SETTINGS {DURABLE}\n"
        f"COMMENT {text(table.meaning)}"
    )


def extras(table: Table) -> Iterator[tuple[str, str]]:
    """Skip indexes and projections: name and definition, as in CREATE TABLE and after ALTER TABLE ADD."""
    if _needs_time_index(table):
        index = f"{table.event_time}_range"
        yield index, f"INDEX {index} {table.event_time} TYPE minmax GRANULARITY 1"
    for indexed, kind in table.indexes:
        yield f"{indexed}_skip", f"INDEX {indexed}_skip {name(indexed)} TYPE {kind} GRANULARITY 1"
    if table.engine == "MergeTree":  # a replacing merge would have to rebuild the projection
        keys = ", ".join(NUMBERING)
        yield "last_sequence", f"PROJECTION last_sequence (SELECT {keys}, max(sequence) GROUP BY {keys})"


def _needs_time_index(table: Table) -> bool:
    return table.numbered and table.order_by[0] != table.event_time
