"""What is in a backup: every file of every part, with its size and SHA-256."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from luytre_common.durable import sync_directory
from luytre_common.errors import UserError

NAME = "manifest.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class File:
    """Size in bytes, SHA-256 in hexadecimal."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a table: its rows, and its files by path below it."""

    rows: int
    files: Mapping[str, File]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files.values())


@dataclass(frozen=True, slots=True)
class TableCopy:
    """The statement that creates a table, and its parts by name."""

    create: str
    parts: Mapping[str, Part]

    @property
    def rows(self) -> int:
        """Rows of all parts."""
        return sum(part.rows for part in self.parts.values())

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(part.size for part in self.parts.values())


@dataclass(frozen=True, slots=True)
class Manifest:
    """A whole backup. `made_at` is the collector's clock, ISO 8601 in UTC."""

    collector: str
    schema_version: int
    made_at: str
    tables: Mapping[str, TableCopy]

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for table in self.tables.values())

    @property
    def size(self) -> int:
        """Bytes of all tables."""
        return sum(table.size for table in self.tables.values())


def part_folder(folder: Path, table: str, part: str) -> Path:
    """Where a backup keeps a part."""
    return folder / "tables" / table / part


def hash_of(path: Path) -> File:
    """Size and hash of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return File(file.tell(), digest.hexdigest())


def write(folder: Path, manifest: Manifest) -> None:
    """Write it, on disk when this returns; what is there is whole or absent."""
    fresh = folder / (NAME + ".new")
    with fresh.open("w", encoding="utf-8") as file:
        json.dump({"format": FORMAT, **asdict(manifest)}, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder / NAME)
    sync_directory(folder)


def read(folder: Path) -> Manifest:
    """UserError names what is wrong with it."""
    path = folder / NAME
    try:
        given = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: not there; {folder} is not a backup, or one that was not finished") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise UserError(f"{path}: not JSON; the backup is damaged: restore another one") from None
    if isinstance(given, dict) and given.get("format", FORMAT) != FORMAT:
        raise UserError(f"{path}: format {given['format']}, this collector reads {FORMAT}; upgrade the collector")
    try:
        tables = {_name(name): _table(table) for name, table in given["tables"].items()}
        return Manifest(str(given["collector"]), int(given["schema_version"]), str(given["made_at"]), tables)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UserError(f"{path}: not a manifest of a backup; it is damaged: restore another one") from None


def _table(given: Any) -> TableCopy:
    return TableCopy(str(given["create"]), {_name(name): _part(part) for name, part in given["parts"].items()})


def _part(given: Any) -> Part:
    files = {_path(path): File(int(file["size"]), str(file["sha256"])) for path, file in given["files"].items()}
    return Part(int(given["rows"]), files)


def _name(name: str) -> str:
    if not name.replace("_", "").replace("-", "").isalnum():
        raise ValueError(name)
    return name


def _path(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(name)
    return name


def verify(folder: Path, manifest: Manifest) -> None:
    """Compare every file with the manifest. UserError names the first that differs."""
    for table, copy in manifest.tables.items():
        for name, part in copy.parts.items():
            for inside, expected in part.files.items():
                path = part_folder(folder, table, name) / inside
                try:
                    found = hash_of(path)
                except OSError as error:
                    raise UserError(f"{path}: {error.strerror}; the backup is damaged: restore another one") from None
                if found != expected:
                    what = f"{found.size} bytes, not {expected.size}" if found.size != expected.size else "changed"
                    raise UserError(f"{path}: {what}; the backup is damaged: restore another one")
