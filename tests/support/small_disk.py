"""A folder whose file system can be filled, and emptied again."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

_FILLER = "filler"


def fill(folder: Path, leave: int = 0) -> None:
    """Leave so many bytes free on the file system of `folder`."""
    with (folder / _FILLER).open("ab") as file, contextlib.suppress(OSError):
        if leave:
            file.truncate(0)
            room = os.statvfs(folder)
            os.posix_fallocate(file.fileno(), 0, max(1, room.f_bavail * room.f_frsize - leave))
            return
        size = 1 << 20
        while size:
            try:
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, size)
            except OSError:
                size //= 2


def relieve(folder: Path) -> None:
    """Give the room back."""
    (folder / _FILLER).unlink(missing_ok=True)


class Disk:
    """A tmpfs of its own where we are root (`fillable`), else an ordinary folder."""

    def __init__(self, path: Path, size_mb: int) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.fillable = os.geteuid() == 0 and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=0700", "luytre-test", str(path)],
            capture_output=True, check=False, timeout=20,
        ).returncode  # fmt: skip

    def fill(self, leave: int = 0) -> None:
        """See `fill`."""
        fill(self.path, leave)

    def relieve(self) -> None:
        """See `relieve`."""
        relieve(self.path)

    def unmount(self) -> None:
        """Let go of it, and of what is in it."""
        if self.fillable:
            subprocess.run(["umount", "--lazy", str(self.path)], capture_output=True, check=False, timeout=20)
