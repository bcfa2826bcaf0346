"""Whether a spool could be used, without touching what is in it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from luytre_common.errors import UserError

from luytre_agent.spool.lock import InUseError, Lock
from luytre_agent.spool.model import Config


def examine(config: Config) -> str:
    """What there is, in one line. UserError if the agent could not write there."""
    directory = config.directory
    parent = next(path for path in [directory, *directory.parents] if path.exists())
    try:
        if not os.access(parent, os.W_OK | os.X_OK):
            raise PermissionError(13, os.strerror(13))
        if not directory.exists():
            _writable(parent)
            return f"{directory} will be made, {_free(parent, config.max_bytes)}"
        _writable(directory)
        try:
            Lock(directory).release()
            user = ""
        except InUseError as error:
            user = f"in use by process {error.holder}, "
        used = sum(path.stat().st_size for path in directory.iterdir() if path.is_file())
    except OSError as error:
        raise UserError(f"{directory}: {error.strerror}; the agent must be able to write [spool] directory") from None
    return f"{directory}, {user}{used:,} bytes used, {_free(directory, config.max_bytes - used)}"


def _writable(directory: Path) -> None:
    with tempfile.TemporaryFile(dir=directory) as file:
        file.write(b"x")
        file.flush()
        os.fsync(file.fileno())


def _free(directory: Path, needed: int) -> str:
    free = shutil.disk_usage(directory).free
    return f"{free:,} bytes free" + ("" if free >= needed else f", less than the quota needs ({needed:,})")
