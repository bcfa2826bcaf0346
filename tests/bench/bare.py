"""The floor of delivery: rows that are Arrow tables already, into a fresh store. Two steps, each a process, because the
engine opens one folder in its life.

    python -m tests.bench.bare take STORE ARROWS TABLE...   the rows of a store to files, one per table
    python -m tests.bench.bare put ARROWS STORE ROWS        the files into a fresh store, ROWS at a time; the cost

STORE is a folder; to `put` also HOST:PORT of a server that asks for no password.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from luytre_collector.store import embedded, readonly, server
from luytre_collector.store.base import Store
from luytre_collector.store.embedded import EmbeddedStore
from luytre_collector.store.server import ServerStore
from luytre_common.schema import TABLES


def opened(directory: Path) -> EmbeddedStore:
    """The store in `directory`, its tables made."""
    store = EmbeddedStore(embedded.Config(directory), readonly.Config())
    store.open()
    store.migrate()
    return store


def take(source: Path, folder: Path, names: Sequence[str]) -> None:
    """Write the stored columns of each table to `folder`."""
    store = opened(source)
    for name in names:
        columns = ", ".join(column.name for column in TABLES[name].stored_columns)
        rows = store.query(f"SELECT {columns} FROM {name}")
        with pa.OSFile(str(folder / f"{name}.arrow"), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
            writer.write_table(rows.unify_dictionaries().combine_chunks())
    store.close()


def served(host: str) -> ServerStore:
    """The store on a server, its tables made."""
    store = ServerStore(server.Config(hosts=[host]), readonly.Config())
    store.open()
    store.migrate()
    return store


def put(folder: Path, target: str, rows_at_once: int) -> dict[str, float]:
    """Insert them; what that took."""
    tables = {file.stem: pa.ipc.open_file(str(file)).read_all() for file in sorted(folder.glob("*.arrow"))}
    store: Store = served(target) if ":" in target else opened(Path(target))
    begin, cpu = time.perf_counter(), time.process_time()
    inserts = 0
    for name, rows in tables.items():
        for offset in range(0, rows.num_rows, rows_at_once):
            store.insert(name, rows.slice(offset, rows_at_once), f"bench-{name}-{offset}")
            inserts += 1
    wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
    store.close()
    return {"rows": sum(table.num_rows for table in tables.values()), "inserts": inserts, "wall": wall, "cpu": cpu}


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["take", source, folder, *names]:
            take(Path(source), Path(folder), names)
        case ["put", folder, target, rows]:
            print(json.dumps(put(Path(folder), target, int(rows))))
        case _:
            sys.exit(__doc__)
