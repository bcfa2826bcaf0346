"""Refused batches, kept on disk for inspection, within a quota: the oldest make room.

Each batch is two files, `<time>-<n>.body` with the bytes as received and `<time>-<n>.json` that says who sent it and
why it was refused. Nothing reads them back; delete them when you have looked.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luytre_common.settings import at_least, setting
from luytre_common.telemetry import Counters

_log = logging.getLogger("luytre.quarantine")


@dataclass(frozen=True)
class Config:
    """Refused batches, kept for inspection."""

    directory: Path = setting(Path("/var/lib/luytre-collector/quarantine"), "where refused batches are kept")
    max_bytes: int = setting(256 * 1024 * 1024, "quota, bytes; the oldest make room", at_least(0))


class Quarantine:
    """The folder of refused batches. Errors of the disk are counted, never raised: the batch stays refused."""

    def __init__(self, config: Config, counters: Counters, clock: Callable[[], float]) -> None:
        self._config = config
        self._counters = counters
        self._clock = clock
        self._number = 0
        self._lock = threading.Lock()

    def keep(self, body: bytes, facts: dict[str, Any]) -> None:
        """Keep a batch and the facts about it. Safe for several threads."""
        with self._lock:
            self._keep(body, facts)

    def _keep(self, body: bytes, facts: dict[str, Any]) -> None:
        self._number += 1
        stem = f"{int(self._clock() * 1_000_000):017d}-{self._number:06d}"
        try:
            self._config.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            text = json.dumps({**facts, "body_bytes": len(body)}, ensure_ascii=False, indent=1)
            (self._config.directory / f"{stem}.body").write_bytes(body)
            (self._config.directory / f"{stem}.json").write_text(text + "\n", encoding="utf-8")
            self._counters.add("kept")
            self._make_room()
        except OSError as error:
            self._counters.add("not_kept")
            _log.warning("%s: %s; a refused batch could not be kept", self._config.directory, error.strerror)

    def _make_room(self) -> None:
        files = sorted(path for path in self._config.directory.iterdir() if path.suffix in (".body", ".json"))
        sizes = {path: path.stat().st_size for path in files}
        total = sum(sizes.values())
        for path in files:
            if total <= self._config.max_bytes:
                break
            path.unlink(missing_ok=True)
            total -= sizes[path]
            if path.suffix == ".body":
                self._counters.add("removed")
