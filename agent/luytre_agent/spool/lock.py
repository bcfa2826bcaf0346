"""One agent per spool: an advisory lock (flock(2)) on a file that names its holder. It ends with the process."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from luytre_common.errors import UserError


class InUseError(UserError):
    """Another process, `holder`, has the spool."""

    def __init__(self, directory: Path, holder: str) -> None:
        self.holder = holder
        super().__init__(
            f"{directory}: another agent (process {holder}) uses this spool; "
            "stop it, or give [spool] directory another folder"
        )


class Lock:
    """Holds `directory/lock` until `release`. InUseError, naming the holder, if another process has it."""

    def __init__(self, directory: Path) -> None:
        path = directory / "lock"
        # For reading only: nothing is in the way of whoever wants to mount the file system read-only.
        self._fd = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._fd, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._fd)
            raise InUseError(directory, holder) from None
        try:
            path.write_text(f"{os.getpid()}\n")
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):  # the name is a courtesy, the lock is not
                os.close(self._fd)
                raise

    def release(self) -> None:
        """Let others have it."""
        os.close(self._fd)
