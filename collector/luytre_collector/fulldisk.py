"""What the embedded engine may have done while its disk was full to the last byte, and how it is undone.

A merge that meets a full disk can leave a part of which files are empty, and the engine takes it for good. The parts
that it was made of lie beside it for `old_parts_lifetime` (480 s), and are removed when the engine ends in order. An
engine that is opened after an end without order finds the damaged part, sets it aside and takes those before it. So,
once the engine has met a full disk, the collector ends without closing it: as soon as there is room, after `_WAIT_S` at
the latest, and also if it is told to end before that. The service manager starts it anew. What was acknowledged is on
the disk; what was not comes again. An insert that was written in the moment in which the last byte went may be damaged
itself, and has nothing before it: those rows are lost, and the ledger misses them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from luytre_common.telemetry import Counters

from luytre_collector.store.base import Reading

_log = logging.getLogger("luytre.disk")

#: Seconds from the full disk to the end: well within the time for which the engine keeps what it has merged.
_WAIT_S = 240.0
#: Free bytes with which an engine can be opened.
_ROOM = 64 << 20

#: An insert that finds no room says the first, whoever reads a damaged part the second.
_MET = "SELECT toUInt64(sum(value)) AS met FROM system.errors WHERE name IN ('NOT_ENOUGH_SPACE', 'CORRUPTED_DATA')"
_FREE = "SELECT min(free_space) AS free FROM system.disks WHERE NOT is_remote AND NOT is_read_only"


class FullDisk:
    """Driven by one thread. `met`: the engine must not be closed in order any more. `end` asks the process to end."""

    def __init__(
        self, store: Reading, clock: Callable[[], float], end: Callable[[], object], counters: Counters
    ) -> None:
        self.met = False
        self._store = store
        self._clock = clock
        self._end = end
        self._counters = counters
        self._before: int | None = None
        self._since = 0.0

    def run(self) -> None:
        """Look whether the engine has met a full disk since the first look, and whether it is time to end."""
        count = self._value(_MET)
        if self._before is None:
            self._before = count
        if not self.met and count > self._before:
            self.met, self._since = True, self._clock()
            self._counters.add("disk_met_full")
            _log.error(
                "the disk of the store was full to the last byte; the collector ends as soon as there is room and must"
                " be started anew, so that parts which were merged meanwhile are looked at: make room"
            )
        if self.met and (self._value(_FREE) >= _ROOM or not 0 <= self._clock() - self._since < _WAIT_S):
            self._end()

    def _value(self, statement: str) -> int:
        (row,) = self._store.query(statement).to_pylist()
        (value,) = row.values()
        return int(value)
