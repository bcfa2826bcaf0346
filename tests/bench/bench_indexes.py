"""What a skip index saves and costs, on tables of some hundred blocks: those that the tables have, and others.

python -m tests.bench.bench_indexes [--rows N] [--packets N] [--table NAME] [--json]

The rows of `bench_store` again and again, as of eight agents and several hours: ids differ everywhere, half of the
addresses and names are met by everybody, the others only at one agent in one hour. Each question is asked for several
values with one index alone and with none; a value of the second half, as what people look for is rare. What an insert
pays is measured on a table of the key and the indexed column, with the index and without.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from luytre_collector.store import ddl
from luytre_collector.store.embedded import EmbeddedStore
from luytre_common.schema import TABLES, Kind, Table
from luytre_common.schema.model import VALUES, words

from deploy.demo.screen import Screen, wants_colour
from tests.bench.bare import opened
from tests.bench.bench_store import WIDE, fill, number

_AGENTS = 8
#: Values asked for, and times that each insert is measured.
_VALUES = 5
_INSERTS = 5


@dataclass(frozen=True, slots=True)
class Candidate:
    """An index on a column. `where` is the question's condition, `{value}` a literal; `pick` makes its value."""

    table: str
    column: str
    index: str
    where: str = ""
    pick: str = ""

    @property
    def condition(self) -> str:
        """The question's WHERE."""
        return self.where or f"{self.column} = {{value}}"


@dataclass(frozen=True, slots=True)
class Found:
    """Medians over the values asked for: rows read, milliseconds. Cost: bytes at rest and CPU of an insert, by row."""

    table: str
    column: str
    index: str
    condition: str
    rows: int
    rows_read: int
    rows_without: int
    ms: float
    ms_without: float
    bytes_per_row: float
    insert_ns_per_row: float


_PIECES = "ngrambf_v1(4, 8192, 2, 0)"
#: A domain and all under it: the question, and how a name becomes a domain to look for.
_UNDER = "dns_question_name LIKE concat('%.', {value})"
_PARENT = "substring(dns_question_name, position(dns_question_name, '.') + 1)"
#: A piece of a command line, and a word of it: the file at its end, with what follows the dot and without.
_LIKE = "process_command_line LIKE concat('%', {value}, '%')"
_FILE = "splitByChar('/', process_command_line)[-1]"
_HAS_WORD = "hasToken(process_command_line, {value})"
_WORD = f"splitByChar('.', {_FILE})[1]"
#: The last word of a text; the name of a file without what follows the dot; the port of a line of sshd.
_LAST = "extract({column}, '([A-Za-z0-9]+)[^A-Za-z0-9]*$')"
_STEM = f"splitByChar('.', {_FILE.replace('process_command_line', 'file_path')})[1]"
_PORT = "extract(message, 'port ([0-9]+)')"

CANDIDATES = (
    Candidate("flows", "flow_id", VALUES),
    Candidate("flows", "flow_id", "bloom_filter(0.1)"),
    Candidate("flows", "source_ip", VALUES),
    Candidate("flows", "destination_ip", VALUES),
    Candidate("flows", "process_entity_id", VALUES),
    Candidate("flows", "process_entity_id", "minmax"),
    Candidate("dns", "flow_id", VALUES),
    Candidate("dns", "dns_question_name", VALUES),
    Candidate("dns", "dns_question_name", words(8192)),
    Candidate("dns", "dns_question_name", words(8192), _UNDER, _PARENT),
    Candidate("dns", "dns_question_name", _PIECES, "dns_question_name LIKE concat('%', {value}, '%')"),
    Candidate("tls", "flow_id", VALUES),
    Candidate("tls", "tls_client_server_name", VALUES),
    Candidate("tls", "tls_client_server_name", words(8192)),
    Candidate("processes", "process_entity_id", VALUES),
    Candidate("processes", "process_parent_entity_id", VALUES),
    Candidate("processes", "process_hash_sha256", VALUES),
    Candidate("processes", "process_command_line", _PIECES, _LIKE, _FILE),
    Candidate("processes", "process_command_line", words(8192), _HAS_WORD, _WORD),
    Candidate("processes", "process_command_line", words(16384), _HAS_WORD, _WORD),
    Candidate("processes", "process_command_line", words(32768), _HAS_WORD, _WORD),
    Candidate("sockets", "source_ip", VALUES),
    Candidate("sockets", "destination_ip", VALUES),
    Candidate("sockets", "process_entity_id", VALUES),
    Candidate("sockets", "process_entity_id", "minmax"),
    Candidate("sockets", "socket_id", VALUES),
    Candidate("sockets", "process_command_line", words(16384), "hasToken(process_command_line, {value})", _LAST),
    Candidate("files", "file_path", VALUES),
    Candidate("files", "file_path", words(8192)),
    Candidate("files", "file_path", words(16384)),
    Candidate("files", "file_path", words(8192), "hasToken(file_path, {value})", _STEM),
    Candidate("files", "file_path", words(16384), "hasToken(file_path, {value})", _STEM),
    Candidate("files", "file_hash_sha256", VALUES),
    Candidate("files", "process_entity_id", VALUES),
    Candidate("files", "process_command_line", words(16384), "hasToken(process_command_line, {value})", _LAST),
    Candidate("logins", "source_ip", VALUES),
    Candidate("logins", "user_name", VALUES),
    Candidate("logins", "ssh_key_fingerprint", VALUES),
    Candidate("logins", "process_command_line", words(8192), "hasToken(process_command_line, {value})", _LAST),
    Candidate("logins", "message", words(8192), "hasToken(message, {value})", _PORT),
    Candidate("logins", "message", words(16384), "hasToken(message, {value})", _PORT),
)  # fmt: skip


def main() -> int:
    """Print what was measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench_indexes", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_500_000, help="of each table, at least (default: %(default)s)")
    parser.add_argument("--packets", type=int, default=2_000_000, help="of the capture (default: %(default)s)")
    names = sorted({one.table for one in CANDIDATES})
    parser.add_argument("--table", choices=names, action="append", help="only this one; may be repeated")
    parser.add_argument("--json", action="store_true", help="figures for programs")
    arguments = parser.parse_args()
    screen = Screen(sys.stderr if arguments.json else sys.stdout, "en", colour=wants_colour(sys.stdout))
    found: list[Found] = []
    with tempfile.TemporaryDirectory(prefix="luytre-bench-") as folder:
        store = opened(Path(folder) / "store")
        try:
            names = arguments.table or names
            fill(store, Path(folder) / "batches", arguments.packets, names)
            for name in names:
                _multiply(store, TABLES[name], arguments.rows)
                found += [_measure(store, one) for one in CANDIDATES if one.table == name]
                store.command(f"DROP TABLE luytre.{_many(name)} SYNC")
        finally:
            store.close()
    screen.table(
        ["table", "question", "index", "rows", "read with", "without", "ms with", "without", "bytes/row",
         "insert ns/row"],
        [[one.table, one.condition, one.index, f"{one.rows:,}", f"{one.rows_read:,}", f"{one.rows_without:,}",
          f"{one.ms:.1f}", f"{one.ms_without:.1f}", f"{one.bytes_per_row:.2f}", f"{one.insert_ns_per_row:.0f}"]
         for one in found],
    )  # fmt: skip
    if arguments.json:
        print(json.dumps([asdict(one) for one in found], indent=1))
    return 0


def _many(name: str) -> str:
    return f"many_{name}"


def _multiply(store: EmbeddedStore, table: Table, rows: int) -> None:
    """Make the table of many rows, merged, without skip indexes."""
    columns = ", ".join(ddl.column(one) for one in table.columns)
    store.command(
        f"CREATE TABLE luytre.{_many(table.name)} ({columns}) ENGINE = MergeTree"
        f" ORDER BY ({', '.join(table.order_by)}) SETTINGS {WIDE}"
    )
    few = number(store, f"SELECT count() AS n FROM luytre.{table.name}")
    for copy in range(-(-rows // few)):
        changed = ", ".join(f"{value} AS {name}" for name, value in _copied(table, copy))
        names = ", ".join(one.name for one in table.stored_columns)
        store.command(
            f"INSERT INTO luytre.{_many(table.name)} ({names})"
            f" SELECT {names} FROM (SELECT * REPLACE ({changed}) FROM luytre.{table.name})"
        )
    store.command(f"OPTIMIZE TABLE luytre.{_many(table.name)} FINAL")


#: Columns of which half of the values are met everywhere.
_SHARED = (
    "source_ip",
    "user_name",
    "file_hash_sha256",
    "destination_ip",
    "dns_question_name",
    "tls_client_server_name",
)


def _copied(table: Table, copy: int) -> Iterator[tuple[str, str]]:
    """The columns that differ from copy to copy, with their SQL."""
    for one in table.stored_columns:
        if one.name == "agent_id":
            yield one.name, f"'agent-{copy % _AGENTS}'"
        elif one.kind is Kind.TIME:
            yield one.name, f"{one.name} + toIntervalHour({copy // _AGENTS})"
        elif one.name == "process_entity_id" and table.name == "flows":  # a capture knows no processes
            yield one.name, f"cityHash64(intHash32(source_port) % 500, {copy})"
        elif one.kind is Kind.U64 and one.name.endswith("_id") and one.name != "network_namespace_id":
            yield one.name, f"if({one.name} = 0, 0, cityHash64({one.name}, {copy}))"
        elif one.name == "process_hash_sha256":
            yield one.name, f"lower(hex(SHA256(concat(process_executable, '{copy % 4}'))))"
        elif one.name == "process_command_line":
            yield one.name, f"replaceOne({one.name}, '.tmp', 'x{copy}.tmp')"
        elif one.name == "file_path":
            yield one.name, f"replaceOne({one.name}, '.pdf', 'x{copy}.pdf')"
        elif one.name == "message":
            yield one.name, f"concat({one.name}, ' [{copy}]')"
        elif one.name in _SHARED:
            other = (
                f"toIPv6(concat('::ffff:', IPv4NumToString(toUInt32(cityHash64({one.name}, {copy}) % 4294967296))))"
                if one.kind is Kind.IP
                else f"replaceOne({one.name}, '.', '.x{copy}x')"
            )
            yield one.name, f"if(cityHash64({one.name}) % 2 = 0, {one.name}, {other})"


def _measure(store: EmbeddedStore, one: Candidate) -> Found:
    table = f"luytre.{_many(one.table)}"
    rows = number(store, f"SELECT count() AS n FROM {table}")
    store.command(f"ALTER TABLE {table} ADD INDEX one {one.column} TYPE {one.index} GRANULARITY 1")
    store.command(f"ALTER TABLE {table} MATERIALIZE INDEX one SETTINGS mutations_sync = 2")
    size = number(
        store,
        "SELECT sum(data_compressed_bytes + marks_bytes) AS n FROM system.data_skipping_indices"
        f" WHERE table = '{_many(one.table)}'",
    )
    asked = [_ask(store, table, one, value) for value in _values(store, table, one)]
    store.command(f"ALTER TABLE {table} DROP INDEX one SETTINGS mutations_sync = 2")
    read, without, ms, ms_without = (statistics.median(figures) for figures in zip(*asked, strict=True))
    return Found(
        one.table, one.column, one.index, one.condition, rows, int(read), int(without), ms, ms_without, size / rows,
        _insert_ns(store, one, rows),
    )  # fmt: skip


def _values(store: EmbeddedStore, table: str, one: Candidate) -> list[str]:
    """Literals of values that are in the table, and rare there."""
    column = TABLES[one.table].column(one.column)
    picked = one.pick.format(column=one.column) or one.column
    found = store.query(
        f"SELECT toString({picked}) AS value FROM {table} GROUP BY {picked}"
        f" ORDER BY count() > 1000, cityHash64(value) LIMIT {_VALUES}"
    )
    texts = [ddl.text(value) for value in found.column("value").to_pylist()]
    if column.kind is Kind.IP:
        return [f"toIPv6({text})" for text in texts]
    return [f"toUInt64({text})" for text in texts] if column.kind is Kind.U64 else texts


def _ask(store: EmbeddedStore, table: str, one: Candidate, value: str) -> tuple[int, int, float, float]:
    """Rows read with the index and without, and the least milliseconds of three."""
    sql = f"SELECT count() AS n FROM {table} WHERE {one.condition.format(value=value)}"
    read, spent = [], []
    for use in (1, 0):
        setting = f" SETTINGS use_skip_indexes = {use}, use_query_condition_cache = 0"
        read.append(number(store, f"SELECT sum(rows) AS n FROM (EXPLAIN ESTIMATE {sql}{setting})"))
        least = float("inf")
        for _ in range(3):
            begin = time.perf_counter()
            store.query(sql + setting)
            least = min(least, 1000 * (time.perf_counter() - begin))
        spent.append(least)
    return read[0], read[1], spent[0], spent[1]


def _insert_ns(store: EmbeddedStore, one: Candidate, rows: int) -> float:
    """CPU that the index adds to an insert of 100,000 rows: the least of several with it, less the least without."""
    table = TABLES[one.table]
    names = list(dict.fromkeys([*table.order_by, one.column]))
    columns = ", ".join(ddl.column(table.column(name)) for name in names)
    indexes: Mapping[str, str] = {"bare": "", "indexed": f", INDEX one {one.column} TYPE {one.index} GRANULARITY 1"}
    least = dict.fromkeys(indexes, float("inf"))
    most = min(rows, 100_000)
    for attempt in range(_INSERTS):
        for name, index in indexes.items():
            store.command(
                f"CREATE TABLE luytre.narrow ({columns}{index}) ENGINE = MergeTree"
                f" ORDER BY ({', '.join(table.order_by)})"
            )
            begin = time.process_time()
            store.command(
                f"INSERT INTO luytre.narrow SELECT {', '.join(names)} FROM luytre.{_many(one.table)}"
                f" LIMIT {most} OFFSET {attempt * most % max(1, rows - most)} SETTINGS max_threads = 1"
            )
            least[name] = min(least[name], time.process_time() - begin)
            store.command("DROP TABLE luytre.narrow SYNC")
    return 1e9 * (least["indexed"] - least["bare"]) / most


if __name__ == "__main__":
    sys.exit(main())
