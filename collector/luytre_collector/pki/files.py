"""Files of the authority: written whole, synced, with their mode from the first byte, under one lock per folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from luytre_common.durable import sync_directory
from luytre_common.errors import UserError


def make_folder(directory: Path) -> None:
    """UserError if it is not there and cannot be made."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{directory}: {error.strerror}; give a folder that this user may write") from None


def refuse_existing(*paths: Path) -> None:
    """UserError if there is one of them."""
    for path in paths:
        if path.exists() or path.is_symlink():
            raise UserError(f"{path}: exists, and keys are not overwritten; move it away or choose another name")


def create(path: Path, data: bytes, mode: int) -> None:
    """A file that was not there. UserError if it cannot be made."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; give a folder that this user may write") from None
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(fd)
        belong(fd, path.parent)


def replace(path: Path, data: bytes, mode: int) -> None:
    """The file with these contents, whole or as before. OSError."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    create(fresh, data, mode)
    fresh.replace(path)
    sync_directory(path.parent)


def belong(fd: int, directory: Path) -> None:
    """What root makes belongs to whom the folder belongs to: a collector that runs as another user must go on reading
    and writing there. By descriptor: that user could put a link in the place of the name."""
    if os.geteuid() == 0 and (folder := directory.stat()).st_uid != 0:
        os.fchown(fd, folder.st_uid, folder.st_gid)


@contextmanager
def locked(lock: Path) -> Iterator[None]:
    """Alone among all processes that lock this file. UserError if it cannot be had."""
    try:
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise UserError(f"{lock}: {error.strerror}; give a folder that is there and that this user may write") from None
    try:
        belong(fd, lock.parent)
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
