"""What an insert into a server costs the collector: our blocks beside clickhouse-driver's own, over the same protocol.

python -m tests.bench.bench_server [--packets N] [--rounds N] [--json]

The server is Debian's clickhouse-server 18.16 on the loopback interface, with the columns of the tables in types that
it knows. The rows are those of the generated capture and made-up process events. Ways of sending, in turn:

* driver: Arrow to lists, then `execute(..., columnar=True)`;
* ours: `store.driver.RowClient.insert`;
* floor: bytes made beforehand, which only travel.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import zstandard
from clickhouse_driver import Client
from luytre_collector.enrich.stamp import Stamp, stamp
from luytre_collector.store import native, sql
from luytre_collector.store.driver import RowClient
from luytre_collector.store.rows import prepare
from luytre_common.schema import TABLES, Kind, Table

from deploy.demo.screen import Screen, wants_colour
from tests.bench import supply
from tests.bench.make_capture import cached
from tests.bench.measure import Cost, median
from tests.support.old_server import NotHereError, OldServer

_CACHE = Path(__file__).parents[2] / "build/bench"
#: What stands for the types that the old server does not know: the same bytes.
_OLD = {Kind.IP: "FixedString(16)", Kind.TIME: "Int64"}
_MOST = 100_000


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="bench_server")
    parser.add_argument("--packets", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: list[dict[str, Any]] = []
    try:
        with tempfile.TemporaryDirectory() as folder, OldServer(Path(folder) / "server") as server:
            for table, rows in _rows(options.packets):
                for compression in ("none", "lz4"):
                    found += _measure(server.port, table, rows, compression, options.rounds)
    except NotHereError as why:
        print(f"bench_server: {why}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        _print(found)
    return 0


def _rows(packets: int) -> list[tuple[Table, pa.Table]]:
    """Up to 100,000 rows of flows and of process events, as the pipeline hands them to the store."""
    bodies: dict[str, list[pa.Table]] = {}
    for batch in [*supply.flows(cached(_CACHE, packets), 10_000), *supply.processes(_MOST, 10_000)]:
        bodies.setdefault(batch.table, []).append(pa.ipc.open_stream(zstandard.decompress(batch.body)).read_all())
    made = []
    for name in ("flows", "processes"):
        table, now = TABLES[name], int(time.time() * 1e6)
        rows = pa.concat_tables(bodies[name]).slice(0, _MOST)
        made.append((table, prepare(table, stamp(table, [(rows, Stamp("web-01", "web-01", "b0", name, 0, now, now))]))))
    return made


class MadeBefore(RowClient):
    """Sends bytes that were made beforehand."""

    pieces: Sequence[native.Piece] = ()

    def blocks(self, columns: Any, rows: pa.Table, with_flags: bool) -> Iterator[native.Piece]:
        return iter(self.pieces)


def _measure(port: int, table: Table, rows: pa.Table, compression: str, rounds: int) -> list[dict[str, Any]]:
    types = [(column.name, _OLD.get(column.kind, column.kind.clickhouse)) for column in table.stored_columns]
    columns = ", ".join(f"`{name}` {spec}" for name, spec in types)
    statement = f"INSERT INTO {table.name} ({sql.column_list(table)}) VALUES"
    driver, ours, floor = (
        kind("127.0.0.1", port, compression=compression if compression != "none" else False)
        for kind in (Client, RowClient, MadeBefore)
    )
    floor.pieces = list(native.encode(types, rows, with_flags=False))
    driver.execute(f"DROP TABLE IF EXISTS {table.name}")
    driver.execute(f"CREATE TABLE {table.name} ({columns}) ENGINE = MergeTree ORDER BY (agent_id, sequence)")
    ways: dict[str, Callable[[], object]] = {
        "driver": lambda: driver.execute(statement, _lists(table, rows), columnar=True),
        "ours": lambda: ours.insert(statement, rows, {}),
        "floor": lambda: floor.insert(statement, rows, {}),
    }
    costs: dict[str, list[Cost]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            begin, cpu = time.perf_counter(), time.process_time()
            way()
            costs[name].append(Cost(time.perf_counter() - begin, time.process_time() - cpu))
    assert driver.execute(f"SELECT count() FROM {table.name}") == [(len(rows) * rounds * len(ways),)]
    for client in (driver, ours, floor):
        client.disconnect()
    taken = {name: median(each) for name, each in costs.items()}
    return [
        {
            "table": table.name,
            "compression": compression,
            "way": name,
            "rows_per_s": round(len(rows) / cost.wall),
            "rows_per_cpu_s": round(len(rows) / cost.cpu),
            "cpu_us_per_row": round(cost.cpu / len(rows) * 1e6, 2),
            "times_the_driver": round(taken["driver"].cpu / cost.cpu, 1),
        }
        for name, cost in taken.items()
    ]


_FORMATS = {Kind.U8: "B", Kind.U16: "H", Kind.U32: "I", Kind.U64: "Q", Kind.I32: "i", Kind.TIME: "q"}


def _lists(table: Table, rows: pa.Table) -> list[list[Any]]:
    """As the driver wants it, an object for every value, in the fastest way known: numbers through a buffer's `tolist`,
    names through their dictionary."""
    return [_list(column.kind, rows.column(column.name).chunk(0)) for column in table.stored_columns]


def _list(kind: Kind, array: Any) -> list[Any]:
    if kind in _FORMATS:
        return _numbers(array, _FORMATS[kind])
    if kind is Kind.NAME:
        words = array.dictionary.to_pylist()
        return list(map(words.__getitem__, _numbers(array.indices, "i")))
    return list(array.to_pylist())


def _numbers(array: Any, form: str) -> list[Any]:
    view: Any = memoryview(array.buffers()[1]).cast("B")
    return list(view.cast(form)[array.offset : array.offset + len(array)].tolist())


def _print(found: list[dict[str, Any]]) -> None:
    screen = Screen(sys.stdout, "en", colour=wants_colour(sys.stdout))
    heads = ("table", "compression", "way", "rows/s", "rows/CPU-s", "CPU us/row", "times the driver")
    screen.table(heads, [[str(value) for value in one.values()] for one in found])


if __name__ == "__main__":
    sys.exit(main())
