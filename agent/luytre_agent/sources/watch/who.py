"""Who did it: a process as proc(5) shows it at once, because it may soon be gone, or as the process events told."""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

from luytre_agent import _core
from luytre_agent.sources.watch.names import Names

#: As table processes has it for a user that is not known.
NO_USER = 4_294_967_295


@dataclass(frozen=True, slots=True)
class Who:
    """A process that did something between `since` and `until`, nanoseconds of CLOCK_BOOTTIME. Texts that could not be
    read are empty; of one that is gone only the pid is known."""

    pid: int
    entity_id: int = 0
    name: str = ""
    executable: str = ""
    command_line: str = ""
    uid: int = NO_USER
    user: str = ""
    unit: str = ""
    container: str = ""
    since: int = 0
    until: int = 0


class Told(Protocol):
    """What the process events tell; see `_core.Owners`."""

    def process(self, pid: int, since_ns: int, until_ns: int) -> _core.Process | None:
        """The process that had the pid then."""

    def knows_processes(self, time_ns: int) -> bool:
        """Whether all process events until then were taken in, or nobody tells of any."""


class Processes:
    """Looks processes up. Without process events it remembers the last ones: many die between two events of theirs."""

    def __init__(self, users: Names, told: Told | None = None, keep: int = 512, keep_s: float = 2.0) -> None:
        self._users = users
        self._told = told
        self._keep = keep
        self._keep_ns = int(keep_s * 1e9)
        self._seen: OrderedDict[int, Who] = OrderedDict()

    def find(self, pid: int, since: int, until: int, alive: bool = True) -> Who | None:
        """The process as far as it can be read now; only its pid if it is gone; None for pid 0.

        alive: whether the process that is meant was there just now; if not, `pid` may already be another's.
        """
        if pid <= 0:
            return None
        found = _core.read_process(pid) if alive else None
        if found is None:
            return Who(pid, since=since, until=until)
        who = self._who(found, since, until)
        if who.executable:
            self._seen[pid] = who
            self._seen.move_to_end(pid)
            if len(self._seen) > self._keep:
                self._seen.popitem(last=False)
        return who

    def complete(self, who: Who, patient: bool) -> Who | None:
        """With what the process events told; None if they have not been taken in so far yet, and we are patient."""
        if who.executable:
            return who
        if self._told:
            if not self._told.knows_processes(who.until):  # its exec may be still to come
                return None if patient else self._remembered(who)
            found = self._told.process(who.pid, who.since, who.until)
            if found and who.entity_id in (0, found.entity_id):
                return self._who(found, who.since, who.until)
        return self._remembered(who)

    def _remembered(self, who: Who) -> Who:
        before = self._seen.get(who.pid)
        if before is None or not 0 <= who.until - before.until <= self._keep_ns:
            return who
        return before if who.entity_id in (0, before.entity_id) else who

    def _who(self, found: _core.Process, since: int, until: int) -> Who:
        user = self._users.name(found.user_id)
        return Who(
            found.pid, found.entity_id, found.name, found.executable, found.command_line, found.user_id, user,
            found.systemd_unit, found.container_id, since, until,
        )  # fmt: skip


def text(path: str) -> str:
    """A path for people: bytes that are not UTF-8 are replaced."""
    return os.fsencode(path).decode(errors="replace")
