"""From hints to changes: what each file was, what it is, and whether that is worth a row.

A hint starts a change that stays open for a moment, so that many writes become one row; when it is due, the file is
looked at and compared with what was known. Changes of one file come out in the order in which they happened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from luytre_common.telemetry import Counters

from luytre_agent.sources.watch.hint import Did, Hint, below
from luytre_agent.sources.watch.safe import Facts
from luytre_agent.sources.watch.who import Who

#: Different writers of one file within a moment that each get a row.
_WRITERS = 8
#: A change is closed after so many times the moment, though writing goes on.
_LONGEST = 5


@dataclass(slots=True)
class Change:
    """What becomes a row. `source` is empty for the rung's own events."""

    action: str
    path: str
    time: float
    who: Who | None
    before: Facts | None = None
    after: Facts | None = None
    previous: str = ""
    source: str = ""
    oddities: tuple[str, ...] = ()


@dataclass(slots=True)
class _Open:
    action: str
    began: float
    due: float
    before: Facts | None
    writers: list[Who | None] = field(default_factory=list)
    source: str = ""


class Snapshot:
    """What is known of files, at most `most` of them. Counts `files_refused`, and the gauge `files_known`."""

    def __init__(self, most: int, counters: Counters) -> None:
        self._most = most
        self._counters = counters
        self._files: dict[str, Facts] = {}

    def get(self, path: str) -> Facts | None:
        """The file as it was."""
        return self._files.get(path)

    def put(self, path: str, facts: Facts | None) -> None:
        """The file as it is; None: it is gone."""
        if facts is None:
            self._files.pop(path, None)
        elif path in self._files or len(self._files) < self._most:
            self._files[path] = facts
        else:
            self._counters.add("files_refused")
        self._counters.set("files_known", len(self._files))

    def under(self, path: str) -> list[str]:
        """The known files that are `path` or in it."""
        return [one for one in self._files if below(one, path)]


class Changes:
    """Compares. Everything of the outside is given: `look`, `emit`, and the clock's time with every call.

    look(path, known) gives the facts of a file, hashed; emit takes the finished changes.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        look: Callable[[str, Facts | None], Facts | None],
        emit: Callable[[Change], None],
        counters: Counters,
        moment_s: float,
    ) -> None:
        self._snapshot = snapshot
        self._look = look
        self._emit = emit
        self._counters = counters
        self._moment_s = moment_s
        self._open: dict[str, _Open] = {}
        #: Changes later than this are new, although the first look had them already.
        self.started_ns = 0

    def touched(self, hint: Hint, who: Who | None, now: float) -> None:
        """Created, written, attributes or deleted: `hint.path` is wanted."""
        path = hint.path
        known = self._snapshot.get(path)
        if Did.CREATE in hint.did and (known is None or Did.DELETE not in hint.did):
            self._begin(path, "created", who, now)
        if Did.WRITE in hint.did:
            self._begin(path, "modified", who, now)
        elif Did.ATTRIB in hint.did and Did.DELETE not in hint.did:
            self._begin(path, "attributes", who, now)
        if Did.DELETE in hint.did:
            self._deleted(path, who, now)

    def _begin(self, path: str, action: str, who: Who | None, now: float, source: str = "") -> None:
        waiting = self._open.get(path)
        if waiting is None:
            before = self._snapshot.get(path)
            self._open[path] = _Open(action, now, now + self._moment_s, before, [who], source)
            return
        self._counters.add("folded")
        if waiting.source and not source:  # found first, and now it is known how it came
            waiting.source, waiting.writers = "", [who or waiting.writers[0]]
        waiting.due = min(now + self._moment_s, waiting.began + _LONGEST * self._moment_s)
        if action == "modified" and waiting.action == "attributes":
            waiting.action = action
        same = [at for at, one in enumerate(waiting.writers) if _pid(one) == _pid(who)]
        if same:
            if who and who.name:  # of a process that has ended meanwhile less is known than before
                waiting.writers[same[0]] = who
        elif len(waiting.writers) < _WRITERS:
            waiting.writers.append(who)
        else:
            self._counters.add("writers_refused")

    def _deleted(self, path: str, who: Who | None, now: float) -> None:
        self.settle(path)
        self._say("deleted", path, now, who, before=self._snapshot.get(path))
        self._snapshot.put(path, None)
        if self._look(path, None) is not None:  # it is there again
            self._begin(path, "created", who, now)

    def moved(self, path: str, previous: str, who: Who | None, now: float, wanted: Callable[[str], bool]) -> None:
        """Either may be empty or not wanted. What was in a moved directory is moved along silently."""
        if path:
            self.settle(path)
        if previous:
            self.settle(previous, path)
        came, went = bool(path) and wanted(path), bool(previous) and wanted(previous)
        replaced = self._snapshot.get(path) if came else None
        source = self._snapshot.get(previous) if went else None
        after = self._look(path, source) if came else None
        if came and after is None:
            self._say("moved", path, now, who, previous=previous, before=replaced, oddities=("vanished",))
        elif came:
            self._say("moved", path, now, who, previous=previous, before=replaced, after=after)
        elif went:
            self._say("deleted", previous, now, who, before=source)
        if went:
            for one in self._snapshot.under(previous):
                facts = self._snapshot.get(one)
                self._snapshot.put(one, None)
                if came:
                    self._snapshot.put(path + one[len(previous) :], facts)
        if came:
            self._snapshot.put(path, after)

    def found(self, path: str, who: Who | None, now: float, rescan: bool) -> None:
        """A look at the directory found the file: is it new, or other than known?"""
        if path in self._open:
            return  # a hint came first, and will say more
        before = self._snapshot.get(path)
        if not rescan:  # of what is known, hints tell
            if before is None:
                self._begin(path, "created", who, now, source="scan")
            return
        after = self._look(path, before)
        if after is None or after == before:
            return
        oddities = ("rescan",) if rescan else ()
        action = "created" if before is None else _difference(before, after)
        if action:
            self._say(action, path, now, who, before=before, after=after, source="scan", oddities=oddities)
        self._snapshot.put(path, after)

    def missing(self, path: str, now: float) -> None:
        """A rescan: gone, without a hint."""
        if (before := self._snapshot.get(path)) is not None and self._look(path, before) is None:
            self._say("deleted", path, now, None, before=before, source="scan", oddities=("rescan",))
            self._snapshot.put(path, None)

    def wait_s(self, most: float, now: float) -> float:
        """Seconds until a change is due, at most `most`."""
        return max(0.0, min([most, *(one.due - now for one in self._open.values())]))

    def due(self, now: float) -> None:
        """Close the changes whose moment is over."""
        for path in [path for path, one in self._open.items() if one.due <= now]:
            self.settle(path)

    def settle_all(self) -> None:
        """Close every change."""
        for path in list(self._open):
            self.settle(path)

    def settle(self, path: str, now_at: str = "") -> None:
        """Close the change of a file, if there is one. `now_at`: where it was moved in the meantime."""
        if (change := self._open.pop(path, None)) is None:
            return
        before = change.before
        after = self._look(now_at or path, before)
        action = change.action
        fresh = before is not None and before.changed >= self.started_ns
        if after is not None and before is not None and (before.inode == after.inode or action != "created"):
            action = _difference(before, after) or (action if fresh and action != "attributes" else "")
            if not action:
                self._counters.add("unchanged")
        if action:
            gone = ("vanished",) if after is None else ()
            for who in change.writers:
                self._say(
                    action, path, change.began, who, before=before, after=after, source=change.source, oddities=gone
                )
        if after is not None:
            self._snapshot.put(path, after)

    def _say(
        self,
        action: str,
        path: str,
        time: float,
        who: Who | None,
        *,
        before: Facts | None = None,
        after: Facts | None = None,
        previous: str = "",
        source: str = "",
        oddities: tuple[str, ...] = (),
    ) -> None:
        self._emit(Change(action, path, time, who, before, after, previous, source, oddities))


def _pid(who: Who | None) -> int:
    return who.pid if who else 0


def _difference(before: Facts, after: Facts) -> str:
    """modified, attributes, or empty for the same. What directories contain is told by the rows of that."""
    if before.kind == after.kind == "dir":
        same = (before.mode, before.uid, before.gid) == (after.mode, after.uid, after.gid)
        return "" if same else "attributes"
    if before.same_content(after):
        return ""
    written = (before.kind, before.size, before.sha256) != (after.kind, after.size, after.sha256)
    unread = not after.sha256 and before.modified != after.modified and after.kind == "file"
    if written or unread:
        return "modified"
    mine = (before.mode, before.uid, before.gid, before.modified, before.inode)
    return "attributes" if mine != (after.mode, after.uid, after.gid, after.modified, after.inode) else ""
