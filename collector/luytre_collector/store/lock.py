"""One process at a time in the store's folder: flock(2) on a file that names its holder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from luytre_common.errors import UserError

from luytre_collector.store.base import StoreUnavailableError

NAME = "collector.lock"


class FolderInUseError(UserError):
    """Another process holds the folder; `pid` is its number, 0 if it could not be read."""

    def __init__(self, directory: Path, pid: int) -> None:
        self.pid = pid
        who = f"the process with pid {pid}" if pid else "another process"
        super().__init__(
            f"{directory}: in use by {who}; stop it, or give this collector another directory in [store.embedded]"
        )


class FolderLock:
    """Held from `acquire` to `release`; the kernel releases it when the process dies, however it dies."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._fd = -1

    def acquire(self) -> None:
        """FolderInUseError names the holder; UserError if the folder cannot be written."""
        path = self._directory / NAME
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}; the collector's user must own the folder") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = _holder(fd)
            os.close(fd)
            raise FolderInUseError(self._directory, pid) from None
        except OSError as error:
            os.close(fd)
            raise UserError(f"{path}: {error.strerror}; the folder must be on a file system with locks") from None
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            os.close(fd)
            raise StoreUnavailableError(f"{path}: {error.strerror}") from None
        self._fd = fd

    def release(self) -> None:
        """Let the next process in. The file stays: deleting it would let two processes lock two files."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def is_locked(path: Path) -> bool:
    """Whether another process holds a lock on this file."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _holder(fd: int) -> int:
    text = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
    return int(text) if text.isdecimal() else 0
