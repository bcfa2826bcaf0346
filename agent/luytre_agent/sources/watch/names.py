"""Names of users and groups, and the homes of users, from the files passwd(5) and group(5) only: a question to LDAP
could block, and would tell the network what we watch."""

from __future__ import annotations

import os
from pathlib import Path


class Names:
    """The lines of passwd(5) or group(5), read again when the file changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._names: dict[int, str] = {}
        self._homes: tuple[str, ...] = ()

    def name(self, number: int) -> str:
        """The first name of an id; empty if it has none."""
        self._refresh()
        return self._names.get(number, "")

    def homes(self) -> tuple[str, ...]:
        """Home directories, each once, in the order of the file."""
        self._refresh()
        return self._homes

    def _refresh(self) -> None:
        try:
            now = os.stat(self._path)  # noqa: PTH116 # asked for every row
            seen = (now.st_ino, now.st_mtime_ns, now.st_ctime_ns)
            if seen == self._seen:
                return
            lines = os.fsdecode(self._path.read_bytes()).split("\n")
        except OSError:
            return
        self._seen = seen
        self._names = {}
        homes: dict[str, None] = {}
        for fields in (line.split(":") for line in lines if not line.startswith("#")):
            if len(fields) < 4 or not fields[0] or not fields[2].isascii() or not fields[2].isdigit():
                continue
            self._names.setdefault(int(fields[2]), fields[0])
            if len(fields) >= 7 and fields[5].startswith("/"):
                homes[fields[5]] = None
        self._homes = tuple(homes)
