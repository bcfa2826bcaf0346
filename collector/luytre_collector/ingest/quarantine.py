"""Refused batches, kept on disk for inspection, within a quota: the oldest make room.

Each batch is two files, `<time>-<n>.body` with the bytes as received and `<time>-<n>.json` that says who sent it and
why it was refused. Nothing reads them back; delete them when you have looked. What is
there is listed once, and a file counts as the blocks it takes: a flood of refused batches costs two small writes each.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luytre_common.settings import at_least, setting
from luytre_common.telemetry import Counters

#: The least that a file takes on common file systems, bytes.
_BLOCK = 4096

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
        self._there: deque[tuple[Path, int]] | None = None  # the oldest first, with their sizes
        self._total = 0
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
            there = self._list()
            for suffix, data in ((".body", body), (".json", text.encode("utf-8") + b"\n")):
                path = self._config.directory / f"{stem}{suffix}"
                there.append((path, _blocks(len(data))))
                self._total += _blocks(len(data))
                path.write_bytes(data)
            self._counters.add("kept")
        except OSError as error:
            self._counters.add("not_kept")
            _log.warning("%s: %s; a refused batch could not be kept", self._config.directory, error.strerror)
        self._make_room()

    def _list(self) -> deque[tuple[Path, int]]:
        if self._there is None:
            found = sorted(path for path in self._config.directory.iterdir() if path.suffix in (".body", ".json"))
            self._there = deque((path, _blocks(path.stat().st_size)) for path in found)
            self._total = sum(size for _, size in self._there)
        return self._there

    def _make_room(self) -> None:
        while self._there and self._total > self._config.max_bytes:
            path, size = self._there.popleft()
            self._total -= size
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                self._counters.add("not_removed")
                _log.warning("%s: %s; remove it yourself", path, error.strerror)
            else:
                if path.suffix == ".body":
                    self._counters.add("removed")


def _blocks(size: int) -> int:
    """What a file of so many bytes takes on the disk."""
    return max(1, -(-size // _BLOCK)) * _BLOCK
