"""A backup: frozen parts, linked where the target is on the same file system, copied where it is not."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from luytre_common.durable import sync_directory
from luytre_common.errors import LuytreError, UserError

from luytre_collector import __version__, query
from luytre_collector.backup import frozen, manifest
from luytre_collector.backup.frozen import Frozen
from luytre_collector.backup.manifest import Manifest, Part, TableCopy
from luytre_collector.store.choose import Config, expect_made, make_store
from luytre_collector.store.lock import FolderInUseError

#: What is told to those whose tables are on a server.
SERVER = (
    'the tables are on a ClickHouse server, which has its own statements: BACKUP DATABASE luytre TO Disk("backups",'
    ' "luytre.zip") and RESTORE DATABASE luytre FROM Disk("backups", "luytre.zip")'
)

#: Why a file cannot be linked, though it can be copied.
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP}


def backup(config: Config, target: Path, say: Callable[[str], None], now: float) -> Manifest:
    """Make a backup in the empty or absent folder `target`; `say` hears of every table that is done.

    UserError for what the person can mend, OSError if the target has no room; the folder is then empty again.
    """
    if config.engine != "embedded":
        raise UserError(SERVER)
    expect_made(config)
    _prepare(target)
    try:
        with _held_still(config) as held:
            tables = {}
            for name, (create, inside) in held.tables.items():
                parts = _parts(config.embedded.directory / inside, target, name)
                tables[name] = TableCopy(create, parts)
                say(f"{name}: {tables[name].rows:,} rows in {len(parts)} parts, {tables[name].size:,} bytes")
            made_at = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
            made = Manifest(__version__, held.schema_version, made_at, tables)
            manifest.write(target, made)
    except BaseException:
        for path in target.iterdir():  # all of it is ours: the folder was empty
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise
    return made


def _prepare(target: Path) -> None:
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        there = next(target.iterdir(), None)
    except OSError as error:
        raise UserError(f"{target}: {error.strerror}; give a folder that this user may write") from None
    if there is not None:
        raise UserError(f"{target}: holds {there.name} already; give an empty folder, or one that is not there yet")


@contextlib.contextmanager
def _held_still(config: Config) -> Iterator[Frozen]:
    """The frozen parts: by the collector that runs, or by ourselves."""
    directory = config.embedded.directory
    with contextlib.ExitStack() as closing:
        store = make_store(config)
        try:
            store.open()
        except FolderInUseError as error:
            facts = closing.enter_context(query.frozen_by_collector(directory, error.pid))
            held = Frozen.from_json(json.loads(facts))
        else:
            closing.callback(store.close)
            held = frozen.freeze(store, directory)
        closing.callback(frozen.thaw, directory, held.name)
        yield held


def _parts(source: Path, target: Path, table: str) -> dict[str, Part]:
    if not source.is_dir():  # a table without rows has nothing to freeze
        return {}
    parts = {}
    for part in sorted(path for path in source.iterdir() if path.is_dir()):
        folder = manifest.part_folder(target, table, part.name)
        try:
            parts[part.name] = _part(part, folder)
        except FileNotFoundError as error:
            if part.is_dir():
                raise
            raise LuytreError(f"{error.filename}: gone; the collector was started again meanwhile: try again") from None
    return parts


def _part(source: Path, target: Path) -> Part:
    files = {}
    rows = int((source / "count.txt").read_text("ascii"))
    for folder, _, names in os.walk(source):
        inside = Path(folder).relative_to(source)
        (target / inside).mkdir(parents=True)
        for name in sorted(names):
            path = target / inside / name
            take(Path(folder) / name, path)
            files[str(inside / name)] = manifest.hash_of(path)
        sync_directory(target / inside)
    sync_directory(target.parent)
    return Part(rows, files)


def take(source: Path, target: Path) -> None:
    """Link the file or copy it, on disk when this returns."""
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        shutil.copyfile(source, target)
    durable(target)


def durable(path: Path) -> None:
    """What is in this file survives a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
