"""Parts of all tables, held still while they are copied.

`ALTER TABLE ... FREEZE` links the parts of one table at one moment. Rows go on arriving between two tables, so the
order matters: what is derived comes before its sources, which then hold all that the sums hold, and alerts come after
the rows that they are about, because they are inserted before them.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luytre_common.errors import UserError

from luytre_collector.store import ddl, derived
from luytre_collector.store.base import Statements, StoreError
from luytre_collector.store.sql import DATABASE

#: How names of ours begin in the engine's folder of frozen parts; it would escape a hyphen.
_PREFIX = "luytre_backup_"
_SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class Frozen:
    """What was frozen: the statement that creates each table, and its folder of parts below the store's folder."""

    name: str
    schema_version: int
    tables: Mapping[str, tuple[str, str]]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"name": self.name, "schema_version": self.schema_version, "tables": dict(self.tables)}

    @staticmethod
    def from_json(given: Mapping[str, Any]) -> Frozen:
        """From plain values."""
        tables = {str(name): (str(create), str(folder)) for name, (create, folder) in given["tables"].items()}
        return Frozen(str(given["name"]), int(given["schema_version"]), tables)


def freeze(store: Statements, directory: Path) -> Frozen:
    """Freeze every table. `directory` is the store's. UserError if there is none."""
    name = _PREFIX + uuid.uuid4().hex
    found = store.query(
        "SELECT name, data_paths[1] AS path, parts FROM system.tables WHERE database = {database:String}"
        " AND engine LIKE '%MergeTree'",
        {"database": DATABASE},
    ).to_pylist()
    known = {row["name"]: row for row in found}
    if "schema_version" not in known:
        raise UserError(f"{directory}: no tables there yet; run: luytre-collector migrate")
    tables = {}
    try:
        for table in in_order(known):
            quoted = f"{DATABASE}.{ddl.name(table)}"
            create = store.query(f"SHOW CREATE TABLE {quoted}").column(0)[0].as_py()
            store.command(f"ALTER TABLE {quoted} FREEZE WITH NAME {ddl.text(name)}")
            inside = Path(_SHADOW, name, *Path(known[table]["path"]).parts[-3:])  # .../store/abc/abcdef...
            if known[table]["parts"] and not (directory / inside).is_dir():
                raise StoreError(f"{directory / inside}: the engine did not put the parts of {table} there")
            tables[table] = (str(create), str(inside))
        version = store.query(f"SELECT max(version) AS version FROM {DATABASE}.schema_version").column(0)[0].as_py()
    except BaseException:
        thaw(directory, name)
        raise
    return Frozen(name, int(version), tables)


def in_order(tables: Iterable[str]) -> list[str]:
    """The order in which tables are frozen. Pure."""
    sums = {way.table for way in derived.DERIVED}
    places = {derived.WINDOWS: 0, **dict.fromkeys(sums, 1), "alerts": 3}
    return sorted(tables, key=lambda name: (places.get(name, 2), name))


def thaw(directory: Path, name: str) -> None:
    """Let go of what was frozen under this name; nothing if it is gone already."""
    shutil.rmtree(directory / _SHADOW / name, ignore_errors=True)


def sweep(directory: Path) -> None:
    """Let go of what backups left that were killed."""
    for path in (directory / _SHADOW).glob(_PREFIX + "*"):
        thaw(directory, path.name)
