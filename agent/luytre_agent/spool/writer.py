"""Writing one file of the spool, laid out as `segment.py` says."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from luytre_agent.spool.segment import MARK_SIZE, Record, header, pack


class Writer:
    """Appends to a new segment of class `rank`. OSError if the file cannot be made; nothing is left behind then.

    dirty: a record that was not accepted could not be cut off, and may be found in the file again.
    """

    def __init__(self, path: Path, rank: int, random: Callable[[int], bytes] = os.urandom) -> None:
        self.path = path
        self.mark = random(MARK_SIZE)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self.end = 0
        self.dirty = False
        self._synced = 0
        try:
            self._write(header(self.mark, rank))
        except OSError:
            self.close()
            with suppress(OSError):
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
        if self._synced < self.end:
            os.fdatasync(self._fd)
            self._synced = self.end

    def close(self) -> None:
        """Release the file."""
        with suppress(OSError):  # what a network file system says here, `sync` has asked for
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
        written, self.end = self.end, end
        try:
            os.ftruncate(self._fd, end)
            os.lseek(self._fd, end, os.SEEK_SET)
        except OSError:
            self.dirty = written > end
