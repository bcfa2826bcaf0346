"""Reading the host's files without being led astray: bounded, never waiting on a FIFO or a device."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

#: More of a file is not read.
MAX_BYTES = 64 << 20


def content(path: Path, most: int = MAX_BYTES) -> bytes:
    """The first `most` bytes of a regular file. OSError if it is none, or cannot be read."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return file.read(most)


def mark(path: Path) -> object:
    """What changes when the file, or the list of names in a folder, does; None if it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
