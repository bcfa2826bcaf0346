"""Bytes on disk of every column, with the codec it has and with others, and what the skip indexes save.

python -m tests.bench.bench_store [--packets N] [--table NAME] [--json]

The rows are those of the generated capture (flows, dns, tls) and made-up events of processes, sockets, files and
logins, inserted as a collector inserts them, then merged into one part per table.
"""

from __future__ import annotations

import argparse
import json
import string
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from luytre_collector.enrich import build, direction
from luytre_collector.enrich.stamp import Stamp, stamp
from luytre_collector.ingest.admit import Refused, Sender, admit
from luytre_collector.ingest.decode import decode
from luytre_collector.store import ddl
from luytre_collector.store.embedded import EmbeddedStore
from luytre_common.schema import TABLES, Column, Kind, Table
from luytre_common.wire.v1 import ingest_pb2 as pb

from deploy.demo.screen import Screen, wants_colour
from tests.bench import made_up, supply
from tests.bench.bare import opened
from tests.bench.make_capture import cached

_CACHE = Path(__file__).parents[2] / "build/bench"
_ROWS_AT_ONCE = 100_000
#: What a column could have instead. A codec that does not suit a type is left out for it.
CODECS = ("LZ4", "ZSTD", "ZSTD(3)", "Delta, ZSTD", "DoubleDelta, ZSTD", "T64, ZSTD")
_NUMBERS = (Kind.U8, Kind.U16, Kind.U32, Kind.U64, Kind.I32, Kind.TIME)

#: What analysts ask, by table: a sentence, and the condition. `{column}` is a value that is in the table.
QUESTIONS: Mapping[str, Mapping[str, str]] = {
    "flows": {
        "one address, all hosts": "destination_ip = {destination_ip}",
        "a minute of one host": "agent_id = 'agent-3'"
        " AND flow_end BETWEEN {flow_end} AND {flow_end} + toIntervalMinute(1)",
        "a minute, all hosts": "flow_end BETWEEN {flow_end} AND {flow_end} + toIntervalMinute(1)",
        "one flow by its id": "flow_id = {flow_id}",
    },
    "dns": {
        "one domain, all hosts": "dns_question_name = {dns_question_name}",
        "transactions of a flow": "flow_id = {flow_id}",
    },
    "tls": {
        "one server name, all hosts": "tls_client_server_name = {tls_client_server_name}",
        "transactions of a flow": "flow_id = {flow_id}",
    },
    "processes": {
        "one process by its id": "process_entity_id = {process_entity_id}",
        "a word in command lines": "hasToken(process_command_line, '00777')",
        "a piece of a word in command lines": "process_command_line LIKE '%00777.tmp%'",
    },
    "sockets": {
        "one source, all hosts": "source_ip = {source_ip}",
        "sockets of a process": "process_entity_id = {process_entity_id}",
    },
    "files": {
        "one file, all hosts": "file_path = {file_path}",
        "a content, all hosts": "file_hash_sha256 = {file_hash_sha256}",
        "files of a process": "process_entity_id = {process_entity_id}",
    },
    "logins": {
        "one address, all hosts": "source_ip = {source_ip}",
        "one user, all hosts": "user_name = {user_name}",
        "a word of a line": "hasToken(message, 'user777')",
    },
}


def main() -> int:
    """Print what was measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench_store", description=__doc__.splitlines()[0])
    parser.add_argument("--packets", type=int, default=2_000_000, help="of the capture (default: %(default)s)")
    parser.add_argument("--table", choices=sorted(QUESTIONS), action="append", help="only this one; may be repeated")
    parser.add_argument("--json", action="store_true", help="figures for programs")
    arguments = parser.parse_args()
    screen = Screen(sys.stderr if arguments.json else sys.stdout, "en", colour=wants_colour(sys.stdout))
    names = arguments.table or list(QUESTIONS)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="luytre-bench-") as folder:
        store = opened(Path(folder) / "store")
        try:
            fill(store, Path(folder) / "batches", arguments.packets, names)
            for name in names:
                figures[name] = _table(screen, store, TABLES[name])
        finally:
            store.close()
    if arguments.json:
        print(json.dumps(figures, indent=1))
    return 0


def fill(store: EmbeddedStore, file: Path, packets: int, names: Sequence[str]) -> None:
    """Insert the rows of these tables as if eight agents had sent them."""
    enrichers = build(direction.Config())
    waiting: defaultdict[str, list[pa.Table]] = defaultdict(list)
    batches = [batch for name in names if name in made_up.ROWS for batch in supply.made(name, 100_000, 10_000)]
    if not set(names) <= set(made_up.ROWS):
        batches += supply.flows(cached(_CACHE, packets), 10_000)
    supply.write(file, batches)
    for place, message in enumerate(supply.read(file)):
        batch = admit(pb.Batch.FromString(message), Sender(f"agent-{place % 8}", f"host-{place % 8}"), _now_us())
        assert not isinstance(batch, Refused)
        decoded = decode(batch)
        assert not isinstance(decoded, Refused)
        sent = Stamp(
            batch.sender.agent_id, batch.sender.host_name, supply.BOOT, batch.stream, batch.first_sequence,
            batch.agent_time_us, batch.collector_time_us,
        )  # fmt: skip
        rows = stamp(batch.table, [(decoded.rows, sent)])
        for enrich in enrichers.get(batch.table.name, ()):
            rows = enrich(rows)
        waiting[batch.table.name].append(rows)
    for name, pieces in waiting.items():
        store.insert(name, pa.concat_tables(pieces).unify_dictionaries().combine_chunks(), name)
        # Small parts keep all columns in one file, and would not tell their sizes.
        store.command(f"ALTER TABLE luytre.{name} MODIFY SETTING {WIDE}")
        store.command(f"OPTIMIZE TABLE luytre.{name} FINAL SETTINGS optimize_skip_merged_partitions = 0")


def _now_us() -> int:
    return int(time.time() * 1_000_000)


def _table(screen: Screen, store: EmbeddedStore, table: Table) -> dict[str, Any]:
    rows = number(store, f"SELECT count() AS n FROM luytre.{table.name}")
    ours = _bytes(store, table.name)
    others = {codec: _other(store, table, codec) for codec in (*CODECS, OTHER_TYPE)}
    on_disk = number(store, f"SELECT sum(bytes_on_disk) AS n FROM system.parts WHERE active AND table = '{table.name}'")
    screen.section(f"{table.name}: {on_disk / rows:.1f} bytes per row on disk, {rows:,} rows", "")
    lines, figures = [], {}
    for column in table.stored_columns:
        best = min(others, key=lambda codec: others[codec].get(column.name, sys.maxsize))
        mine, least = ours[column.name] / rows, others[best][column.name] / rows
        sizes = {codec: size[column.name] / rows for codec, size in others.items() if column.name in size}
        figures[column.name] = {"bytes": mine, **sizes}
        if mine >= 0.05 or mine > 1.1 * least:
            lines.append([column.name, column.kind.clickhouse, column.codec or "(default)", f"{mine:.2f}", best,
                          f"{least:.2f}", "<-" if mine > 1.1 * least + 0.02 else ""])  # fmt: skip
    screen.table(["column, bytes per row", "type", "codec", "now", "best codec", "with it", ""], lines)
    answers = {question: _ask(store, table, where) for question, where in QUESTIONS[table.name].items()}
    screen.table(
        ["question", "rows read with indexes", "without", "ms with", "without"],
        [[question, f"{a:,}", f"{b:,}", f"{c:.1f}", f"{d:.1f}"] for question, (a, b, c, d) in answers.items()],
    )
    return {"rows": rows, "bytes_per_row": on_disk / rows, "columns": figures, "questions": answers}


WIDE = "min_bytes_for_wide_part = 0, min_rows_for_wide_part = 0"
#: A name as plain text, a text as a dictionary.
OTHER_TYPE = "the other type"


def _other(store: EmbeddedStore, table: Table, codec: str) -> dict[str, int]:
    """Bytes of each column in a copy of the table where all have this codec, as far as it suits them."""
    columns = [one for one in table.stored_columns if _suits(one, codec)]
    keys = [one for one in table.stored_columns if one.name in table.order_by and one not in columns]
    kinds = [f"{ddl.name(one.name)} {_kind(one, codec)}" for one in columns]
    kinds += [f"{ddl.name(one.name)} {one.kind.clickhouse}" for one in keys]
    names = ", ".join(ddl.name(one.name) for one in (*columns, *keys))
    store.command(
        f"CREATE TABLE luytre.copy ({', '.join(kinds)}) ENGINE = MergeTree ORDER BY ({', '.join(table.order_by)})"
        f" SETTINGS {WIDE}"
    )
    store.command(f"INSERT INTO luytre.copy SELECT {names} FROM luytre.{table.name}")
    store.command("OPTIMIZE TABLE luytre.copy FINAL")
    sizes = _bytes(store, "copy")
    store.command("DROP TABLE luytre.copy SYNC")
    return {one.name: sizes[one.name] for one in columns}


def _suits(column: Column, codec: str) -> bool:
    if codec == OTHER_TYPE:
        return column.kind in (Kind.NAME, Kind.TEXT)
    return codec in ("LZ4", "ZSTD", "ZSTD(3)") or column.kind in _NUMBERS


def _kind(column: Column, codec: str) -> str:
    if codec == OTHER_TYPE:
        return "String CODEC(ZSTD)" if column.kind is Kind.NAME else "LowCardinality(String) CODEC(ZSTD)"
    return f"{column.kind.clickhouse} CODEC({codec})"


def _bytes(store: EmbeddedStore, name: str) -> dict[str, int]:
    found = store.query(
        "SELECT column, sum(column_data_compressed_bytes) AS size FROM system.parts_columns"
        " WHERE active AND database = 'luytre' AND table = {name:String} GROUP BY column",
        {"name": name},
    )
    return {row["column"]: int(row["size"]) for row in found.to_pylist()}


def _ask(store: EmbeddedStore, table: Table, where: str) -> tuple[int, int, float, float]:
    """Rows that the engine reads, and milliseconds (the least of five), with skip indexes and without."""
    names = [name for _, name, _, _ in string.Formatter().parse(where) if name]
    literals = ", ".join(_literal(table, name) for name in names) or "0"
    taken = store.query(f"SELECT {literals} FROM luytre.{table.name} LIMIT 1 OFFSET 777")
    values = dict(zip(names, (str(column[0].as_py()) for column in taken.columns), strict=False))
    sql = f"SELECT count() AS n FROM luytre.{table.name} WHERE {where.format(**values)}"
    read, spent = [], []
    for use in (1, 0):
        setting = f" SETTINGS use_skip_indexes = {use}, use_query_condition_cache = 0"
        read.append(number(store, f"SELECT rows AS n FROM (EXPLAIN ESTIMATE {sql}{setting})"))
        least = float("inf")
        for _ in range(5):
            begin = time.perf_counter()
            store.query(sql + setting)
            least = min(least, 1000 * (time.perf_counter() - begin))
        spent.append(least)
    return read[0], read[1], spent[0], spent[1]


def _literal(table: Table, name: str) -> str:
    """SQL that makes the text of a literal out of the column's value, which has no quotes in it."""
    kind, quoted = table.column(name).kind, f"concat('\\'', toString({name}), '\\'')"
    if kind is Kind.IP:
        return f"concat('toIPv6(', {quoted}, ')')"
    if kind is Kind.TIME:
        return f"concat('toDateTime64(', {quoted}, ', 6, \\'UTC\\')')"
    return quoted if kind in (Kind.NAME, Kind.TEXT) else f"toString({name})"


def number(store: EmbeddedStore, sql: str) -> int:
    return int(store.query(sql).column("n")[0].as_py())


if __name__ == "__main__":
    sys.exit(main())
