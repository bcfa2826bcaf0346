"""One file being read: where we are in it, and how it is known again under another name, copied or compressed."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from luytre_agent.sources.logs.split import Splitter

#: So many first bytes of a file are its fingerprint; those of a log have the time of its first line in them.
HEAD_BYTES = 256


class Truncated(Exception):  # noqa: N818  (news, not a fault)
    """The file does not begin any more as it did, or ends before what was read."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file, and the fingerprint of the file: the SHA-256 of its first `head_length` bytes."""

    device: int
    inode: int
    offset: int
    head_length: int
    head: str
    changed: int

    @classmethod
    def of(cls, saved: Any) -> Mark | None:
        """From what `asdict` made; None if that is not what this is."""
        try:
            mark = cls(**saved)
        except TypeError:
            return None
        numbers = (mark.device, mark.inode, mark.offset, mark.head_length, mark.changed)
        sound = all(type(one) is int and one >= 0 for one in numbers) and isinstance(mark.head, str)
        return mark if sound and mark.head_length <= HEAD_BYTES else None

    def saved(self) -> dict[str, Any]:
        """For a state file."""
        return asdict(self)

    def fits(self, beginning: bytes) -> bool:
        """Whether a file with this beginning (`HEAD_BYTES` of it, or all) is this one, or a copy."""
        return 0 < self.head_length <= len(beginning) and digest(beginning[: self.head_length]) == self.head


def digest(beginning: bytes) -> str:
    """The fingerprint of a beginning."""
    return hashlib.sha256(beginning).hexdigest()


class Reading:
    """An open file. OSError if `path` cannot be opened or is no regular file (a FIFO is not waited for)."""

    def __init__(self, path: Path, split: Callable[[], Splitter]) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        status = os.fstat(self.descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(self.descriptor)
            raise OSError(22, "is not a regular file")
        self.device, self.inode, self.changed = status.st_dev, status.st_ino, status.st_mtime_ns
        self.splitter = split()
        self.position = 0
        self.head = b""
        self.packed = False

    def beginning(self) -> bytes:
        """The first bytes, as many as a fingerprint may have."""
        return os.pread(self.descriptor, HEAD_BYTES, 0)

    def size(self) -> int:
        """Bytes there are now."""
        return os.fstat(self.descriptor).st_size

    def start(self, offset: int) -> None:
        """Read on from `offset`, which is where an item begins."""
        self.head = self.beginning()
        self.position = offset

    def read(self, most: int) -> list[bytes] | None:
        """The next items, from at most `most` bytes; None at the end. Truncated if this is not the file that it was:
        nothing that was read after the change is given out."""
        data = os.pread(self.descriptor, most, self.position)
        status = os.fstat(self.descriptor)
        touched = bool(data) or status.st_mtime_ns != self.changed
        if status.st_size < max(self.position, len(self.head)) or (
            touched and os.pread(self.descriptor, len(self.head), 0) != self.head
        ):
            raise Truncated
        self.changed = status.st_mtime_ns
        return self._take(data)

    def _take(self, data: bytes) -> list[bytes] | None:
        if not data:
            return None
        if self.position <= len(self.head) < HEAD_BYTES:
            self.head = (self.head[: self.position] + data)[:HEAD_BYTES]
        self.position += len(data)
        return self.splitter.feed(data)

    def mark(self) -> Mark:
        """Where the first item begins that was not given out yet."""
        offset = self.position - self.splitter.pending
        return Mark(self.device, self.inode, offset, len(self.head), digest(self.head), self.changed)

    def close(self) -> None:
        """Give the file back."""
        os.close(self.descriptor)


class Packed(Reading):
    """A file in gzip; offsets and fingerprint are of what is in it. OSError for damage, wherever it shows."""

    def __init__(self, path: Path, split: Callable[[], Splitter]) -> None:
        super().__init__(path, split)
        self.packed = True
        self._file = gzip.open(os.fdopen(self.descriptor, "rb", closefd=False))  # noqa: SIM115  (see close)

    def beginning(self) -> bytes:
        """See `Reading.beginning`."""
        self._seek(0)
        return self._bytes(HEAD_BYTES)

    def start(self, offset: int) -> None:
        """See `Reading.start`."""
        super().start(offset)
        self._seek(offset)

    def read(self, most: int) -> list[bytes] | None:
        """See `Reading.read`."""
        return self._take(self._bytes(most))

    def close(self) -> None:
        """See `Reading.close`."""
        self._file.close()
        super().close()

    def _bytes(self, most: int) -> bytes:
        try:
            return self._file.read(most)
        except (EOFError, zlib.error) as error:
            raise OSError(74, f"damaged: {error}") from None

    def _seek(self, offset: int) -> None:
        try:
            self._file.seek(offset)
        except (EOFError, zlib.error) as error:
            raise OSError(74, f"damaged: {error}") from None


def opened(path: Path, split: Callable[[], Splitter]) -> Reading:
    """The file, by its name packed or not. OSError if it cannot be read."""
    return Packed(path, split) if path.suffix == ".gz" else Reading(path, split)
