"""A log file followed for ever: through rotation, truncation, copies, compression and restarts of the agent.

Whatever happens to the file, its remainder is looked for among its siblings (`NAME.1`, `NAME-20261123.gz`) by its
fingerprint, and read there. A file that was renamed is read on for a while: its writer may not have let go of it yet.

Two things no reader can know: what was written between the copy and the truncation of `copytruncate`, and what was cut
off without a copy. Truncations are counted, those without a copy by themselves.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from luytre_common.telemetry import Counters

from luytre_agent.sources.logs.reading import Mark, Reading, Truncated, opened
from luytre_agent.sources.logs.split import LINE_BYTES, Splitter

#: Bytes read at a time.
_CHUNK = 1 << 16

#: Files that are through are remembered, so that they are not read again under their next names.
_REMEMBERED = 64


class Tail:
    """The items of `path`. Counts into `counters`, by the name of the file.

    linger_s: how long a renamed file is read on. clock: seconds, of any epoch.
    from_beginning: on the very first start, read what is there already.
    """

    def __init__(
        self,
        path: Path,
        split: Callable[[], Splitter],
        counters: Counters,
        clock: Callable[[], float],
        linger_s: float = 30.0,
        from_beginning: bool = False,
    ) -> None:
        self.path = path
        #: Why the file cannot be read now; empty if it can.
        self.reason = ""
        self._split = split
        self._counters = counters
        self._clock = clock
        self._linger_s = linger_s
        self._from_beginning = from_beginning
        self._now: Reading | None = None
        self._old: list[tuple[Reading, float]] = []
        self._done: deque[Mark] = deque(maxlen=_REMEMBERED)
        self._cut = 0

    def open(self, saved: Any) -> None:
        """Go on where `state` was taken; `saved` may be anything, then it is a first start."""
        state = saved if isinstance(saved, dict) else {}
        marks = {name: _marks(state.get(name)) for name in ("now", "old", "done")}
        self._done.extend(marks["done"])
        self._now = self._try(self.path)
        if not isinstance(saved, dict):
            self._first_start()
            return
        if self._now and marks["now"] and self._is(self._now, marks["now"][0]):
            self._now.start(marks["now"][0].offset)
            self._catch_up(marks["old"])
        elif marks["now"] or marks["old"]:
            if marks["now"] and self._now and _same_inode(self._now, marks["now"][0]):
                self._catch_up(marks["old"] + marks["now"], truncated=True)
            else:
                self._catch_up(marks["old"] + marks["now"])

    def state(self) -> dict[str, Any]:
        """Where we are: what `open` takes."""
        return {
            "now": [self._now.mark().saved()] if self._now else [],
            "old": [reading.mark().saved() for reading, _ in self._old],
            "done": [mark.saved() for mark in self._done],
        }

    def read(self, most: int) -> Iterator[bytes]:
        """The items that there are now, oldest first, until about `most` bytes were read."""
        while most > 0:
            most, items = self._step(most)
            if items is None:
                return
            yield from items

    def close(self) -> None:
        """Give all files back."""
        for reading in [*(reading for reading, _ in self._old), *([self._now] if self._now else [])]:
            reading.close()
        self._old.clear()
        self._now = None

    def _step(self, most: int) -> tuple[int, list[bytes] | None]:
        """One chunk from the oldest file that has something; None if none has."""
        for entry in list(self._old):
            items = self._from_old(*entry)
            if items is not None:
                return most - _CHUNK, items
        if self._now is None:
            self._now = self._try(self.path)
            if self._now is None:
                return 0, None
        try:
            items = self._count(self._now, self._now.read(_CHUNK))
        except Truncated:
            mark = self._now.mark()
            self._restart_now()
            self._catch_up([mark], truncated=True)
            return most - _CHUNK, []
        except OSError as error:
            self._lost(error)
            return 0, None
        if items is None and self._rotated():
            return most - _CHUNK, []
        return most - _CHUNK, items

    def _from_old(self, reading: Reading, since: float) -> list[bytes] | None:
        """A chunk; None if there is nothing now. What is through is let go."""
        try:
            items = self._count(reading, reading.read(_CHUNK))
        except (Truncated, OSError):
            self._counters.add("rotated_unreadable", label=self.path.name)
            items = None
        else:
            if items is not None:
                return items
            if not reading.packed and self._clock() - since < self._linger_s:
                return None
            if rest := reading.splitter.rest():
                self._counters.add("unterminated", label=self.path.name)
                items = [rest]
        self._old.remove((reading, since))
        self._remember(reading.mark())
        reading.close()
        return items

    def _count(self, reading: Reading, items: list[bytes] | None) -> list[bytes] | None:
        self._counters.add("items", len(items or ()), self.path.name)
        if reading.splitter.cut:
            self._counters.add("lines_cut", reading.splitter.cut, self.path.name)
            reading.splitter.cut = 0
        return items

    def _rotated(self) -> bool:
        """Whether another file has taken the name; the one that had it is old then."""
        assert self._now
        try:
            status = self.path.stat()
        except OSError:
            return False
        if (status.st_dev, status.st_ino) == (self._now.device, self._now.inode):
            return False
        fresh = self._try(self.path)
        if fresh is None:
            return False
        self._counters.add("rotations", label=self.path.name)
        before, self._now = self._now, fresh
        mark = before.mark()
        if self._is(fresh, mark):  # rewritten in place by an editor: the same lines in another file
            fresh.start(mark.offset)
            before.close()
            return True
        self._old.append((before, self._clock()))
        self._catch_up([mark], reading_it=True)
        return True

    def _restart_now(self) -> None:
        assert self._now
        self._now.splitter.rest()
        self._now.start(0)

    def _first_start(self) -> None:
        for path in self._siblings():
            if (reading := self._try(path, "rotated_unreadable")) is not None:
                try:
                    reading.start(0)
                except OSError:
                    self._counters.add("rotated_unreadable", label=self.path.name)
                self._remember(reading.mark())
                reading.close()
        if self._now and not self._from_beginning:
            self._now.start(_end(self._now))

    def _catch_up(self, marks: list[Mark], truncated: bool = False, reading_it: bool = False) -> None:
        """Find the files of `marks` under their new names, and those that came and went since, and read them.

        truncated: the last of `marks` was cut off, so only a copy can have its end. reading_it: it is open already.
        """
        if truncated:
            self._counters.add("truncations", label=self.path.name)
        if not marks:
            return
        missing = {id(mark): mark for mark in marks}
        since = min(mark.changed for mark in marks)
        if reading_it:
            missing.clear()
        known = [*self._done, *(reading.mark() for reading, _ in self._old)]
        if self._now:
            known.append(self._now.mark())
        found: list[tuple[int, int, Reading]] = []
        for path in self._siblings():
            reading = self._try(path, "rotated_unreadable")
            if reading is None:
                continue
            try:
                beginning = reading.beginning()
            except OSError:
                self._counters.add("rotated_unreadable", label=self.path.name)
                reading.close()
                continue
            seen = any(_knows(mark, reading, beginning) for mark in known)
            ours = next((mark for mark in missing.values() if mark.fits(beginning)), None)
            if not ours and not seen:  # one that was empty when it was seen last
                ours = next((mark for mark in missing.values() if _knows(mark, reading, beginning)), None)
            if ours:
                del missing[id(ours)]
                reading.start(ours.offset)
                found.append((0, ours.changed, reading))
            elif reading.changed >= since and not seen:
                reading.start(0)
                found.append((1, reading.changed, reading))
            else:
                reading.close()
        for mark in missing.values():
            if not mark.head_length:
                continue
            gone = "truncations_without_copy" if truncated and mark is marks[-1] else "rotated_missing"
            self._counters.add(gone, label=self.path.name)
        self._old += [(reading, self._clock()) for _, _, reading in sorted(found, key=lambda one: one[:2])]

    def _remember(self, mark: Mark) -> None:
        if mark.head_length:
            self._done.append(mark)

    def _siblings(self) -> list[Path]:
        """Files that may be this one under an older name."""
        try:
            with os.scandir(self.path.parent) as entries:
                names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        except OSError:
            return []
        return [
            self.path.with_name(name)
            for name in sorted(names)
            if name.startswith((f"{self.path.name}.", f"{self.path.name}-"))
        ]

    def _is(self, reading: Reading, mark: Mark) -> bool:
        """Whether this is the file of `mark`, and everything that was read is still in it."""
        if reading.size() < mark.offset:
            return False
        return mark.fits(reading.beginning()) or (not mark.head_length and _same_inode(reading, mark))

    def _try(self, path: Path, counter: str = "") -> Reading | None:
        """The file, if it can be opened. Why not is said once, and counted."""
        try:
            reading = opened(path, self._split)
        except OSError as error:
            if counter:
                self._counters.add(counter, label=self.path.name)
            else:
                self._say(error)
            return None
        if not counter:
            self.reason = ""
            reading.start(0)
        return reading

    def _lost(self, error: OSError) -> None:
        self._say(error)
        if self._now:
            self._now.close()
        self._now = None

    def _say(self, error: OSError) -> None:
        reason = f"{self.path}: {error.strerror}"
        if reason != self.reason and not isinstance(error, FileNotFoundError):
            self._counters.add("unreadable", label=self.path.name)
        self.reason = reason


def _same_inode(reading: Reading, mark: Mark) -> bool:
    return (reading.device, reading.inode) == (mark.device, mark.inode)


def _knows(mark: Mark, reading: Reading, beginning: bytes) -> bool:
    return mark.fits(beginning) or (_same_inode(reading, mark) and not mark.head_length)


def _marks(saved: Any) -> list[Mark]:
    return [mark for one in (saved if isinstance(saved, list) else []) if (mark := Mark.of(one)) is not None]


def _end(reading: Reading) -> int:
    """Where the last line begins that has no end yet; the size, if it is longer than lines are."""
    size = reading.size()
    splitter = reading.splitter
    start = max(0, size - LINE_BYTES)
    data = os.pread(reading.descriptor, size - start, start)
    pending = getattr(splitter, "size", 0)
    if pending:
        return size - size % pending
    newline = data.rfind(b"\n")
    return start + newline + 1 if newline >= 0 else (0 if start == 0 else size)
