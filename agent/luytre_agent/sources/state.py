"""What a source must remember beyond its own life (positions in files, the last snapshot): a JSON file per source."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from luytre_common.errors import Unavailable


class StateFile:
    """`DIRECTORY/NAME.json`, replaced as a whole: a crash leaves the old one or the new one, never half of one."""

    def __init__(self, directory: Path, name: str) -> None:
        self.path = directory / f"{name}.json"
        self._written = b""

    def open(self) -> dict[str, Any]:
        """Read what was saved last: empty if nothing was, or if it is not ours. Writes nothing.

        Unavailable if there will be no writing here.
        """
        try:
            folder = next(one for one in self.path.parents if one.exists())
            if not folder.is_dir():
                raise NotADirectoryError(20, "Not a directory")
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(13, "Permission denied")
            saved = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise Unavailable(
                f"{self.path}: {error.strerror}", "give [sources] state_directory a folder that the agent may write to"
            ) from None
        try:
            state = json.loads(saved)
        except ValueError:
            return {}
        return state if isinstance(state, dict) else {}

    def save(self, state: dict[str, Any]) -> bool:
        """Write it down if it differs from what is there. False if the disk refuses; the old one stays."""
        data = json.dumps(state, sort_keys=True).encode()
        if data == self._written:
            return True
        fresh = self.path.with_suffix(".new")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            fresh.replace(self.path)
        except OSError:
            return False
        self._written = data
        return True
