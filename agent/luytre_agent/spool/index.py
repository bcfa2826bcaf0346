"""What the spool knows in memory of each segment: 16 bytes per batch, so that a full spool costs little."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from pathlib import Path

from luytre_agent.batch import Key
from luytre_agent.spool.segment import VERSION, Record


@dataclass
class Run:
    """The batches of one numbering in one segment, ascending. The first `done` are settled, and so are the refused
    (whatever it is that they will never be sent for)."""

    table: str
    firsts: array[int] = field(default_factory=lambda: array("Q"))
    lasts: array[int] = field(default_factory=lambda: array("Q"))
    done: int = 0
    refused: set[int] = field(default_factory=set)

    def settle(self, through: int) -> list[int]:
        """Everything up to `through` is stored: go on to the first batch that is not settled.

        Returns the row counts of the batches that are newly stored.
        """
        stored: list[int] = []
        while self.done < len(self.firsts):
            first, last = self.firsts[self.done], self.lasts[self.done]
            if first not in self.refused:
                if last > through:
                    break
                stored.append(last - first + 1)
            self.done += 1  # first: to who asks without the lock, it is settled all the time
            self.refused.discard(first)
        return stored

    def refuse(self, first: int) -> int:
        """The batch beginning at `first` will never be stored; returns its row count, 0 if it is not waiting here."""
        at = bisect_left(self.firsts, first)
        if at < self.done or at == len(self.firsts) or self.firsts[at] != first or first in self.refused:
            return 0
        self.refused.add(first)
        rows = self.lasts[at] - first + 1
        self.settle(-1)
        return rows

    def is_settled(self, first: int) -> bool:
        """Whether the batch beginning at `first` needs no sending any more; may be asked while others settle."""
        return bisect_left(self.firsts, first) < self.done or first in self.refused

    def unsettled(self) -> list[tuple[int, int]]:
        """The numbers of the batches that are not settled, each with its first and last."""
        return [
            (self.firsts[at], self.lasts[at])
            for at in range(self.done, len(self.firsts))
            if self.firsts[at] not in self.refused
        ]


@dataclass
class SegmentIndex:
    """One segment: its number, file, class, the byte after its last record, its runs, and when its first and its last
    record were appended (seconds since 1970). It is `dropped` when it is not on the shelf any more."""

    number: int
    path: Path
    mark: bytes
    end: int
    rank: int = 0
    version: int = VERSION
    oldest: float = 0.0
    newest: float = 0.0
    runs: dict[Key, Run] = field(default_factory=dict)
    dropped: bool = False

    def add(self, record: Record) -> None:
        """Take in a record that was appended or read back."""
        run = self.runs.setdefault(record.key, Run(record.table))
        run.firsts.append(record.first)
        run.lasts.append(record.last)
        self.end = record.end
        self.newest = record.appended_us / 1e6 or self.newest
        self.oldest = self.oldest or self.newest

    @property
    def settled(self) -> bool:
        """Whether nothing in here needs to be sent any more; may be asked while others add to it."""
        return all(run.done == len(run.firsts) for run in tuple(self.runs.values()))
