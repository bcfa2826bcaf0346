"""Rows that Python puts together, as batches: sealed when there are enough of them or the first is old enough.

For sources of few events (logs, files, inventory); packets and processes never become Python objects.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from luytre_common.telemetry import Counters

from luytre_agent import _core
from luytre_agent.sources.base import SealedBatch


class Rows:
    """The rows of one table that are not sealed yet. Counts into `counters`: `rows`, and `rows_refused` by table."""

    def __init__(
        self,
        table: str,
        counters: Counters,
        batch_rows: int = 5_000,
        batch_seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table = table
        self._counters = counters
        self._batch_rows = batch_rows
        self._configured_seconds = self._batch_seconds = batch_seconds
        self._clock = clock
        self._builder = _core.TableBuilder(table)
        self._sealed: list[SealedBatch] = []
        self._began = 0.0

    def add(self, row: Mapping[str, Any]) -> bool:
        """Add a row; columns that are not given are the type's zero. A row with a value out of range is counted, and
        not added: False."""
        try:
            self._builder.append(row)
        except ValueError:
            self._counters.add("rows_refused", label=self._table)
            return False
        self._counters.add("rows", label=self._table)
        if self._builder.rows == 1:
            self._began = self._clock()
        if self._builder.rows >= self._batch_rows:
            self._seal()
        return True

    def ease(self, batch_seconds: float) -> None:
        """From now on a batch may be so old, or as old as configured if that is more."""
        self._batch_seconds = max(self._configured_seconds, batch_seconds)

    @property
    def waiting(self) -> int:
        """Rows that no batch has taken along yet."""
        return self._builder.rows + sum(batch.rows for batch in self._sealed)

    def wait_s(self, most: float) -> float:
        """Seconds until a batch is due, at most `most`: how long the caller may sleep."""
        if self._sealed:
            return 0.0
        if not self._builder.rows:
            return most
        return max(0.0, min(most, self._began + self._batch_seconds - self._clock()))

    def take(self) -> list[SealedBatch]:
        """The batches that became full or due."""
        if self._builder.rows and self._clock() - self._began >= self._batch_seconds:
            self._seal()
        batches, self._sealed = self._sealed, []
        return batches

    def flush(self) -> list[SealedBatch]:
        """Everything, also what is not due yet."""
        self._seal()
        batches, self._sealed = self._sealed, []
        return batches

    def _seal(self) -> None:
        batch = self._builder.seal()
        if batch is not None:
            self._sealed.append(batch)


def redacted(text: str) -> str:
    """The text without the secrets in it: the one place where sources in Python have them taken out."""
    return _core.redact(text)
