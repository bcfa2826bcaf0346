"""A source of file changes on one folder."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from luytre_agent import _core
from luytre_agent.sources.files import Config, Files
from luytre_agent.sources.watch.own import Own

Row = dict[str, Any]
DEADLINE_S = 15.0


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Watch:
    """An open source on one folder, and the rows that came of it."""

    def __init__(
        self,
        folder: Path,
        rung: str = "auto",
        told: _core.Owners | None = None,
        own: Own | None = None,
        **settings: Any,
    ) -> None:
        given: dict[str, Any] = {"paths": [str(folder)], "fold_seconds": 0.05, "defaults": False, **settings}
        self.source = Files(Config(rung=rung, homes=False, batch_seconds=0.05, **given), told, own=own)  # type: ignore[arg-type]
        self.rows: list[Row] = []
        self.source.open()

    def take(self, batches: Any) -> None:
        for batch in batches:
            self.rows += map(json.loads, _core.to_json_lines(batch).splitlines())

    def until(self, enough: Callable[[list[Row]], object]) -> list[Row]:
        """Poll until there are enough rows; fails after a while."""
        deadline = time.monotonic() + DEADLINE_S
        while not enough(self.rows):
            assert time.monotonic() < deadline, f"not seen: {self.rows} {self.counters()}"
            self.take(self.source.poll(0.1))
        return self.rows

    def one(self, action: str, path: Path | str) -> Row:
        """The only row of an action on a path."""

        def found(rows: list[Row]) -> list[Row]:
            return [row for row in rows if (row["event_action"], row["file_path"]) == (action, str(path))]

        (row,) = found(self.until(found))
        return row

    def close(self) -> list[Row]:
        self.take(self.source.close())
        return self.rows

    def counters(self) -> dict[tuple[str, str], int]:
        return {(sample.name, sample.label): sample.value for sample in self.source.samples()}

    def count(self, name: str) -> int:
        return sum(value for (one, _), value in self.counters().items() if one == name)
