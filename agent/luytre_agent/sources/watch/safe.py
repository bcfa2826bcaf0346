"""Looking at files that others may exchange at any time: no symbolic link is followed, nothing blocks.

Paths are walked from / component by component with O_NOFOLLOW, so that a directory that became a symbolic link is not
found rather than left. Only regular files are opened for reading: to open a FIFO would wake its writer, a device may
act.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

_STEP = 1 << 18
_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_O_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """A file at one moment. `sha256` is empty if it was not read, or is larger than the limit (`too_large`)."""

    kind: str
    device: int
    inode: int
    size: int
    mode: int
    uid: int
    gid: int
    modified: int
    changed: int
    sha256: bytes = b""
    too_large: bool = False

    def same_content(self, other: Facts) -> bool:
        """Whether nobody wrote in between, as far as the filesystem tells."""
        mine = (self.device, self.inode, self.size, self.modified, self.changed, self.kind)
        return mine == (other.device, other.inode, other.size, other.modified, other.changed, other.kind)


def open_folder(path: str) -> int:
    """A descriptor of a directory to be read. OSError if any component is missing, or no directory."""
    fd = _walk(path)
    try:
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
    finally:
        os.close(fd)


def _walk(path: str) -> int:
    fd = os.open("/", _O_PATH | os.O_DIRECTORY)
    for part in filter(None, path.split("/")):
        try:
            following = os.open(part, _O_PATH | os.O_DIRECTORY, dir_fd=fd)
        finally:
            os.close(fd)
        fd = following
    return fd


def look(path: str, limit: int, known: Facts | None = None, between: Callable[[], None] = lambda: None) -> Facts | None:
    """The file now; None if it is not there. Files up to `limit` bytes are hashed; `between` is called after each part
    of a large one. What did not change since `known` is not read again. OSError if it is we
    who are short of something: then nothing is known of the file."""
    folder, _, name = path.rpartition("/")
    if name in ("", ".", ".."):
        return None
    try:
        fd = _walk(folder)
        try:
            file = os.open(name, _O_PATH, dir_fd=fd)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno in _OURS:
            raise
        return None
    try:
        facts = _facts(os.fstat(file), b"", False)
        if facts.kind != "file":
            return facts
        if known and facts.same_content(known):
            return _facts(os.fstat(file), known.sha256, known.too_large)
        if facts.size > limit:
            return _facts(os.fstat(file), b"", True)
        digest, too_large = _hash(file, limit, between)
        return _facts(os.fstat(file), digest, too_large)
    finally:
        os.close(file)


def _facts(seen: os.stat_result, sha256: bytes, too_large: bool) -> Facts:
    kind = _TYPES.get(stat.S_IFMT(seen.st_mode), "device")
    mode = stat.S_IMODE(seen.st_mode)
    return Facts(
        kind, seen.st_dev, seen.st_ino, seen.st_size, mode, seen.st_uid, seen.st_gid,
        seen.st_mtime_ns, seen.st_ctime_ns, sha256, too_large,
    )  # fmt: skip


def _hash(file: int, limit: int, between: Callable[[], None]) -> tuple[bytes, bool]:
    """Of the very file that was looked at, through its descriptor: its name may be another's by now."""
    try:
        fd = os.open(f"/proc/self/fd/{file}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b"", False
    digest = hashlib.sha256()
    read = 0
    try:
        while data := os.read(fd, _STEP):
            digest.update(data)
            read += len(data)
            if read > limit:  # it grew while it was read
                return b"", True
            if len(data) == _STEP:
                between()
    except OSError:
        return b"", False
    finally:
        os.close(fd)
    return digest.digest(), False
