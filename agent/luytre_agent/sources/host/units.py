"""systemd units as they lie on the disk, and what enables them: works without a running systemd.

Folders by precedence, links in `*.wants` and `*.requires` enable, a link to /dev/null masks (systemd.unit(5)).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from luytre_agent.sources.host.files import content, mark
from luytre_agent.sources.host.things import Facts, text

#: First come, first served.
FOLDERS = ("etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system")
_OLD_FOLDER = "lib/systemd/system"  # the same as the last, where /lib is a link
_SUFFIXES = (".service", ".socket", ".path", ".mount", ".timer")
_MAX_UNIT = 1 << 20
_MAX_ENTRIES = 20_000
#: Lines that say what it does, and when.
_TELLING = ("ExecStart", "OnCalendar", "OnBootSec", "OnUnitActiveSec", "User", "Unit", "ListenStream")


def read_units(root: Path) -> dict[str, Facts]:
    """All units but timers."""
    return {name: facts for name, facts in _read(root) if not name.endswith(".timer")}


def read_timers(root: Path) -> dict[str, Facts]:
    """All timers."""
    return {name: facts for name, facts in _read(root) if name.endswith(".timer")}


def marks(root: Path) -> object:
    """Changes when a unit file, a link or a drop-in comes, goes or is replaced, or is written in place."""
    wanted = (*_SUFFIXES, ".wants", ".requires", ".d")
    entries = [entry for folder in _folders(root) for entry in _entries(folder) if entry.name.endswith(wanted)]
    return hash(tuple((entry.path, mark(Path(entry.path))) for entry in entries))


def _folders(root: Path) -> list[Path]:
    found = [root / folder for folder in FOLDERS]
    old = root / _OLD_FOLDER
    return found if old.resolve() == found[-1].resolve() else [*found, old]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                (entry for _, entry in zip(range(_MAX_ENTRIES), entries, strict=False)), key=lambda one: one.name
            )
    except OSError:
        return []


def _read(root: Path) -> Iterator[tuple[str, Facts]]:
    folders = _folders(root)
    enabled: dict[str, set[str]] = {}
    additions: dict[str, list[str]] = {}
    files: dict[str, Path] = {}
    for folder in folders:
        for entry in _entries(folder):
            path = Path(entry.path)
            base, dot, kind = entry.name.rpartition(".")
            if entry.name.endswith(_SUFFIXES):
                files.setdefault(entry.name, path)
            elif dot and kind in ("wants", "requires"):
                for link in _entries(path):
                    enabled.setdefault(link.name, set()).add(base)
            elif dot and kind == "d":
                additions.setdefault(base, []).extend(one.path for one in _entries(path) if one.name.endswith(".conf"))
    for name in sorted(files.keys() | {one for one in enabled if one.endswith(_SUFFIXES)}):
        yield name, _unit(root, files.get(name), sorted(enabled.get(name, ())), additions.get(name, []))


def _unit(root: Path, path: Path | None, enabled: list[str], additions: list[str]) -> dict[str, str]:
    facts = {"enabled_by": ",".join(enabled), "additions": str(len(additions) or "")}
    parts = [*([] if path is None else [path]), *map(Path, additions)]
    if path is not None:
        facts["path"] = "/" + str(path.relative_to(root))
        if path.is_symlink():
            facts["link"] = str(path.readlink())
            if facts["link"] == "/dev/null":
                facts["masked"] = "yes"
                return facts
    digest = hashlib.sha256()
    for part in parts:
        try:
            data = content(part, _MAX_UNIT)
        except OSError:
            continue
        digest.update(data)
        facts.update(_telling(data))
    return {**facts, "sha256": digest.hexdigest()}


def _telling(data: bytes) -> Iterator[tuple[str, str]]:
    for line in text(data).split("\n"):
        key, equals, value = line.strip().partition("=")
        if equals and key.strip() in _TELLING and value.strip():
            yield key.strip(), value.strip()
