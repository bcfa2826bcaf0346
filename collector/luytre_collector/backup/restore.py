"""From a backup to a store in an empty folder."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

from luytre_common.durable import sync_directory
from luytre_common.errors import UserError

from luytre_collector.backup import make, manifest
from luytre_collector.backup.frozen import in_order
from luytre_collector.backup.manifest import Manifest, TableCopy
from luytre_collector.store import ddl, derived
from luytre_collector.store.base import Statements, Store, StoreError
from luytre_collector.store.choose import Config, make_store
from luytre_collector.store.migrate import SCHEMA_VERSION
from luytre_collector.store.sql import DATABASE


def restore(config: Config, source: Path, say: Callable[[str], None]) -> Manifest:
    """Check the backup, then make the store of it and bring it to today's schema; `say` hears of every table.

    UserError: no backup, a damaged one (naming the file), one of a newer collector, or a store that is not empty. The
    store's folder is then as it was.
    """
    if config.engine != "embedded":
        raise UserError(make.SERVER)
    directory = config.embedded.directory
    _make_sure_it_is_empty(directory)
    made = manifest.read(source)
    if made.schema_version > SCHEMA_VERSION:
        raise UserError(
            f"{source}: has schema version {made.schema_version}, this collector knows up to {SCHEMA_VERSION};"
            " upgrade the collector"
        )
    _check_statements(source, made)
    manifest.verify(source, made)
    store = make_store(config)
    store.open()
    try:
        with contextlib.closing(store):
            for name in in_order(made.tables):
                _fill(store, source, name, made.tables[name])
                say(f"{name}: {made.tables[name].rows:,} rows")
            rewind(store)
            store.migrate()
    except BaseException:
        _empty(directory)
        raise
    return made


def _make_sure_it_is_empty(directory: Path) -> None:
    try:
        there = next(directory.iterdir(), None)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"{directory}: {error.strerror}; the collector's user must own the folder") from None
    if there is not None:
        raise UserError(
            f"{directory}: is not empty; move it away, or name another folder in store.embedded.directory:"
            " a backup is restored into an empty one"
        )


def _empty(directory: Path) -> None:
    for path in directory.iterdir() if directory.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _check_statements(source: Path, made: Manifest) -> None:
    for name, table in made.tables.items():
        if not table.create.startswith(f"CREATE TABLE {DATABASE}.{name}\n(") or "MergeTree" not in table.create:
            raise UserError(f"{source / manifest.NAME}: the statement of {name} creates something else; it is damaged")


def _fill(store: Store, source: Path, name: str, table: TableCopy) -> None:
    quoted = f"{DATABASE}.{ddl.name(name)}"
    store.command(table.create)
    store.command(f"SYSTEM STOP MERGES {quoted}")  # a merge may drop rows that were replaced, and they are counted
    try:
        found = store.query(
            "SELECT data_paths[1] AS path FROM system.tables"
            " WHERE database = {database:String} AND name = {name:String}",
            {"database": DATABASE, "name": name},
        )
        detached = Path(found.column("path")[0].as_py()) / "detached"
        for part in table.parts:
            _copy(manifest.part_folder(source, name, part), detached / part, table.parts[part])
            store.command(f"ALTER TABLE {quoted} ATTACH PART {ddl.text(part)}")
        rows = store.query(f"SELECT count() AS rows FROM {quoted}").column("rows")[0].as_py()
        if rows != table.rows:
            raise StoreError(f"{name}: {rows} rows after restoring, {table.rows} in the backup")
    finally:
        store.command(f"SYSTEM START MERGES {quoted}")


def _copy(source: Path, target: Path, part: manifest.Part) -> None:
    """Never a link: the store must not share what it may one day write with its backup."""
    for inside in part.files:
        path = target / inside
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / inside, path)
        make.durable(path)
    for folder in {(target / inside).parent for inside in part.files}:
        sync_directory(folder)


def rewind(store: Statements) -> None:
    """Take back the last day of the sums: it was frozen while it grew. The collector adds it again from its rows."""
    for way in derived.DERIVED:
        found = store.query(
            f"SELECT toString(toDate(max(window_from))) AS day FROM {DATABASE}.{derived.WINDOWS}"
            " WHERE name = {name:String}",
            {"name": way.name},
        )
        day = found.column("day")[0].as_py()
        store.command(
            f"ALTER TABLE {DATABASE}.{derived.WINDOWS} DELETE WHERE name = {ddl.text(way.name)}"
            f" AND window_from >= toDateTime64('{day} 00:00:00', 6, 'UTC') SETTINGS mutations_sync = 1"
        )
        if way.sums:
            _drop_from(store, way.table, day)


def _drop_from(store: Statements, table: str, day: str) -> None:
    found = store.query(
        "SELECT DISTINCT partition FROM system.parts WHERE database = {database:String} AND table = {table:String}"
        " AND active AND partition >= {day:String}",
        {"database": DATABASE, "table": table, "day": day},
    )
    for partition in found.column("partition").to_pylist():
        store.command(f"ALTER TABLE {DATABASE}.{table} DROP PARTITION {ddl.text(str(partition))}")
