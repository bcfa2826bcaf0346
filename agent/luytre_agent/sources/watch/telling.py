"""Finished changes to rows of table files, in their order: a row waits a moment for what process events tell."""

from __future__ import annotations

import stat
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from luytre_common.telemetry import Counters

from luytre_agent.sources.rows import Rows, redacted
from luytre_agent.sources.watch.changes import Change
from luytre_agent.sources.watch.names import Names
from luytre_agent.sources.watch.safe import Facts
from luytre_agent.sources.watch.who import Processes, Who, text

#: How long a row waits for its process at most: process events are taken in ten times a second, and twice.
PATIENCE_S = 0.5
#: Until it is looked up again.
_AGAIN_S = 0.05
#: Rows that wait; with more of them, the first does not.
_MOST = 10_000


class Telling:
    """Makes rows. `rung` is the `event_source` of what was not found by a look."""

    def __init__(
        self,
        rows: Rows,
        processes: Processes,
        users: Names,
        groups: Names,
        counters: Counters,
        clock: Callable[[], float],
    ) -> None:
        self._rows = rows
        self._processes = processes
        self._users = users
        self._groups = groups
        self._counters = counters
        self._clock = clock
        self._waiting: deque[tuple[Change, float]] = deque()
        self.rung = ""

    def take(self, change: Change) -> None:
        """A finished change."""
        self._waiting.append((change, self._clock() + PATIENCE_S))

    def wait_s(self, most: float) -> float:
        """Seconds until it is worth to `tell` again, at most `most`."""
        return min(most, _AGAIN_S) if self._waiting else most

    def tell(self, patient: bool = True) -> None:
        """Make rows of the changes whose process is known, or will not be."""
        while self._waiting:
            change, due = self._waiting[0]
            if change.who:
                waits = patient and len(self._waiting) <= _MOST and self._clock() < due
                who = self._processes.complete(change.who, waits)
                if who is None:
                    return
                change.who = who
            self._waiting.popleft()
            self._row(change)

    def _row(self, change: Change) -> None:
        oddities = list(change.oddities)
        before, after = change.before, change.after
        facts = after or (before if change.action == "deleted" else None)
        if after and after.too_large:
            oddities.append("too_large")
        if facts and facts.kind not in ("file", "dir"):
            oddities.append("not_regular")
        if (change.who is None or not change.who.name) and change.action != "seen":
            oddities.append("process_unknown")
            self._counters.add("process_unknown", label=self.rung)
        row: dict[str, Any] = {
            "event_time": int((time.time() - self._clock() + change.time) * 1_000_000),
            "event_action": change.action,
            "event_source": change.source or self.rung,
            "file_path": redacted(text(change.path)),
            "file_previous_path": redacted(text(change.previous)),
            "file_previous_mode": _mode(before) if before else "",
            "file_previous_hash_sha256": before.sha256.hex() if before else "",
            "file_oddities": " ".join(oddities),
        }
        if facts:
            row |= {
                "file_type": facts.kind,
                "file_inode": facts.inode,
                "file_size": facts.size,
                "file_mode": _mode(facts),
                "file_owner": self._users.name(facts.uid) or str(facts.uid),
                "file_group": self._groups.name(facts.gid) or str(facts.gid),
                "file_hash_sha256": after.sha256.hex() if after else "",
            }
        if change.who:
            row |= _process(change.who)
        self._rows.add(row)


def _mode(facts: Facts) -> str:
    return f"{stat.S_IMODE(facts.mode):04o}"


def _process(who: Who) -> dict[str, Any]:
    return {
        "process_pid": who.pid,
        "process_entity_id": who.entity_id,
        "process_name": who.name,
        "process_executable": who.executable,
        "process_command_line": who.command_line,
        "user_id": who.uid,
        "user_name": who.user,
        "systemd_unit": who.unit,
        "container_id": who.container,
    }
