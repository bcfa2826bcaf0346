"""Writing one file of the spool, laid out as `segment.py` says."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from luytre_agent.spool.segment import MARK_SIZE, Record, header, pack


class Writer:
    """Appends to a new segment. OSError if the file cannot be made; nothing is left behind then."""

    def __init__(self, path: Path, random: Callable[[int], bytes] = os.urandom) -> None:
        self.path = path
        self.mark = random(MARK_SIZE)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self.end = 0
        try:
            self._write(header(self.mark))
        except OSError:
            os.close(self._fd)
            path.unlink(missing_ok=True)
            raise

    def append(self, record: Record, sync: bool) -> int:
        """Add the record, on the disk before the return if `sync`; returns its offset.

        OSError (disk full, limit reached): nothing was added, and the segment can still be read; make a new one.
        """
        offset = self.end
        self._write(pack(self.mark, record))
        if sync:
            try:
                self.sync()
            except OSError:
                self._cut(offset)
                raise
        return offset

    def sync(self) -> None:
        """Wait until everything appended is on the disk."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Release the file."""
        os.close(self._fd)

    def _write(self, data: bytes) -> None:
        view, before = memoryview(data), self.end
        try:
            while view:
                written = os.write(self._fd, view)
                view = view[written:]
                self.end += written
        except OSError:
            self._cut(before)
            raise

    def _cut(self, end: int) -> None:
        self.end = end
        os.ftruncate(self._fd, end)
        os.lseek(self._fd, end, os.SEEK_SET)
